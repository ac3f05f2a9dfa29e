"""Aliases: names that point at one version of a model each. Those of a protected stage move by promotion."""

from audit import door
from audit.actors import Actor
from audit.events import Action
from registry import fields, outbox
from registry.actions import cause, stages
from registry.models import Alias, ModelVersion, RegisteredModel
from registry.queries import visible


def set_alias(*, by: Actor, model: RegisteredModel, alias: str, version: ModelVersion) -> None:
    """Make ``alias`` name ``version``; it moves silently when it named another. Raises Denied for a protected alias."""
    with door.open(by, Action.ALIAS_SET, on=model) as entry:
        row: RegisteredModel = entry.locked
        fields.check_alias(alias)
        stages.refuse_protected_alias(row, alias, version.number)
        present = ModelVersion.objects.filter(pk=version.pk, model=row, deleted_at=None).first()
        if present is None:
            raise visible.no_version(row.name, version.number)
        before = stages.point(row, alias, present, by=by)
        entry.record(before={"version": before}, after={"alias": alias, "version": present.number})


def delete_alias(*, by: Actor, model: RegisteredModel, alias: str) -> None:
    """Take an alias away; one that is not there is no error. Raises Denied for a protected alias."""
    with door.open(by, Action.ALIAS_DELETE, on=model) as entry:
        row: RegisteredModel = entry.locked
        fields.check_alias_text(alias)
        found = Alias.objects.select_related("version").filter(model=row, name=alias).first()
        number = found.version.number if found else row.last_number
        stages.refuse_protected_alias(row, alias, number)
        if found is not None:
            cause.tell(by)
            found.delete()
            outbox.of_alias(row, "deleted", alias)
        entry.record(before={"alias": alias, "version": found.version.number if found else None})
