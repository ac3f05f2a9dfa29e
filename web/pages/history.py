"""The past: the history of stages and aliases of a model, and a model or a version as it was at an instant."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from audit.clock import rfc3339
from audit.errors import Invalid
from audit.events import Action
from registry.models import Tenure
from registry.queries import as_of, history, visible
from registry.states import Stage, TenureKind
from web.pages import paging
from web.pages.context import trail_url, url_or_none
from web.pages.guard import actor_of, page
from web.pages.names import Names, name_in, names_of

# What a browser's own field for a date and a time sends: no zone, and no seconds unless asked for.
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?")
_SIZE: Final = 50


def wanted(request: HttpRequest) -> datetime | None:
    """The instant in ``as_of``, None for now; without a zone it is UTC, as every time on these pages."""
    text = request.GET.get("as_of", "").strip()
    if not text:
        return None
    if match := _LOCAL.fullmatch(text):
        text = f"{text}Z" if match[1] else f"{text}:00Z"
    return as_of.instant(text)


@page(Action.REGISTRY_VIEW)
def of_model(request: HttpRequest, name: str) -> HttpResponse:
    """Which version held which stage and alias, and when; and what served at an instant."""
    by = actor_of(request)
    model = visible.model(by, name)
    part = history.of_model(model, after=request.GET.get("after", ""), most=_SIZE)
    at = wanted(request)
    held = request.GET.get("held", "")[:260]
    kind, what = _asked(held)
    served = as_of.served(by, model.name, kind, what, at) if at is not None else []
    names = names_of(
        [
            *(each for row in part.lines for each in (row.tenure.by, row.tenure.ended_by)),
            *(each.tenure.by for each in served),
            *(decision.by for each in served if each.request for decision in each.request.decisions),
        ]
    )
    trail = bool(trail_url(by, "registered_model", str(model.pk)))
    context = {
        "model": model,
        "breadcrumb": _crumbs(model.name, "History"),
        "table": _table(model.name, part.lines, names, trail=trail),
        "page": paging.links(request, f"{len(part.lines)} rows on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "at": at,
        "at_text": _field_text(at),
        "holdings": _holdings(model.pk, held),
        "what": f"{kind.value} {what}",
        "served": [_served(each, at, names) for each in served] if at is not None else [],
    }
    return render(request, "history/model.html", context)


def _asked(held: str) -> tuple[TenureKind, str]:
    """``stage:Production`` or ``alias:champion``. Raises Invalid."""
    kind, _, name = (held or f"stage:{Stage.PRODUCTION.value}").partition(":")
    if kind == TenureKind.ALIAS.value and name:
        return TenureKind.ALIAS, name.replace("\x00", "\ufffd")
    if kind == TenureKind.STAGE.value:
        return TenureKind.STAGE, as_of.stage_of(name)
    raise Invalid("Ask for a stage or an alias that a version can hold.", code="bad_question")


def _holdings(model: Any, held: str) -> list[dict[str, Any]]:
    """What can be asked for: what some version of the model held once, and Production in any case."""
    pairs = set(Tenure.objects.filter(model=model).values_list("kind", "name").distinct()[:200])
    pairs.add((TenureKind.STAGE.value, Stage.PRODUCTION.value))
    asked = held or f"stage:{Stage.PRODUCTION.value}"
    return [
        {"value": f"{kind}:{name}", "label": f"{name} ({kind})", "on": f"{kind}:{name}" == asked}
        for kind, name in sorted(pairs, key=lambda pair: (pair[0] == TenureKind.ALIAS.value, pair[1]))
    ]


def _field_text(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _served(each: as_of.Served, at: datetime, names: Names) -> dict[str, Any]:
    row, request = each.version.row, each.request
    facts: list[dict[str, Any]] = [
        {"term": "Version", "value": {"text": f"Version {row.number}", "url": _then_url(each, at)}},
        {
            "term": "Since",
            "value": {"when": each.tenure.period.lower, "note": f"by {name_in(names, each.tenure.by)}"},
        },
        {"term": "Until", "value": {"when": each.tenure.period.upper} if each.tenure.period.upper else "it still does"},
        {"term": "Evidence by then", "value": ", ".join(sorted({one.kind for one in each.version.evidence})) or "none"},
    ]
    if request is not None:
        said = [f"{one.kind.replace('_', ' ').lower()} by {name_in(names, one.by)}" for one in request.decisions]
        url = reverse("promotion", args=[request.row.pk])
        facts.append({"term": "Decided", "value": {"text": "; ".join(said) or "no decision", "url": url}})
    return {"facts": facts}


def _then_url(each: as_of.Served, at: datetime) -> str:
    row = each.version.row
    return f"{reverse('version', args=[row.model.name, row.number])}?as_of={rfc3339(at)}"


def _table(model: str, lines: Sequence[history.Line], names: Names, *, trail: bool) -> dict[str, Any]:
    return {
        "id": "history",
        "caption": "Stages and aliases, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Held", "Version", "From", "Until", "On whose act")],
        "rows": [_line(model, line, names, trail=trail) for line in lines],
        "empty": {
            "title": "No version held a stage or an alias yet",
            "sentence": "Every stage and alias a version is given appears here, with when it began and ended.",
        },
    }


def _line(model: str, line: history.Line, names: Names, *, trail: bool) -> list[Any]:
    row = line.tenure
    return [
        {"text": row.name, "note": row.kind},
        {"text": f"Version {line.version}", "url": reverse("version", args=[model, line.version])},
        {"when": row.period.lower, "note": f"by {name_in(names, row.by)}" if row.by else ""},
        {"when": row.period.upper, "note": f"by {name_in(names, row.ended_by)}" if row.ended_by else ""}
        if row.period.upper
        else "it lasts",
        _cause(line, trail=trail),
    ]


def _cause(line: history.Line, *, trail: bool) -> dict[str, str] | str:
    """The promotion behind it, or else its entry for those who read the trail."""
    if line.tenure.grant is not None:
        return {"text": "a promotion", "url": reverse("promotion", args=[line.tenure.grant.request_id])}
    url = url_or_none("trail-entry", line.entry) if trail and line.entry else None
    if not line.tenure.action:
        return "recorded before acts were"
    return {"text": line.tenure.action, "url": url} if url else line.tenure.action


def _crumbs(model: str, *more: str) -> list[dict[str, str]]:
    last = [{"label": label} for label in more]
    return [
        {"label": "Models", "url": reverse("models")},
        {"label": model, "url": reverse("model", args=[model])},
        *last,
    ]


# -- as it was -------------------------------------------------------------------------------------------------------


def model_then(request: HttpRequest, name: str, at: datetime) -> HttpResponse:
    """A model as it was: its versions with the stages and aliases they held."""
    by = actor_of(request)
    model = as_of.model(by, name, at)
    there = as_of.present(model, at).defer("artifact_manifest").order_by("-number")
    found = as_of.versions(there[: paging.SIZE], at)
    names = names_of(each.row.created_by for each in found)
    context = {
        "heading": f"{model.name}, as it was",
        "breadcrumb": _crumbs(model.name, "As it was"),
        "at": at,
        "at_text": _field_text(at),
        "now_url": reverse("model", args=[model.name]),
        "versions": _versions_then(found, at, names),
        "more": len(found) == paging.SIZE,
    }
    return render(request, "history/model_then.html", context)


def _versions_then(found: Sequence[as_of.VersionThen], at: datetime, names: Names) -> dict[str, Any]:
    return {
        "id": "versions",
        "caption": "Versions at that time, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Version", "Stage", "Aliases", "Artifact", "Registered")],
        "rows": [
            [
                {
                    "text": f"Version {each.row.number}",
                    "url": f"{reverse('version', args=[each.row.model.name, each.row.number])}?as_of={rfc3339(at)}",
                    "note": "deleted since" if each.row.deleted_at else "",
                },
                _stage(each.stage),
                ", ".join(each.aliases) or "–",
                _digest(each, at),
                {"when": each.row.created_at, "note": f"by {name_in(names, each.row.created_by)}"},
            ]
            for each in found
        ],
        "empty": {"title": "No version yet", "sentence": "At that time no version of this model was registered."},
    }


def _stage(stage: str) -> dict[str, str]:
    return {"text": "no stage"} if stage == Stage.NONE else {"status": stage}


def _digest(each: as_of.VersionThen, at: datetime) -> dict[str, str]:
    found = as_of.digest(each.row, at)
    return {"digest": found} if found else {"text": "not hashed yet"}


def version_then(request: HttpRequest, name: str, number: str, at: datetime) -> HttpResponse:
    """A version as it was: what it held, on which data and evidence."""
    by = actor_of(request)
    found = as_of.version(by, name, number, at)
    requests = visible.promotion_requests(by).filter(version=found.row, opened_at__lte=at).order_by("-opened_at")
    then = as_of.requests_then(list(requests[:20]), at)
    accounts = [found.row.created_by, *(row.by for row in found.held)]
    accounts += [decision.by for each in then for decision in each.decisions]
    names = names_of(accounts)
    here = reverse("version", args=[found.row.model.name, found.row.number])
    context = {
        "heading": f"{found.row.model.name}, version {found.row.number}, as it was",
        "breadcrumb": [*_crumbs(found.row.model.name), {"label": f"Version {found.row.number}", "url": here},
                       {"label": "As it was"}],
        "at": at,
        "at_text": _field_text(at),
        "now_url": "" if found.row.deleted_at else here,
        "deleted_at": found.row.deleted_at,
        "facts": _facts_then(found, at, names),
        "held": _held_then(found, names),
        "data": _data_then(found),
        "evidence": _evidence_then(found),
        "requests": _requests_then(then, names),
    }  # fmt: skip
    return render(request, "history/version_then.html", context)


def _facts_then(found: as_of.VersionThen, at: datetime, names: Names) -> list[dict[str, Any]]:
    unknown = "not kept over time, and changed since"
    facts: list[dict[str, Any]] = [
        {"term": "Artifact", "value": _digest(found, at)},
        {"term": "Stage", "value": _stage(found.stage)},
        {"term": "Aliases", "value": ", ".join(found.aliases) or "none"},
        {
            "term": "Registered",
            "value": {"when": found.row.created_at, "note": f"by {name_in(names, found.row.created_by)}"},
        },
        {"term": "Source", "value": "gone with the version" if "source" in found.unknown else found.row.source},
        {
            "term": "Description",
            "value": unknown if "description" in found.unknown else (found.row.description or "none"),
        },
    ]
    return facts


def _held_then(found: as_of.VersionThen, names: Names) -> dict[str, Any]:
    return {
        "id": "held",
        "caption": "What it held",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Held", "Since", "Until", "On whose act")],
        "rows": [
            [
                {"text": row.name, "note": row.kind},
                {"when": row.period.lower, "note": f"by {name_in(names, row.by)}" if row.by else ""},
                {"when": row.period.upper} if row.period.upper else "it still does",
                {"text": "a promotion", "url": reverse("promotion", args=[row.grant.request_id])}
                if row.grant
                else row.action or "–",
            ]
            for row in found.held
        ],
        "empty": {"title": "Nothing", "sentence": "At that time it held no stage and no alias."},
    }


def _data_then(found: as_of.VersionThen) -> dict[str, Any]:
    return {
        "id": "data",
        "caption": "Data sets linked by then",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Data set", "Used for", "Digest", "Linked")],
        "rows": [
            [
                {
                    "text": str(link.data_set),
                    "url": reverse("data-set", args=[link.data_set.name, link.data_set.number]),
                },
                link.role,
                {"digest": link.data_set.digest},
                {"when": link.created_at},
            ]
            for link in found.data
        ],
        "empty": {"title": "None", "sentence": "At that time no data set was linked to it."},
    }


def _evidence_then(found: as_of.VersionThen) -> dict[str, Any]:
    return {
        "id": "evidence",
        "caption": "Evidence by then",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Evidence", "Status", "Result", "Made")],
        "rows": [
            [
                {"text": row.kind, "url": reverse("evidence", args=[row.pk])},
                {"status": "DONE", "word": "Computed"} if row.status == "OK" else {"status": "ERROR"},
                {"digest": row.result_digest},
                {"when": row.created_at},
            ]
            for row in reversed(found.evidence)
        ],
        "empty": {"title": "None", "sentence": "At that time there was no evidence."},
    }


def _requests_then(then: Sequence[as_of.RequestThen], names: Names) -> dict[str, Any]:
    return {
        "id": "requests",
        "caption": "Promotion requests by then, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Request", "State then", "Decisions by then", "Opened")],
        "rows": [
            [
                {"text": f"To {each.row.target_stage}", "url": reverse("promotion", args=[each.row.pk])},
                {"status": each.state},
                "; ".join(f"{one.kind.replace('_', ' ').lower()} by {name_in(names, one.by)}" for one in each.decisions)
                or "–",
                {"when": each.row.opened_at},
            ]
            for each in then
        ],
        "empty": {"title": "None", "sentence": "At that time nobody had asked for a promotion of it."},
    }
