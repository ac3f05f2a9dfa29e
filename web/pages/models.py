"""Registered models: the list, and one model with its versions. One version is ``versions.py``."""

from typing import Any

from django.db.models import Count, Max, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from audit.events import Action
from registry import rules
from registry.models import Alias, ModelVersion, PromotionRequest, RegisteredModel
from registry.queries import artifacts, visible
from registry.states import LIVE, Stage
from web.pages import history, paging
from web.pages.context import client_command, trail_url
from web.pages.guard import actor_of, page
from web.pages.names import Names, name_in, names_of

_LIVE = [state.value for state in LIVE]


@page(Action.REGISTRY_VIEW)
def all_models(request: HttpRequest) -> HttpResponse:
    """The registered models by name; ``q`` finds a part of a name."""
    by = actor_of(request)
    wanted = request.GET.get("q", "")[:256].strip()
    rows = visible.models(by)
    if wanted:
        rows = rows.filter(name__icontains=wanted)
    part = paging.page_of(_with_state(rows), ("name",), request.GET.get("after", ""))
    context = {
        "table": _models_table(part.rows, wanted),
        "wanted": wanted,
        "page": paging.links(request, f"{len(part.rows)} models on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
    }
    return render(request, "models/all.html", context)


def _with_state(rows: Any) -> Any:
    """Each model with its newest number, what is in production and what is asked for, in a fixed number of queries."""
    in_production = ModelVersion.objects.filter(stage=Stage.PRODUCTION.value, deleted_at=None)
    live = PromotionRequest.objects.filter(state__in=_LIVE).select_related("version")
    there = Q(versions__deleted_at=None)
    return rows.annotate(
        version_count=Count("versions", filter=there), newest=Max("versions__number", filter=there)
    ).prefetch_related(
        Prefetch("versions", queryset=in_production, to_attr="in_production"),
        Prefetch("promotion_requests", queryset=live, to_attr="live_requests"),
    )


def _models_table(rows: list[Any], wanted: str) -> dict[str, Any]:
    return {
        "id": "models",
        "caption": "Registered models",
        "caption_hidden": True,
        "columns": [
            {"label": "Model"},
            {"label": "In production"},
            {"label": "Waiting"},
            {"label": "Versions", "right": True},
            {"label": "Changed"},
        ],
        "rows": [_model_row(row) for row in rows],
        "empty": _no_models(wanted),
    }


def _model_row(row: Any) -> list[Any]:
    current = row.in_production[0] if row.in_production else None
    live = row.live_requests[0] if row.live_requests else None
    return [
        {
            "text": row.name,
            "url": reverse("model", args=[row.name]),
            "note": (row.description or "")[:140],
        },
        {"text": f"version\u00a0{current.number}", "url": version_url(row.name, current.number)} if current else "–",
        {"text": f"version\u00a0{live.version.number}", "url": reverse("promotion", args=[live.pk])} if live else "–",
        {"text": f"{row.version_count}", "right": True},
        {"when": row.updated_at},
    ]


def _no_models(wanted: str) -> dict[str, str]:
    if wanted:
        return {
            "title": "No model has that in its name",
            "sentence": f"Nothing you may see is called anything like “{wanted[:60]}”.",
            "url": reverse("models"),
            "label": "See all models",
        }
    return {
        "title": "No registered model yet",
        "sentence": "Models appear here when a client registers them. Point the stock MLflow client here:",
        "command": client_command(),
        "url": reverse("tokens"),
        "label": "Make a token",
    }


def version_url(model: str, number: int) -> str:
    """The page of one version."""
    return reverse("version", args=[model, number])


@page(Action.REGISTRY_VIEW)
def one_model(request: HttpRequest, name: str) -> HttpResponse:
    """One model: what it is, its versions, what was asked of it; with ``as_of`` as it was."""
    by = actor_of(request)
    if (at := history.wanted(request)) is not None:
        return history.model_then(request, name, at)
    model = visible.model(by, name)
    versions = ModelVersion.objects.filter(model=model, deleted_at=None).prefetch_related("aliases")
    part = paging.page_of(versions, ("-number",), request.GET.get("after", ""))
    requests = list(visible.promotion_requests(by).filter(model=model).order_by("-opened_at")[:20])
    names = names_of(
        [model.created_by, *(row.created_by for row in part.rows), *(row.requested_by for row in requests)]
    )
    context = {
        "model": model,
        "breadcrumb": [{"label": "Models", "url": reverse("models")}, {"label": model.name}],
        "facts": _model_facts(model, names),
        "versions": _versions_table(model, part.rows, names),
        "requests": requests_table(requests, names),
        "alarms": [rules.alarm_words(alarm) for alarm in artifacts.alarms_on(model)[:20]],
        "page": paging.links(request, f"{len(part.rows)} versions on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "trail_url": trail_url(by, "registered_model", str(model.pk)),
    }
    return render(request, "models/one.html", context)


def _model_facts(model: RegisteredModel, names: Names) -> list[dict[str, Any]]:
    aliases = Alias.objects.filter(model=model).select_related("version").order_by("name")
    return [
        {"term": "Registered", "value": {"when": model.created_at, "note": f"by {name_in(names, model.created_by)}"}},
        {"term": "Changed", "value": {"when": model.updated_at}},
        {
            "term": "Aliases",
            "value": ", ".join(f"{alias.name} → version {alias.version.number}" for alias in aliases) or "none",
        },
        *tag_facts(model),
    ]


def tag_facts(tagged: Any) -> list[dict[str, Any]]:
    """A model's or a version's tags as facts."""
    return [{"term": f"Tag {tag.key}", "value": {"text": tag.value}} for tag in tagged.tags.order_by("key")]


def _versions_table(model: RegisteredModel, rows: list[ModelVersion], names: Names) -> dict[str, Any]:
    return {
        "id": "versions",
        "caption": "Versions, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Version", "Stage", "Aliases", "Artifact", "Registered")],
        "rows": [
            [
                {"text": f"Version {row.number}", "url": version_url(model.name, row.number)},
                stage_value(row.stage),
                ", ".join(sorted(alias.name for alias in row.aliases.all())) or "–",
                {"digest": row.artifact_digest} if row.artifact_digest else {"text": "not hashed yet"},
                {"when": row.created_at, "note": f"by {name_in(names, row.created_by)}"},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No version yet",
            "sentence": "A version appears here when a client registers one under this name.",
            "command": f'mlflow.register_model("runs:/<run id>/model", "{model.name}")',
        },
    }


def stage_value(stage: str) -> dict[str, str]:
    """A stage as a status; MLflow's word for none is no word for people."""
    return {"text": "no stage"} if stage == Stage.NONE.value else {"status": stage}


def requests_table(rows: list[PromotionRequest], names: Names | None) -> dict[str, Any]:
    """Promotion requests of one model, version or person, newest first; without ``names`` it is left out whose."""
    return {
        "id": "requests",
        "caption": "Promotion requests, newest first",
        "caption_hidden": True,
        "columns": [
            {"label": label}
            for label in ("Request", "State", *(["Asked by"] if names is not None else []), "Opened", "Closed")
        ],
        "rows": [
            [
                {
                    "text": f"Version {row.version.number} to {row.target_stage}",
                    "url": reverse("promotion", args=[row.pk]),
                },
                {"status": row.state},
                *([name_in(names, row.requested_by)] if names is not None else []),
                {"when": row.opened_at},
                {"when": row.closed_at} if row.closed_at else "–",
            ]
            for row in rows
        ],
        "empty": {
            "title": "Nothing was asked yet",
            "sentence": "A promotion is asked for on the page of a version; its history stays here.",
        },
    }
