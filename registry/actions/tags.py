"""Tags on registered models and on versions. Setting replaces; deleting what is not there is no error."""

from audit import door
from audit.actors import Actor
from audit.errors import NotFound
from audit.events import Action
from registry import fields
from registry.models import ModelTag, ModelVersion, RegisteredModel, VersionTag


def set_model_tag(*, by: Actor, model: RegisteredModel, key: str, value: str) -> None:
    """Give a registered model a tag, or another value under the same key."""
    with door.open(by, Action.MODEL_TAG, on=model) as entry:
        fields.check_tag(key, value)
        row, created = ModelTag.objects.get_or_create(model=entry.locked, key=key, defaults={"value": value})
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
            row.delete()
        entry.record(before={"key": key, "present": row is not None}, private={"before": row.value if row else ""})


def set_version_tag(*, by: Actor, version: ModelVersion, key: str, value: str) -> None:
    """Give a version a tag, or another value under the same key."""
    with door.open(by, Action.VERSION_TAG, on=version) as entry:
        fields.check_tag(key, value)
        present = _present(entry.locked)
        row, created = VersionTag.objects.get_or_create(version=present, key=key, defaults={"value": value})
        before = "" if created else row.value
        if not created:
            row.value = value
            row.save(update_fields=["value"])
        entry.record(after={"key": key, "new": created}, private={"before": before, "value": value})


def delete_version_tag(*, by: Actor, version: ModelVersion, key: str) -> None:
    """Take a tag off a version."""
    with door.open(by, Action.VERSION_TAG, on=version) as entry:
        fields.check_tag_key(key)
        row = VersionTag.objects.filter(version=_present(entry.locked), key=key).first()
        if row is not None:
            row.delete()
        entry.record(before={"key": key, "present": row is not None}, private={"before": row.value if row else ""})


def _present(version: ModelVersion) -> ModelVersion:
    if version.deleted_at is not None:
        raise NotFound(f"Model Version (name={version.model.name}, version={version.number}) not found")
    return version
