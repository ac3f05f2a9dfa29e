"""Model versions: register, describe, move between unprotected stages, delete. One transaction and entry for each.

Entering or leaving a protected stage is ``registry/actions/promotion.py``.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from access import policy
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, DomainError, Invalid, NotFound
from audit.events import Action
from registry import fields, jobs, outbox, sources, tracking
from registry.actions import cause, runs, stages
from registry.models import ModelVersion, PromotionRequest, RegisteredModel, VersionTag
from registry.queries import visible
from registry.states import LIVE, JobKind, Stage

log = logging.getLogger("plimsoll.registry")

_LIVE = [state.value for state in LIVE]
# On a logged model in tracking: the versions that were registered from it, as JSON.
VERSIONS_TAG = "mlflow.modelVersions"
REDACTED = {"source": "REDACTED-SOURCE-PATH", "run_id": "REDACTED-RUN-ID", "run_link": "REDACTED-RUN-LINK"}


def create(
    *,
    by: Actor,
    model: RegisteredModel,
    source: str,
    run_id: str | None = None,
    model_id: str | None = None,
    run_link: str = "",
    description: str | None = "",
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Register the next version of ``model`` and have its files read and hashed by a job.

    ``run_id`` and ``model_id`` (of a logged model) must contain ``source``; None means that none was given. Raises
    what ``sources.resolve`` raises, and Invalid for a field that does not fit.
    """
    tags = tags or {}
    origin = _origin(by, model, source, run_id, model_id, is_prompt=fields.is_prompt(tags))
    with door.open(by, Action.VERSION_CREATE, on=model) as entry:
        row: RegisteredModel = entry.locked  # the lock makes concurrent creates queue: each number is used once
        fields.check_text(run_link, "run_link", fields.MOST_SOURCE)
        fields.check_description(description)
        fields.check_tags(tags)
        tuned = runs.fine_tuned_from(by, tags)
        version = _numbered(by, row, origin, run_link, description)
        runs.grow(version, origin.source, tuned)
        VersionTag.objects.bulk_create(VersionTag(version=version, key=key, value=value) for key, value in tags.items())
        outbox.of_new_version(version, tags)
        if origin.storage_location:
            jobs.enqueue(version=version, kind=JobKind.ARTIFACT, requested_by=by.account or "")
        entry.record(
            on=version,
            after={"number": version.number, "source": _plain(origin.source), "tags": len(tags)},
            private=_private(run_link, description, tags),
        )
    _tell_tracking(version, origin.logged_model)
    return version


def _numbered(
    by: Actor, model: RegisteredModel, origin: sources.Origin, run_link: str, description: str | None
) -> ModelVersion:
    """The next version of ``model``, which is locked."""
    model.last_number += 1
    model.updated_at = now()
    model.save(update_fields=["last_number", "updated_at"])
    return ModelVersion.objects.create(
        model=model,
        number=model.last_number,
        description=description,
        source=origin.source,
        storage_location=origin.storage_location,
        run_id=origin.run_id,
        run_link=run_link,
        logged_model_id=origin.logged_model_id,
        created_by=by.account or "",
        created_at=model.updated_at,
        updated_at=model.updated_at,
    )


def _origin(
    by: Actor, model: RegisteredModel, source: str, run_id: str | None, model_id: str | None, *, is_prompt: bool
) -> sources.Origin:
    """Ask tracking before the model is locked: a slow answer must not make others wait. Who may not is not told
    what tracking knows.
    """
    try:
        policy.require(by, Action.VERSION_CREATE, model)
        return sources.resolve(by, source, run_id, model_id, is_prompt=is_prompt)
    except DomainError as error:
        door.refuse(by, Action.VERSION_CREATE, model.subject(), error)
        raise


def _plain(source: str) -> str:
    """A source as the trail can hold it: paths are ASCII there."""
    return source.encode("ascii", "backslashreplace").decode("ascii")


def _private(run_link: str, description: str | None, tags: Mapping[str, str]) -> dict[str, str]:
    return {"run_link": run_link, "description": description or "", "tags": json.dumps(tags) if tags else ""}


def _tell_tracking(version: ModelVersion, logged: tracking.LoggedModel | None) -> None:
    """Note on the logged model that a version came of it. A courtesy to its readers: a failure changes nothing here."""
    if logged is None:
        return
    try:
        known = json.loads(logged.tags.get(VERSIONS_TAG) or "[]")
        mine: dict[str, Any] = {"name": version.model.name, "version": version.number}
        # MLflow's client writes the same note once more, with the number as text: each version is kept once.
        notes = {(entry["name"], str(entry["version"])): entry for entry in reversed([*known, mine])}
        told = json.dumps(list(reversed(notes.values())))
        tracking.tag_logged_model(logged.model_id, {VERSIONS_TAG: told})
    except (DomainError, ValueError, TypeError, KeyError) as error:
        log.warning("a logged model was not told of its version", extra={"error": type(error).__name__})


