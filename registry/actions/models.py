"""Registered models: create, describe, rename, delete. One function, one transaction, one entry each."""

import json
from collections.abc import Mapping

from django.db.models import ProtectedError, Q

from access import policy
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Denied, Duplicate
from audit.events import Action
from registry import fields, outbox
from registry.actions import cause, stages
from registry.models import (
    Evidence,
    Job,
    ModelTag,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    VersionDataSet,
)
from registry.states import LIVE, EvidenceKind

_LIVE = [state.value for state in LIVE]


def create(
    *, by: Actor, name: str, description: str | None = None, tags: Mapping[str, str] | None = None
) -> RegisteredModel:
    """Register a name. Raises Invalid for a name, tag or description that does not fit, Duplicate for a name in use."""
    tags = tags or {}
    with door.open(by, Action.MODEL_CREATE, on=fields.subject_of_name(name)) as entry:
        fields.check_model_name(name)
        fields.check_description(description)
        fields.check_tags(tags)
        model = RegisteredModel(name=name, description=description, created_by=by.account or "")
        # Two may ask for one name at once: the constraint lets one through, and the other is told, not broken.
        RegisteredModel.objects.bulk_create([model], ignore_conflicts=True)
        holder = RegisteredModel.objects.get(name=name)
        if holder.pk != model.pk:
            raise _taken(holder, is_prompt=fields.is_prompt(tags))
        ModelTag.objects.bulk_create(ModelTag(model=model, key=key, value=value) for key, value in tags.items())
        outbox.of_new_model(model, tags)
        entry.record(
            on=model,
            after={"name": name, "tags": len(tags)},
            private={"description": description or "", "tags": json.dumps(tags) if tags else ""},
        )
        return model


def _taken(holder: RegisteredModel, *, is_prompt: bool) -> Duplicate:
    held_by_prompt = fields.is_prompt(dict(holder.tags.values_list("key", "value")))
    if is_prompt and not held_by_prompt:
        sentence = (
            f"Tried to create a prompt with name {holder.name!r}, but the name is already taken by a registered model."
        )
    elif held_by_prompt and not is_prompt:
        sentence = (
            f"Tried to create a registered model with name {holder.name!r}, but the name is already taken by a prompt."
        )
    else:
        sentence = f"{'Prompt' if is_prompt else 'Registered Model'} (name={holder.name}) already exists."
    return Duplicate(sentence, code="name_taken")


def update(*, by: Actor, model: RegisteredModel, description: str | None) -> RegisteredModel:
    """Replace the description; None clears it."""
    with door.open(by, Action.MODEL_UPDATE, on=model) as entry:
        row: RegisteredModel = entry.locked
        row.description = fields.check_description(description)
        row.updated_at = now()
        row.save(update_fields=["description", "updated_at"])
        outbox.of_model(row, "updated", data={"changed": ["description"]})
        entry.record(after={"described": description is not None}, private={"description": description or ""})
        return row


def rename(*, by: Actor, model: RegisteredModel, new_name: str) -> RegisteredModel:
    """Call the model something else; its versions, tags and aliases come along.

    Raises Duplicate for a name in use, Denied while a promotion is asked for and once one was applied: the
    grant names the model.
    """
    with door.open(by, Action.MODEL_RENAME, on=model) as entry:
        row: RegisteredModel = entry.locked
        fields.check_model_name(new_name, "new_name")
        policy.require(by, Action.MODEL_RENAME, fields.subject_of_name(new_name))
        _refuse_governed(row, "renamed")
        if PromotionRequest.objects.filter(model=row, state__in=_LIVE).exists():
            raise Denied(f"{row} cannot be renamed while a promotion request for it is live.", code="live_request")
        if RegisteredModel.objects.filter(name=new_name).exists():
            raise Duplicate(f"Registered Model (name={new_name}) already exists.", code="name_taken")
        before, moment = row.name, now()
        row.name, row.updated_at = new_name, moment
        row.save(update_fields=["name", "updated_at"])
        row.versions.filter(deleted_at=None).update(updated_at=moment)
        outbox.of_model(row, "renamed", data={"former_name": before})
        entry.record(on=row, before={"name": before}, after={"name": new_name})
        return row


def delete(*, by: Actor, model: RegisteredModel) -> None:
    """Delete the model with its versions, tags and aliases.

    Raises Denied when a version is or was in a protected stage, Conflict when promotions or reports were recorded:
    they must stay, and they speak of it. The record of a version's digest goes with the version.
    """
    with door.open(by, Action.MODEL_DELETE, on=model) as entry:
        row: RegisteredModel = entry.locked
        _refuse_governed(row, "deleted")
        _refuse_recorded(row)
        counted = row.versions.count()
        cause.tell(by)
        outbox.of_model(row, "deleted")
        try:
            of_row = Q(version__model=row)
            for table in (Job, VersionDataSet, Evidence):
                table._base_manager.filter(of_row).delete()
            ModelVersion.objects.filter(model=row).delete()
            RegisteredModel.objects.filter(pk=row.pk).delete()
        except ProtectedError:
            raise Conflict(f"{row} cannot be deleted: other records speak of its versions.", code="recorded") from None
        entry.record(before={"name": row.name, "versions": counted, "last_number": row.last_number})


def _refuse_governed(model: RegisteredModel, done: str) -> None:
    """Raise Denied when a version is, or ever was, in a protected stage."""
    version = stages.once_protected(model)
    if version is not None:
        raise Denied(
            f"{model} cannot be {done}: version {version.number} is or was in a protected stage. What is in a protected"
            f" stage changes only by a promotion: {stages.promotion_address(model.name, version.number)} .",
            code="protected_stage",
        )


def _refuse_recorded(model: RegisteredModel) -> None:
    if PromotionRequest.objects.filter(model=model).exists():
        raise Conflict(f"{model} cannot be deleted: promotion requests were filed for it.", code="has_promotions")
    reports = Evidence.objects.filter(version__model=model).exclude(kind=EvidenceKind.ARTIFACT.value)
    if reports.exists():
        raise Conflict(
            f"{model} cannot be deleted: reports on its versions are recorded as evidence.", code="has_evidence"
        )
