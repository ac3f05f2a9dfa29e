"""A version's files: how they stand on its page, all of them on one of their own; what to take away; the alarms."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from access import policy
from audit.actors import Actor
from audit.errors import Conflict
from audit.events import Action
from registry import bom, model_signing, rules
from registry.actions import checks
from registry.integrity import PLACES
from registry.models import ArtifactAlarm, ArtifactCheck, ModelVersion
from registry.queries import artifacts as queries
from registry.queries import visible
from web.pages import paging, reports
from web.pages.guard import actor_of, page
from web.pages.models import version_url

_SHOWN = 1000


def section(by: Actor, version: ModelVersion) -> dict[str, Any]:
    """What a version's page says of its files: the newest check, a standing alarm, and what can be done."""
    if not version.artifact_digest:
        return {}
    check, alarm = queries.standing(version)
    here = [version.model.name, version.number]
    return {
        "alarm": rules.alarm_words(alarm) if alarm else "",
        "facts": _check_facts(check),
        "action": {
            "label": "Check the files now",
            "name": "check",
            "method": "post",
            "url": reverse("version-check", args=here),
            "why_not": policy.why_not(by, Action.ARTIFACT_CHECK, version),
        },
        "links": [
            {"label": "All files and their digests", "url": reverse("version-files", args=here)},
            {"label": "Signature (OpenSSF model signing)", "url": reverse("version-signature", args=here)},
            {"label": "Public key", "url": reverse("rest:model-signing-key")},
            {"label": "Bill of materials (CycloneDX)", "url": reverse("version-bom", args=here)},
        ],
    }


def _check_facts(check: ArtifactCheck | None) -> list[dict[str, Any]]:
    if check is None:
        return [{"term": "Last read", "value": "not since they were pinned"}]
    facts: list[dict[str, Any]] = [
        {"term": "Last read", "value": {"when": check.checked_at}},
        {"term": "Found", "value": outcome_value(check.outcome)},
    ]
    facts += [
        {"term": PLACES[place].capitalize(), "value": {"text": one["sentence"], "note": differing_words(one)}}
        for place, one in sorted(check.found.items())
    ]
    return [*facts, {"term": "Read again", "value": {"when": check.due_at}}]


def outcome_value(outcome: str) -> dict[str, str]:
    """How a check came out, as a status."""
    return {
        "GOOD": {"status": "PASS", "word": "As pinned"},
        "MISMATCH": {"status": "FAIL", "word": "Not as pinned"},
    }.get(outcome, {"status": "INCONCLUSIVE"})


def foreign(version: ModelVersion) -> dict[str, Any] | None:
    """The data sets that the run of a version logged and that were not taken over, as a table; None for none."""
    rows = list(version.foreign_data_sets.order_by("name", "role")[:100])
    if not rows:
        return None
    return {
        "id": "foreign",
        "caption": "Logged by the run and not taken over",
        "columns": [{"label": label} for label in ("Name in MLflow", "Used for", "MLflow's digest", "Why not")],
        "rows": [
            [
                {"text": row.name, "note": row.source_type},
                row.role or "not said",
                {"text": row.mlflow_digest, "note": "a note, never identity"},
                row.reason,
            ]
            for row in rows
        ],
    }


def differing_words(found: dict[str, Any]) -> str:
    """Which files differ, and how: the first ones by name."""
    named = [f"{entry['path']} ({entry['how']})" for entry in found["differing"][:10]]
    more = len(found["differing"]) - len(named) + found["more"]
    return ", ".join([*named, *([f"and {more:,} more"] if more else [])])


@page(Action.REGISTRY_VIEW)
def files(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """Every file of a version with its size and digest."""
    version = visible.version(actor_of(request), name, number)
    entries = (version.artifact_manifest or {"files": []})["files"]
    context = {
        "version": version,
        "heading": f"Files of {version.model.name}, version {version.number}",
        "breadcrumb": [
            {"label": "Models", "url": reverse("models")},
            {"label": version.model.name, "url": reverse("model", args=[version.model.name])},
            {"label": f"Version {version.number}", "url": version_url(version.model.name, version.number)},
            {"label": "Files"},
        ],
        "count": len(entries),
        "shown": min(len(entries), _SHOWN),
        "table": _files_table(entries[:_SHOWN]),
    }
    return render(request, "artifacts/files.html", context)


def _files_table(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "files",
        "caption": "Files in the order of the manifest",
        "caption_hidden": True,
        "columns": [{"label": "File"}, {"label": "Size", "right": True}, {"label": "SHA-256"}],
        "rows": [
            [
                {"text": entry["path"]},
                {"text": reports.bytes_words(entry["size"]), "right": True},
                {"digest": entry["sha256"]},
            ]
            for entry in entries
        ],
        "empty": {
            "title": "No file is known yet",
            "sentence": "A job reads and hashes the files after a version is registered; they appear here then.",
        },
    }


@page(Action.ARTIFACT_CHECK, "POST")
def check(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """Have the files read again."""
    by = actor_of(request)
    version = visible.version(by, name, number)
    try:
        checks.ask(by=by, version=version)
        messages.success(request, "The files are being read again; what is found appears here.")
    except Conflict as error:
        messages.error(request, error.sentence)
    return HttpResponseRedirect(version_url(version.model.name, version.number))


@page(Action.REGISTRY_VIEW)
def signature(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """The signature as a file."""
    found = model_signing.bundle(visible.version(actor_of(request), name, number))
    return _file(found, model_signing.BUNDLE_TYPE, model_signing.FILENAME)


@page(Action.REGISTRY_VIEW)
def materials(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """The bill of materials as a file."""
    version = visible.version(actor_of(request), name, number)
    return _file(bom.of(version), bom.MEDIA_TYPE, f"version-{version.number}.cdx.json")


def _file(content: dict[str, Any], content_type: str, filename: str) -> HttpResponse:
    answer = JsonResponse(content, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="{filename}"'
    return answer


@page(Action.ARTIFACT_CHECK)
def alarms(request: HttpRequest) -> HttpResponse:
    """Alarms on files, newest first: those that stand, or all."""
    by, everything = actor_of(request), request.GET.get("all") == "true"
    part = paging.page_of(
        queries.alarms(by, standing=not everything), ("-raised_at", "-id"), request.GET.get("after", "")
    )
    context = {
        "table": _alarms_table(part.rows, everything=everything),
        "page": paging.links(request, f"{len(part.rows)} alarms on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "everything": everything,
    }
    return render(request, "artifacts/alarms.html", context)


def _alarms_table(rows: list[ArtifactAlarm], *, everything: bool) -> dict[str, Any]:
    return {
        "id": "alarms",
        "caption": "Alarms, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Model version", "State", "What differs", "Raised", "Cleared")],
        "rows": [
            [
                {"text": str(row.version), "url": version_url(row.version.model.name, row.version.number)},
                {"status": "DONE", "word": "Cleared"} if row.cleared_at else {"status": "FAIL", "word": "Standing"},
                " ".join(f"{one['sentence']} {differing_words(one)}." for _, one in sorted(row.found.items())),
                {"when": row.raised_at},
                {"when": row.cleared_at} if row.cleared_at else "–",
            ]
            for row in rows
        ],
        "empty": {
            "title": "No alarm was ever raised" if everything else "No alarm stands",
            "sentence": "When the files of a version are found to differ from what was pinned, it appears here, and the"
            " version is not promoted until a check finds every byte right again.",
        },
    }
