"""OpenLineage events, specification 2-0-2: what the registry tells catalogues and lineage tools.

Registering a version is a run that completes with the data sets and versions it was made of as inputs and the version
as output; linking a data set later is a run of its own, so that no reader has to take a second end of the first one.
Which rows make up the feed is ``registry/queries/lineage_feed.py``. Nothing here says who did it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings

from audit.clock import rfc3339
from registry.models import DataSet, ModelVersion, VersionRun

SPEC: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
RUN_EVENT: Final = f"{SPEC}#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets"
_VERSION: Final = f"{_FACETS}/1-0-0/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
_SCHEMA: Final = f"{_FACETS}/1-0-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet"
_JOB_TYPE: Final = f"{_FACETS}/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"
_SOURCE: Final = f"{_FACETS}/1-0-1/SourceCodeLocationJobFacet.json#/$defs/SourceCodeLocationJobFacet"
# A facet of our own is checked as the kind of facet it is.
_OWN: Final = {kind: f"{SPEC}#/$defs/{kind}" for kind in ("RunFacet", "DatasetFacet", "InputDatasetFacet")}
_MOST_FIELDS: Final = 1000

# An event or a part of one, as JSON.
Json = dict[str, Any]


def registered(
    version: ModelVersion,
    *,
    data: Sequence[tuple[str, DataSet]],
    parents: Sequence[tuple[str, ModelVersion]],
    run: VersionRun | None,
    hidden: int = 0,
) -> Json:
    """A version was registered. ``data`` and ``parents`` are (role, row); ``hidden`` counts what may not be seen."""
    facets = {
        "plimsoll_registration": _facet(
            _OWN["RunFacet"],
            model=version.model.name,
            version=version.number,
            mlflowRunId=version.run_id,
            hiddenInputs=hidden,
        )
    }
    return _event(
        at=version.created_at,
        run_id=version.pk,
        run_facets=facets,
        job=_job(version.model.name, "register", "MODEL_REGISTRATION", run),
        inputs=[*(_data_input(role, row) for role, row in data), *(_model_input(kind, row) for kind, row in parents)],
        output=_model(version),
    )


def linked(version: ModelVersion, role: str, row: DataSet | None, *, link: int, at: datetime) -> Json:
    """A data set was linked to a version that was there already; None when the reader may not see it."""
    facets = {
        "plimsoll_link": _facet(
            _OWN["RunFacet"], model=version.model.name, version=version.number, role=role, hiddenInputs=int(row is None)
        )
    }
    return _event(
        at=at,
        run_id=uuid5(NAMESPACE_URL, f"{namespace()}/links/{link}"),
        run_facets=facets,
        job=_job(version.model.name, "link", "DATA_SET_LINK", None),
        inputs=[] if row is None else [_data_input(role, row)],
        output=_model(version),
    )


def namespace() -> str:
    """The name space of this installation's models and data sets."""
    return f"plimsoll://{settings.PLIMSOLL_ORIGIN}"


def _event(*, at: datetime, run_id: UUID, run_facets: Json, job: Json, inputs: Sequence[Json], output: Json) -> Json:
    return {
        "eventType": "COMPLETE",
        "eventTime": rfc3339(at),
        "producer": settings.PLIMSOLL_PUBLIC_URL,
        "schemaURL": RUN_EVENT,
        "run": {"runId": str(run_id), "facets": run_facets},
        "job": job,
        "inputs": list(inputs),
        "outputs": [output],
    }


def _facet(schema: str, **values: Any) -> Json:
    return {"_producer": settings.PLIMSOLL_PUBLIC_URL, "_schemaURL": schema, **values}


def _job(model: str, act: str, job_type: str, run: VersionRun | None) -> Json:
    facets = {"jobType": _facet(_JOB_TYPE, processingType="BATCH", integration="PLIMSOLL", jobType=job_type)}
    if run is not None and run.commit and run.repository.startswith(("https://", "http://", "ssh://", "git://")):
        facets["sourceCodeLocation"] = _facet(
            _SOURCE, type="git", url=run.repository, repoUrl=run.repository, version=run.commit
        )
    return {"namespace": namespace(), "name": f"models/{model}/{act}", "facets": facets}


def _data_input(role: str, row: DataSet) -> Json:
    fields = [{"name": str(each["name"]), "type": str(each["type"])} for each in row.columns[:_MOST_FIELDS]]
    return {
        "namespace": namespace(),
        "name": f"data-sets/{row.name}",
        "facets": {
            "version": _facet(_VERSION, datasetVersion=str(row.number)),
            "schema": _facet(_SCHEMA, fields=fields),
            "plimsoll_content": _facet(_OWN["DatasetFacet"], sha256=row.digest, rows=row.rows, state=row.state),
        },
        "inputFacets": {"plimsoll_role": _facet(_OWN["InputDatasetFacet"], role=role)},
    }


def _model_input(kind: str, row: ModelVersion) -> Json:
    return {**_model(row), "inputFacets": {"plimsoll_role": _facet(_OWN["InputDatasetFacet"], role=kind)}}


def _model(row: ModelVersion) -> Json:
    content: Mapping[str, Any] = {"sha256": row.artifact_digest}
    return {
        "namespace": namespace(),
        "name": f"models/{row.model.name}",
        "facets": {
            "version": _facet(_VERSION, datasetVersion=str(row.number)),
            "plimsoll_content": _facet(_OWN["DatasetFacet"], **content),
        },
    }
