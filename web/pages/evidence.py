"""One piece of evidence: a fairness or an explanation report, an artifact manifest, or the record of predictions."""

import json
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from access import reads
from audit.events import Action
from registry.models import Evidence
from registry.queries import visible
from registry.states import EvidenceKind, EvidenceStatus
from web.charts import number
from web.pages import reports
from web.pages.context import trail_url
from web.pages.guard import actor_of, page
from web.pages.models import version_url
from web.pages.names import name_in, names_of
from web.pages.versions import kind_words


@page(Action.REGISTRY_VIEW)
def one(request: HttpRequest, evidence_id: str) -> HttpResponse:
    """What was found, then what it was computed from."""
    by = actor_of(request)
    row = visible.evidence(by, evidence_id)
    reads.seen(by, Action.EVIDENCE_VIEW, row, told={"result": row.result_digest}, once_per=reads.RELOAD)
    made = row.status == EvidenceStatus.OK
    version = row.version
    context = {
        "row": row,
        "made": made,
        "heading": kind_words(row.kind),
        "breadcrumb": [
            {"label": "Models", "url": reverse("models")},
            {"label": version.model.name, "url": reverse("model", args=[version.model.name])},
            {"label": f"Version {version.number}", "url": version_url(version.model.name, version.number)},
            {"label": kind_words(row.kind)},
        ],
        "facts": _facts(row),
        "inputs": _inputs(row),
        "raw": json.dumps(row.result, indent=2, sort_keys=True, ensure_ascii=False),
        "trail_url": trail_url(by, "evidence", str(row.pk)),
        "body": "",
    }
    if made and row.kind in _BODIES:
        context |= _BODIES[row.kind](row)
    return render(request, "evidence/one.html", context)


def _facts(row: Evidence) -> list[dict[str, Any]]:
    names = names_of([row.requested_by])
    status = {"status": "DONE", "word": "Computed"} if row.status == EvidenceStatus.OK else {"status": "ERROR"}
    return [
        {"term": "Status", "value": status},
        {"term": "Result", "value": {"digest": row.result_digest, "note": "the same inputs and seed give this again"}},
        {
            "term": "Made",
            "value": {"when": row.created_at, "note": f"asked for by {name_in(names, row.requested_by)}"},
        },
        {"term": "Seed", "value": "–" if row.seed is None else str(row.seed)},
        {"term": "Libraries", "value": reports.versions_text(row.versions)},
    ]


def _inputs(row: Evidence) -> list[dict[str, Any]]:
    return [
        {"term": name.replace("_", " ").capitalize(), "value": _input(value)}
        for name, value in sorted(row.inputs.items())
    ] or [{"term": "Inputs", "value": "none recorded"}]


def _input(value: object) -> Any:
    """A digest as one, anything else as its JSON."""
    if isinstance(value, str):
        return {"digest": value} if len(value) == 64 else value
    return json.dumps(value, sort_keys=True, ensure_ascii=False)[:300]


def _fairness(row: Evidence) -> dict[str, Any]:
    report = row.result
    return {
        "body": "evidence/fairness.html",
        "lede": f"Groups compared on {report['rows']:,} rows of the evaluation data; favourable: {report['label']} ="
        f" {report['favourable']}.",
        "method": _fairness_method(report),
        "attributes": [
            {
                "name": attribute["name"],
                "missing": attribute["missing_n"],
                "rates": reports.rates_figure(attribute, "Favourable predictions"),
                "figures": reports.metric_figures({**report, "attributes": [attribute]}, name_attribute=False),
                "gates": reports.metric_gates(attribute),
                "groups": reports.group_table(attribute, f"groups-{position}"),
            }
            for position, attribute in enumerate(report["attributes"])
        ],
    }


def _fairness_method(report: reports.Json) -> list[dict[str, Any]]:
    missing = report["missing"]
    return [
        {"term": "Rows", "value": {"text": f"{report['rows']:,}", "note": f"{missing['left_out']:,} left out"}},
        {"term": "Rows without a label", "value": f"{missing['label']:,}"},
        {"term": "Rows without a prediction", "value": f"{missing['prediction']:,}"},
        {
            "term": "Intervals",
            "value": f"{report['confidence'] * 100:g} %, {report['replicates']:,} bootstrap replicates",
        },
        {"term": "Smallest group judged", "value": f"{report['minimum_group_size']:,} rows"},
    ]


def _explanation(row: Evidence) -> dict[str, Any]:
    report = row.result
    return {
        "body": "evidence/explanation.html",
        "lede": f"What moves the model towards the favourable outcome ({report['favourable']}), over"
        f" {report['rows']:,} rows.",
        "importance": reports.importance_figure(report),
        "features": reports.feature_table(report),
        "notes": report["notes"],
        "method": _explanation_method(report),
    }


def _explanation_method(report: reports.Json) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = [
        {"term": "Method", "value": reports.METHODS.get(report["method"], report["method"])},
        {"term": "Output", "value": report["output_space"]},
        {"term": "Model", "value": {"text": report["model_class"], "note": report["flavour"]}},
        {"term": "Base value", "value": number(report["base_value"])},
        {
            "term": "Additivity error",
            "value": {
                "text": number(report["additivity_error"]),
                "note": f"at most {number(report['additivity_tolerance'])} is allowed",
            },
        },
        {"term": "Background", "value": f"{report['background_rows']:,} rows"},
    ]
    check = report["cross_check"]
    if check:
        note = f"{check['rows']:,} rows computed again with {check['engine']}"
        facts.append(
            {"term": "Cross-check", "value": {"text": f"differs by {number(check['max_difference'])}", "note": note}}
        )
    return facts


def _artifact(row: Evidence) -> dict[str, Any]:
    version = row.version
    manifest = version.artifact_manifest or {"files": []}
    return {
        "body": "evidence/artifact.html",
        "lede": "Every file of this version, read to the last byte and hashed by this service.",
        "files": reports.manifest_table(manifest["files"][:1000]),
        "left_out": max(0, len(manifest["files"]) - 1000),
    }


_BODIES: Final[dict[str, Callable[[Evidence], dict[str, Any]]]] = {
    EvidenceKind.FAIRNESS.value: _fairness,
    EvidenceKind.EXPLANATION.value: _explanation,
    EvidenceKind.ARTIFACT.value: _artifact,
}