def update(*, by: Actor, version: ModelVersion, description: str | None) -> ModelVersion:
    """Replace the description; None clears it."""
    with door.open(by, Action.VERSION_UPDATE, on=version) as entry:
        row = _present(entry.locked)
        stages.refuse_frozen(row, "its description cannot change")
        row.description = fields.check_description(description)
        row.updated_at = now()
        row.save(update_fields=["description", "updated_at"])
        outbox.of_version(row, "updated", data={"changed": ["description"]})
        entry.record(after={"described": description is not None}, private={"description": description or ""})
        return row


def transition(*, by: Actor, version: ModelVersion, stage: str, archive_existing: bool) -> ModelVersion:
    """Move a version to another unprotected stage; ``archive_existing`` archives what is in that stage already.

    Raises Denied for a protected stage, Invalid for an unknown one and for archiving out of None or Archived.
    """
    with door.open(by, Action.VERSION_STAGE, on=version.subject()) as entry:
        row = locked(by, Action.VERSION_STAGE, version)
        to_stage = fields.stage_of(stage)
        stages.refuse_protected_stage(row, to_stage)
        before, moment = row.stage, now()
        archived = _archive_others(by, row, to_stage, moment) if archive_existing else []
        stages.move(row, to_stage, by=by, at=moment)
        entry.record(before={"stage": before}, after={"stage": to_stage.value, "archived": archived})
        return row


def _archive_others(by: Actor, version: ModelVersion, stage: Stage, moment: datetime) -> list[int]:
    if stage in {Stage.NONE, Stage.ARCHIVED}:
        raise Invalid(
            f"Model version transition cannot archive existing model versions because '{stage.value}' is not an Active"
            " stage. Valid stages are ['Staging', 'Production']",
            code="nothing_to_archive",
        )
    others = ModelVersion.objects.select_for_update().filter(model=version.model, stage=stage.value, deleted_at=None)
    moved = list(others.exclude(pk=version.pk).order_by("number"))
    for other in moved:
        stages.move(other, Stage.ARCHIVED, by=by, at=moment)
    return [other.number for other in moved]


def delete(*, by: Actor, version: ModelVersion) -> None:
    """Delete a version: its number stays used, its digest and its history stay, what it says of people and places goes.

    Raises Denied when it is or was in a protected stage, Conflict while a promotion of it is asked for.
    """
    with door.open(by, Action.VERSION_DELETE, on=version.subject()) as entry:
        row = locked(by, Action.VERSION_DELETE, version)
        stages.refuse_frozen(row, "it cannot be deleted")
        for alias in row.aliases.values_list("name", flat=True):
            stages.refuse_protected_alias(row.model, alias, row.number)
        if PromotionRequest.objects.filter(version=row, state__in=_LIVE).exists():
            raise Conflict(
                f"{row} cannot be deleted while a promotion request for it is live: withdraw the request first.",
                code="live_request",
            )
        before = {"stage": row.stage, "artifact": row.artifact_digest}
        cause.tell(by)
        row.aliases.all().delete()
        row.tags.all().delete()
        row.deleted_at = row.updated_at = now()
        row.source, row.run_id, row.run_link = REDACTED["source"], REDACTED["run_id"], REDACTED["run_link"]
        row.description, row.status_message = None, ""
        row.storage_location = row.logged_model_id = ""
        row.save()
        RegisteredModel.objects.filter(pk=row.model_id).update(updated_at=row.updated_at)
        outbox.of_version(row, "deleted")
        entry.record(before=before, after={"deleted": True})


def locked(by: Actor, action: Action, version: ModelVersion) -> ModelVersion:
    """The version as it is now, locked after its model: the order in which applying a promotion takes them, so that
    the two wait for each other and never both for ever. Permission is asked again on what is locked.
    """
    RegisteredModel.objects.select_for_update().filter(pk=version.model_id).first()
    rows = ModelVersion.objects.select_related("model").select_for_update(of=("self",))
    row = rows.filter(pk=version.pk).first()
    if row is None:
        raise NotFound("It was deleted a moment ago.")
    door.authorise(replace(by, memo={}), action, row.subject())
    return _present(row)


def _present(version: ModelVersion) -> ModelVersion:
    if version.deleted_at is not None:
        raise visible.no_version(version.model.name, version.number)
    return version
