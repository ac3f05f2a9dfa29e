"""Reads of evidence and jobs: what is there, and what a report would be computed from as things stand.

Callers have fetched the version through ``queries/visible.py``. Nothing here writes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db.models import QuerySet

from registry.jobs import LIVE
from registry.models import DataSet, Evidence, Job, ModelVersion
from registry.states import DataRole, DataState, EvidenceKind, EvidenceStatus

# What a report is computed from: digests by name, and under "spec" what the data sets say their columns mean. JSON.
Inputs = dict[str, Any]


def newest(version: ModelVersion, kind: EvidenceKind) -> Evidence | None:
    """The evidence of this kind that counts: the last one attached."""
    return version.evidence.filter(kind=kind.value).order_by("-created_at", "-pk").first()


def history(version: ModelVersion, kind: EvidenceKind) -> QuerySet[Evidence]:
    """All evidence of this kind, newest first."""
    return version.evidence.filter(kind=kind.value).order_by("-created_at", "-pk")


def live_jobs(version: ModelVersion) -> QuerySet[Job]:
    """The jobs of a version that wait or run, oldest first."""
    return version.jobs.filter(state__in=LIVE).order_by("created_at")


def last_jobs(version: ModelVersion) -> dict[str, Job]:
    """The last job of each kind, ended or not, by kind."""
    return {job.kind: job for job in version.jobs.order_by("created_at", "pk")}


def data_set(version: ModelVersion, role: DataRole) -> DataSet | None:
    """The data set that stands in this role for the version: the last one linked whose content is there."""
    links = version.data_links.select_related("data_set").filter(role=role.value, data_set__state=DataState.PRESENT)
    link = links.order_by("-created_at", "-pk").first()
    return None if link is None else link.data_set


def explained(version: ModelVersion) -> tuple[DataSet, DataSet] | None:
    """The rows that are explained and the background they are compared with: evaluation and training where linked."""
    evaluation, training = data_set(version, DataRole.EVALUATION), data_set(version, DataRole.TRAINING)
    rows, background = evaluation or training, training or evaluation
    return None if rows is None or background is None else (rows, background)


def predictions_in_force(version: ModelVersion) -> Evidence | None:
    """The newest predictions, OK or ERROR, when they were made from what is there now."""
    row, wanted = newest(version, EvidenceKind.PREDICTIONS), inputs_for(version, EvidenceKind.PREDICTIONS)
    return row if row is not None and row.inputs == wanted else None


def inputs_for(version: ModelVersion, kind: EvidenceKind) -> Inputs | None:
    """What a report of this kind would be computed from now; None while something of it is lacking."""
    return _INPUTS[kind](version)


def is_due(version: ModelVersion, kind: EvidenceKind) -> bool:
    """Whether everything for this report is there and the newest one was made from something else, or none is there."""
    wanted = inputs_for(version, kind)
    row = newest(version, kind)
    return wanted is not None and (row is None or row.inputs != wanted)


def lacking(version: ModelVersion, kind: EvidenceKind) -> str | None:
    """The sentence that says what must be there before this report can be made, None when nothing is lacking."""
    if kind is EvidenceKind.ARTIFACT:
        return None
    if not version.artifact_digest:
        return f"The files of {version} have not been read and hashed yet."
    if kind is EvidenceKind.EXPLANATION:
        there, names = explained(version) is not None, "training or evaluation"
    else:
        there, names = data_set(version, DataRole.EVALUATION) is not None, "evaluation"
    return None if there else f"No {names} data set is linked to {version}; link one first."


def _artifact(_version: ModelVersion) -> Inputs:
    return {}  # the files themselves are what goes in


def _predictions(version: ModelVersion) -> Inputs | None:
    rows = data_set(version, DataRole.EVALUATION)
    if not version.artifact_digest or rows is None:
        return None
    spec = {"label": rows.label, "favourable": rows.favourable, "excluded": hidden(rows)}
    return {"artifact": version.artifact_digest, "evaluation": rows.digest, "spec": spec}


def _fairness(version: ModelVersion) -> Inputs | None:
    rows, made = data_set(version, DataRole.EVALUATION), predictions_in_force(version)
    if rows is None or made is None:
        return None
    return {
        "artifact": version.artifact_digest,
        "evaluation": rows.digest,
        "predictions": made.result_digest,
        "spec": {"label": rows.label, "favourable": rows.favourable, "protected": rows.protected},
    }


def _explanation(version: ModelVersion) -> Inputs | None:
    found = explained(version)
    if not version.artifact_digest or found is None:
        return None
    rows, background = found
    return {
        "artifact": version.artifact_digest,
        "rows": rows.digest,
        "background": background.digest,
        "spec": {
            "label": rows.label,
            "favourable": rows.favourable,
            "protected": rows.protected,
            "excluded": sorted({*hidden(rows), *hidden(background), background.label} - {""}),
        },
    }


_INPUTS: Final[Mapping[EvidenceKind, Callable[[ModelVersion], Inputs | None]]] = {
    EvidenceKind.ARTIFACT: _artifact,
    EvidenceKind.PREDICTIONS: _predictions,
    EvidenceKind.FAIRNESS: _fairness,
    EvidenceKind.EXPLANATION: _explanation,
}


def hidden(rows: DataSet) -> list[str]:
    """The columns that no model is to see: those set apart, and those that name a person."""
    return sorted({*rows.excluded, *rows.identifiers})


def is_ok(row: Evidence) -> bool:
    """Whether the report could be made."""
    return row.status == EvidenceStatus.OK
