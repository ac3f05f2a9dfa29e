"""Taking over the data sets that a version's run logged with ``mlflow.log_input``.

What can be read is registered, or found among what is registered already, and linked: by the account that registered
the version, with its rights and no others. What cannot is kept as a note with the reason. MLflow's digest covers the
first rows only, so it is a note as well and nothing is recognised by it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from access.authenticate import actor_of
from access.models import User
from audit import door
from audit.actors import SYSTEM, Actor
from audit.errors import DomainError, Duplicate, Invalid, Unavailable
from audit.events import Action
from registry import jobs, tracking
from registry.actions import data_sets
from registry.columns import MOST_NAME
from registry.models import ForeignDataSet, Job, ModelVersion
from registry.states import DataRole

MOST_INPUTS: Final = 100
_CONTEXT: Final = "mlflow.data.context"
# What people write as the context of a data set, and what it was to the model.
_ROLES: Final[dict[str, DataRole]] = {
    "training": DataRole.TRAINING, "train": DataRole.TRAINING, "fit": DataRole.TRAINING,
    "validation": DataRole.VALIDATION, "val": DataRole.VALIDATION, "valid": DataRole.VALIDATION,
    "evaluation": DataRole.EVALUATION, "eval": DataRole.EVALUATION, "test": DataRole.EVALUATION,
    "testing": DataRole.EVALUATION,
}  # fmt: skip
_UNWANTED: Final = re.compile(r"[/:\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_MOST_SAID: Final = 20_000


@dataclass(frozen=True)
class Logged:
    """A data set as a run logged it; every field as MLflow has it, cut to what a row can hold."""

    name: str
    digest: str
    role: DataRole | None
    source_type: str
    location: str
    said: dict[str, str]


def adopt(job: Job, *, by: Actor = SYSTEM) -> int:
    """Register and link what the run of the job's version logged; how many data sets are linked now.

    Raises Unavailable while tracking, or a store, does not answer and the job can be tried again.
    """
    version = job.version
    record = _record(version.run_id)
    author = _author(version)
    notes: list[ForeignDataSet] = []
    linked = 0
    for one in logged(record):
        try:
            _take_over(author, version, one)
            linked += 1
        except DomainError as error:
            if isinstance(error, Unavailable) and job.attempts < jobs.MOST_ATTEMPTS:
                raise
            notes.append(_note(version, one, error.sentence))
    with door.open(by, Action.DATA_SET_ADOPT, on=version) as entry:
        ForeignDataSet.objects.bulk_create(notes, ignore_conflicts=True)
        jobs.finish(job, job.fence)
        entry.record(after={"linked": linked, "noted": len(notes), "job": str(job.pk)})
    return linked


def give_up(*, by: Actor = SYSTEM, job: Job, fence: int, sentence: str) -> None:
    """End a job that is not tried again; the version goes without its run's data sets, and its jobs say why."""
    with door.open(by, Action.DATA_SET_ADOPT, on=job.version) as entry:
        jobs.abandon(job, fence, sentence)
        entry.record(after={"linked": 0, "noted": 0, "job": str(job.pk)}, reason_code="job_failed")


def _record(run_id: str) -> Mapping[str, Any]:
    try:
        return tracking.run_record(run_id) or {}
    except Invalid:
        return {}  # not even a run's id


def _author(version: ModelVersion) -> Actor | None:
    account = version.created_by
    user = User.objects.filter(pk=account, is_active=True).first() if account else None
    return None if user is None else actor_of(user, SYSTEM.auth)


def _take_over(author: Actor | None, version: ModelVersion, one: Logged) -> None:
    if author is None:
        raise Invalid("The account that registered the version is closed, so nobody's rights cover reading this.")
    if one.role is None:
        raise Invalid("The run does not say whether this was for training, validation or evaluation.")
    if not one.location:
        raise Invalid(
            f"What MLflow says of its source ({one.source_type or 'nothing'}) names no place to read it from."
        )
    row = data_sets.taken_over(
        by=author, name=one.name, location=one.location, role=one.role.value, mlflow_digest=one.digest
    )
    try:
        data_sets.link(by=author, version=version, data_set=row, role=one.role.value)
    except Duplicate:
        return  # somebody has said so already


def logged(record: Mapping[str, Any]) -> list[Logged]:
    """The data sets in a run as tracking tells it. What has another shape than expected is left out."""
    inputs = record.get("inputs")
    listed = inputs.get("dataset_inputs") if isinstance(inputs, dict) else None
    found = [_logged(entry) for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [one for one in found if one is not None][:MOST_INPUTS]


def _logged(entry: Mapping[str, Any]) -> Logged | None:
    told = entry.get("dataset")
    if not isinstance(told, dict):
        return None
    tags = entry.get("tags")
    pairs = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    context = next((str(tag.get("value", "")) for tag in pairs if tag.get("key") == _CONTEXT), "")
    source = str(told.get("source") or "")
    return Logged(
        name=_name(str(told.get("name") or "")),
        digest=_plain(str(told.get("digest") or ""))[:64],
        role=_ROLES.get(context.strip().lower()),
        source_type=_plain(str(told.get("source_type") or ""))[:40],
        location=_location(source),
        said={key: _plain(str(told.get(key) or ""))[:_MOST_SAID] for key in ("schema", "profile", "source")}
        | {"context": _plain(context)[:200]},
    )


def _name(text: str) -> str:
    """A name that a data set can have."""
    return _UNWANTED.sub("-", text).strip()[:MOST_NAME].strip() or "data set"


def _location(source: str) -> str:
    """The address in MLflow's description of a source: JSON whose shape depends on its type."""
    try:
        told = json.loads(source)
    except (ValueError, RecursionError):
        return ""
    found = next((told[key] for key in ("uri", "path", "url") if told.get(key)), "") if isinstance(told, dict) else ""
    address = found if isinstance(found, str) else ""
    own = f"{settings.PLIMSOLL_PUBLIC_URL}/api/2.0/{tracking.SCHEME}/artifacts/"
    return f"{tracking.SCHEME}:/{address.removeprefix(own)}" if address.startswith(own) else address


def _plain(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _note(version: ModelVersion, one: Logged, reason: str) -> ForeignDataSet:
    return ForeignDataSet(
        version=version,
        name=one.name,
        mlflow_digest=one.digest,
        role=one.role.value if one.role else "",
        source_type=one.source_type,
        said=one.said,
        reason=reason[:500],
    )
