"""The bill of materials of a version: CycloneDX 1.6, an ML-BOM, as JSON.

What the files are, what data and which other versions they came from, what was measured of them. It is meant to leave
the installation, so it names no person. The libraries are those that the model's own ``requirements.txt`` pins.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings

from audit import digests
from audit.clock import now, rfc3339
from audit.errors import Conflict, DomainError
from registry import storage
from registry.integrity import folder_of
from registry.models import DataSet, Evidence, ModelVersion
from registry.states import DataState, EvidenceKind, EvidenceStatus, Outcome

SPEC_VERSION: Final = "1.6"
MEDIA_TYPE: Final = "application/vnd.cyclonedx+json; version=1.6"
_REQUIREMENTS: Final = "requirements.txt"
_MOST_REQUIREMENTS: Final = 256 * 1024
_PINNED: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([A-Za-z0-9][A-Za-z0-9._+!-]*)\s*(?:[;#].*)?"
)
# One of our BOMs about the same content has the same serial number.
_NAMESPACE: Final = uuid.UUID("4b8cf7a1-0e4b-5d0f-9d5a-5b3a3a0b8a11")

Part = dict[str, Any]  # a piece of a BOM, JSON


def of(version: ModelVersion) -> Part:
    """The BOM of a version. Raises Conflict while its files have not been read and hashed."""
    if not version.artifact_digest or version.artifact_manifest is None:
        raise Conflict(f"The files of {version} have not been read and hashed yet.", code="not_pinned")
    data = [
        (link.role, link.data_set)
        for link in version.data_links.select_related("data_set").order_by("role", "data_set__name", "data_set__number")
    ]
    sets = list({row.pk: row for _, row in data}.values())
    libraries = _libraries(version)
    model = _model(version, data)
    content: Part = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": "Plimsoll", "version": settings.PLIMSOLL_VERSION}]
            },
            "component": model,
        },
        "components": [*(_data_set(row, data) for row in sets), *libraries],
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": sorted([*map(_ref, sets), *(one["bom-ref"] for one in libraries)])}
        ],
    }
    serial = uuid.uuid5(_NAMESPACE, digests.of_json(content))
    content["metadata"]["timestamp"] = rfc3339(now())
    return {"serialNumber": f"urn:uuid:{serial}", **content}


def _model(version: ModelVersion, data: list[tuple[str, DataSet]]) -> Part:
    manifest = version.artifact_manifest or {"files": []}
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{version.pk}",
        "name": version.model.name,
        "version": str(version.number),
        **({"description": version.description} if version.description else {}),
        "hashes": [_sha256(version.artifact_digest)],
        "externalReferences": [{"type": "documentation", "url": _address(version)}],
        "pedigree": _pedigree(version),
        "components": [
            {
                "type": "file",
                "bom-ref": f"file:{version.pk}/{entry['path']}",
                "name": entry["path"],
                "hashes": [_sha256(entry["sha256"])],
            }
            for entry in manifest["files"]
        ],
        "properties": _properties(
            {
                "stage": version.stage,
                "artifact:digest": f"sha256 over the canonical manifest of all files: {version.artifact_digest}",
                "mlflow:run": version.run_id,
                "mlflow:logged_model": version.logged_model_id,
            }
        ),
        "modelCard": _card(version, data),
    }


def _address(version: ModelVersion) -> str:
    name = quote(version.model.name, safe="")
    return f"{settings.PLIMSOLL_PUBLIC_URL}/models/{name}/versions/{version.number}/"


def _pedigree(version: ModelVersion) -> Part:
    """Which versions this one grew from, and the commit of the code that made it."""
    parents = list(version.parents.order_by("parent_name", "parent_number", "kind"))
    found: Part = {}
    if parents:
        found["ancestors"] = [
            {
                "type": "machine-learning-model",
                "name": row.parent_name,
                "version": str(row.parent_number),
                "properties": _properties({"lineage": row.kind}),
            }
            for row in parents
        ]
    run = getattr(version, "run_facts", None)
    if run is not None and run.commit:
        found["commits"] = [{"uid": run.commit}]
    if version.run_id:
        found["notes"] = f"Made by MLflow run {version.run_id}."
    return found


def _card(version: ModelVersion, data: list[tuple[str, DataSet]]) -> Part:
    card: Part = {
        "modelParameters": {"datasets": [{"ref": ref} for ref in dict.fromkeys(_ref(row) for _, row in data)]}
    }
    if any(row.label for _, row in data):
        card["modelParameters"]["approach"] = {"type": "supervised"}
    report = version.evidence.filter(kind=EvidenceKind.FAIRNESS.value).order_by("-created_at", "-pk").first()
    if report is not None and report.status == EvidenceStatus.OK:
        card["quantitativeAnalysis"] = {"performanceMetrics": _metrics(report)}
        card["considerations"] = {"fairnessAssessments": _assessments(report)}
    elif report is not None:
        card["considerations"] = {"technicalLimitations": [f"No fairness report could be made: {report.reason}"]}
    run = getattr(version, "run_facts", None)
    if run is not None and run.params:
        card["properties"] = [{"name": f"parameter:{key}", "value": str(run.params[key])} for key in sorted(run.params)]
    return card


def _metrics(report: Evidence) -> list[Part]:
    """Every fairness metric by protected attribute, with its interval; undefined ones are left out."""
    return [
        {
            "type": metric["name"],
            "value": str(metric["value"]),
            "slice": attribute["rule"],
            **(
                {"confidenceInterval": {"lowerBound": str(metric["low"]), "upperBound": str(metric["high"])}}
                if metric["low"] is not None and metric["high"] is not None
                else {}
            ),
        }
        for attribute in report.result["attributes"]
        for metric in attribute["metrics"]
        if metric["value"] is not None
    ]


def _assessments(report: Evidence) -> list[Part]:
    """One assessment for each protected attribute: which metrics failed for whoever is not privileged."""
    return [_assessment(attribute) for attribute in report.result["attributes"]]


def _assessment(attribute: Mapping[str, Any]) -> Part:
    failed = [metric["label"] for metric in attribute["metrics"] if metric["outcome"] == Outcome.FAIL]
    passed = [metric["label"] for metric in attribute["metrics"] if metric["outcome"] == Outcome.PASS]
    found: Part = {"groupAtRisk": f"{attribute['name']}: everyone for whom “{attribute['rule']}” does not hold"}
    if failed:
        found["harms"] = f"Outside the accepted band: {', '.join(failed)}."
    if passed:
        found["benefits"] = f"Within the accepted band: {', '.join(passed)}."
    return found


def _data_set(row: DataSet, data: list[tuple[str, DataSet]]) -> Part:
    roles = sorted({role for role, one in data if one.pk == row.pk})
    kept: dict[str, str] = {
        "rows": str(row.rows),
        "columns": str(len(row.columns)),
        "content": "present" if row.state == DataState.PRESENT else "erased",
        "retention": row.retention,
        "label": row.label,
        "protected": ", ".join(str(attribute["column"]) for attribute in row.protected),
        "mlflow:digest": row.mlflow_digest,
    }
    described: Part = {
        "type": "dataset",
        "name": str(row),
        "description": f"Used for {', '.join(roles)}.",
        "contents": {"properties": _properties(kept)},
        **({"classification": row.classification} if row.classification else {}),
    }
    if row.identifiers:
        sensitive = [f"{column}: {kind}, identifies a person" for column, kind in sorted(row.identifiers.items())]
        described["sensitiveData"] = sensitive
    return {
        "type": "data",
        "bom-ref": _ref(row),
        "name": row.name,
        "version": str(row.number),
        "hashes": [_sha256(row.digest)],
        "data": [described],
    }


def _ref(row: DataSet) -> str:
    return f"data:{row.pk}"


def _libraries(version: ModelVersion) -> list[Part]:
    """The pinned lines of the model's ``requirements.txt``. A copy that is not there or was touched names none."""
    path = f"{folder_of(version.artifact_digest)}/{_REQUIREMENTS}"
    entries = {entry["path"]: entry for entry in (version.artifact_manifest or {"files": []})["files"]}
    entry = entries.get(_REQUIREMENTS)
    if entry is None or entry["size"] > _MOST_REQUIREMENTS:
        return []
    try:
        if storage.describe(path).sha256 != entry["sha256"]:
            return []
        lines = storage.existing(path).read_text(encoding="utf-8").splitlines()
    except (DomainError, OSError, UnicodeDecodeError):
        return []
    pinned = {match[1]: match[2] for line in lines if (match := _PINNED.fullmatch(line.strip()))}
    return [_library(name, pinned[name]) for name in sorted(pinned)]


def _library(name: str, number: str) -> Part:
    plain = re.sub(r"[-_.]+", "-", name).lower()
    purl = f"pkg:pypi/{plain}@{quote(number, safe='')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}


def _sha256(digest: str) -> Part:
    return {"alg": "SHA-256", "content": digest}


def _properties(values: Mapping[str, str]) -> list[Part]:
    return [{"name": f"plimsoll:{name}", "value": value} for name, value in values.items() if value]
