"""Tags on registered models and on versions. Setting replaces; deleting what is not there is no error."""

from audit import door
from audit.actors import Actor
from audit.events import Action
from registry import fields, outbox, protection
from registry.actions import stages
from registry.models import ModelTag, ModelVersion, RegisteredModel, VersionTag
from registry.queries import visible
from registry.states import OPEN_TAGS


def set_model_tag(*, by: Actor, model: RegisteredModel, key: str, value: str) -> None:
    """Give a registered model a tag, or another value under the same key."""
    with door.open(by, Action.MODEL_TAG, on=model) as entry:
        fields.check_tag(key, value)
        row, created = ModelTag.objects.get_or_create(model=entry.locked, key=key, defaults={"value": value})
        outbox.of_model(entry.locked, "set", tag=True, data={"key": key, "value": value})
        before = "" if created else row.value
        if not created:
            row.value = value
            row.save(update_fields=["value"])
        entry.record(after={"key": key, "new": created}, private={"before": before, "value": value})


def delete_model_tag(*, by: Actor, model: RegisteredModel, key: str) -> None:
    """Take a tag off a registered model."""
    with door.open(by, Action.MODEL_TAG, on=model) as entry:
        fields.check_tag_key(key)
        row = ModelTag.objects.filter(model=entry.locked, key=key).first()
        if row is not None:
            outbox.of_model(entry.locked, "deleted", tag=True, data={"key": key})
            row.delete()
        entry.record(before={"key": key, "present": row is not None}, private={"before": row.value if row else ""})


def set_version_tag(*, by: Actor, version: ModelVersion, key: str, value: str) -> None:
    """Give a version a tag, or another value under the same key."""
    with door.open(by, Action.VERSION_TAG, on=version) as entry:
        fields.check_tag(key, value)
        present = _changeable(entry.locked, key)
        row, created = VersionTag.objects.get_or_create(version=present, key=key, defaults={"value": value})
        outbox.of_version(present, "set", tag=True, data={"key": key, "value": value})
        before = "" if created else row.value
        if not created:
            row.value = value
            row.save(update_fields=["value"])
        entry.record(after={"key": key, "new": created}, private={"before": before, "value": value})


def delete_version_tag(*, by: Actor, version: ModelVersion, key: str) -> None:
    """Take a tag off a version."""
    with door.open(by, Action.VERSION_TAG, on=version) as entry:
        fields.check_tag_key(key)
        row = VersionTag.objects.filter(version=_changeable(entry.locked, key), key=key).first()
        if row is not None:
            outbox.of_version(row.version, "deleted", tag=True, data={"key": key})
            row.delete()
        entry.record(before={"key": key, "present": row is not None}, private={"before": row.value if row else ""})


def _changeable(version: ModelVersion, key: str) -> ModelVersion:
    """``version`` when its tag ``key`` may change: it is there, and not frozen unless the key stays open."""
    if version.deleted_at is not None:
        raise visible.no_version(version.model.name, version.number)
    if not protection.tag_stays_open(key):
        stages.refuse_frozen(version, f"its tag {key} cannot change (tags that can: {', '.join(OPEN_TAGS)})")
    return version
