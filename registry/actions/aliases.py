"""Aliases: names that point at one version of a model each. Those of a protected stage move by promotion."""

from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import NotFound
from audit.events import Action
from registry import fields
from registry.actions import stages
from registry.models import Alias, ModelVersion, RegisteredModel


def set_alias(*, by: Actor, model: RegisteredModel, alias: str, version: ModelVersion) -> None:
    """Make ``alias`` name ``version``; it moves silently when it named another. Raises Denied for a protected alias."""
    with door.open(by, Action.ALIAS_SET, on=model) as entry:
        row: RegisteredModel = entry.locked
        fields.check_alias(alias)
        stages.refuse_protected_alias(row, alias, version.number)
        present = ModelVersion.objects.filter(pk=version.pk, model=row, deleted_at=None).first()
        if present is None:
            raise NotFound(f"Model Version (name={row.name}, version={version.number}) not found")
        before = stages.point(row, alias, present)
        _touch(row)
        entry.record(before={"version": before}, after={"alias": alias, "version": present.number})


def delete_alias(*, by: Actor, model: RegisteredModel, alias: str) -> None:
    """Take an alias away; one that is not there is no error. Raises Denied for a protected alias."""
    with door.open(by, Action.ALIAS_DELETE, on=model) as entry:
        row: RegisteredModel = entry.locked
        fields.check_alias(alias)
        found = Alias.objects.select_related("version").filter(model=row, name=alias).first()
        number = found.version.number if found else row.last_number
        stages.refuse_protected_alias(row, alias, number)
        if found is not None:
            found.delete()
            _touch(row)
        entry.record(before={"alias": alias, "version": found.version.number if found else None})


def _touch(model: RegisteredModel) -> None:
    model.updated_at = now()
    model.save(update_fields=["updated_at"])
