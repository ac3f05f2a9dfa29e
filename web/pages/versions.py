"""One model version: its content, evidence, jobs and history; and the form that asks for its promotion."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import policy
from audit.errors import Conflict, DomainError, Duplicate, Invalid
from audit.events import Action
from registry import rules
from registry.actions import promotion
from registry.models import Evidence, Grant, Job, ModelVersion, PromotionRequest
from registry.queries import visible
from registry.states import LIVE
from web.errors import face_of
from web.pages import artifacts, history, reports, review
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.models import requests_table, stage_value, tag_facts, version_url
from web.pages.names import Names, name_in, names_of

_TARGETS: Final = [(stage.value, stage.value) for stage in rules.POLICIES]


class PromoteForm(PageForm):
    """Where to, and why."""

    target_stage = TextField(label="To stage", missing="Choose a stage.", widget=forms.Select(choices=_TARGETS))
    justification = TextField(
        label="Justification",
        help_text="What changes for whom, and why now. The reviewer reads this first, and it cannot be edited later.",
        missing="Say why this version should be promoted.",
        widget=forms.Textarea(attrs={"rows": 6}),
    )


@page(Action.REGISTRY_VIEW)
def one_version(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """One version, whole; with ``as_of`` as it was."""
    by = actor_of(request)
    if (at := history.wanted(request)) is not None:
        return history.version_then(request, name, number, at)
    version = visible.version(by, name, number)
    links = list(version.data_links.select_related("data_set").order_by("role", "data_set__name", "data_set__number"))
    evidence = list(version.evidence.defer("result").order_by("-created_at")[:50])
    jobs = list(version.jobs.order_by("-created_at")[:20])
    requests = list(visible.promotion_requests(by).filter(version=version).order_by("-opened_at")[:20])
    grant = Grant.objects.filter(version=version).order_by("-issued_at").first()
    names = names_of(
        [
            version.created_by,
            *(link.data_set.created_by for link in links),
            *(row.requested_by for row in evidence),
            *(row.requested_by for row in jobs),
            *(row.requested_by for row in requests),
        ]
    )
    context = {
        "version": version,
        "heading": f"{version.model.name}, version {version.number}",
        "breadcrumb": _crumbs(version),
        "actions": _version_actions(request, version),
        "facts": _facts(version, names),
        "lineage": _lineage(version),
        "files": artifacts.section(by, version),
        "foreign": artifacts.foreign(version),
        "data": _data_table(links, names),
        "evidence": _evidence_table(evidence, names),
        "jobs": _jobs_table(jobs, names),
        "requests": requests_table(requests, names),
        "grant": _grant_facts(grant),
        "stage": stage_value(version.stage).get("status", ""),
        "trail_url": trail_url(by, "model_version", str(version.pk)),
    }
    return render(request, "models/version.html", context)


def _crumbs(version: ModelVersion, *more: str) -> list[dict[str, str]]:
    here = {"label": f"Version {version.number}"}
    return [
        {"label": "Models", "url": reverse("models")},
        {"label": version.model.name, "url": reverse("model", args=[version.model.name])},
        here | ({"url": version_url(version.model.name, version.number)} if more else {}),
        *({"label": label} for label in more),
    ]


def _version_actions(request: HttpRequest, version: ModelVersion) -> list[dict[str, Any]]:
    """Ask for a promotion; where one is under way, go there instead."""
    live = (
        PromotionRequest.objects.filter(version=version, state__in=[state.value for state in LIVE])
        .order_by("-opened_at")
        .first()
    )
    if live is not None:
        return [{"label": "Open the promotion request", "url": reverse("promotion", args=[live.pk]), "kind": "primary"}]
    if version.stage in {stage.value for stage in rules.POLICIES}:
        return []
    return [
        {
            "label": "Request promotion",
            "name": "promote",
            "kind": "primary",
            "url": reverse("promote", args=[version.model.name, version.number]),
            "why_not": policy.why_not(actor_of(request), Action.PROMOTION_REQUEST, version),
        }
    ]


def _facts(version: ModelVersion, names: Names) -> list[dict[str, Any]]:
    manifest = version.artifact_manifest or {"files": []}
    size = reports.bytes_words(sum(entry["size"] for entry in manifest["files"]))
    hashed = {"digest": version.artifact_digest, "note": f"{len(manifest['files'])} files, {size}"}
    aliases = sorted(alias.name for alias in version.aliases.all())
    return [
        {"term": "Artifact", "value": hashed if version.artifact_digest else "not hashed yet; a job reads every byte"},
        {"term": "Stage", "value": stage_value(version.stage)},
        {"term": "Aliases", "value": ", ".join(aliases) or "none"},
        {
            "term": "Registered",
            "value": {"when": version.created_at, "note": f"by {name_in(names, version.created_by)}"},
        },
        *tag_facts(version),
    ]


def _lineage(version: ModelVersion) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = [{"term": "Source", "value": version.source}]
    if version.run_id:
        facts.append({"term": "Run", "value": version.run_id})
    if version.logged_model_id:
        facts.append({"term": "Logged model", "value": version.logged_model_id})
    if version.artifact_pinned_at:
        facts.append({"term": "Files read", "value": {"when": version.artifact_pinned_at}})
    return facts


def _data_table(links: list[Any], names: Names) -> dict[str, Any]:
    return {
        "id": "data",
        "caption": "Data sets of this version",
        "caption_hidden": True,
        "columns": [{"label": "Data set"}, {"label": "Used for"}, {"label": "Rows", "right": True}, {"label": "Digest"},
                    {"label": "Registered by"}],
        "rows": [
            [
                {
                    "text": str(link.data_set),
                    "url": reverse("data-set", args=[link.data_set.name, link.data_set.number]),
                    "note": "content erased" if link.data_set.state == "erased" else "",
                },
                link.role,
                {"text": f"{link.data_set.rows:,}", "right": True},
                {"digest": link.data_set.digest},
                name_in(names, link.data_set.created_by),
            ]
            for link in links
        ],
        "empty": {
            "title": "No data set is linked",
            "sentence": "Register a data set and link it to this version as training or evaluation data. Promotion to"
            " Production asks for both.",
            "url": reverse("data-sets"),
            "label": "See the data sets",
        },
    }  # fmt: skip


_KINDS: Final = {
    "artifact": "Artifact manifest",
    "check": "Check of the files",
    "data_sets": "Data sets of the run",
    "predictions": "Predictions",
    "fairness": "Fairness report",
    "explanation": "Explanation report",
}


def kind_words(kind: str) -> str:
    """A kind of evidence or job as people read it."""
    return _KINDS.get(kind, kind.capitalize())


def _evidence_table(rows: list[Evidence], names: Names) -> dict[str, Any]:
    return {
        "id": "evidence",
        "caption": "Evidence, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Evidence", "Status", "Result", "Made")],
        "rows": [
            [
                {"text": kind_words(row.kind), "url": reverse("evidence", args=[row.pk]), "note": row.reason[:300]},
                {"status": "DONE", "word": "Computed"} if row.status == "OK" else {"status": "ERROR"},
                {"digest": row.result_digest},
                {"when": row.created_at, "note": f"asked for by {name_in(names, row.requested_by)}"},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No evidence yet",
            "sentence": "When a version is registered, jobs hash its files; once data sets are linked they compute a"
            " fairness and an explanation report. The results appear here and never change.",
        },
    }


def _jobs_table(rows: list[Job], names: Names) -> dict[str, Any]:
    return {
        "id": "jobs",
        "caption": "Jobs, newest first",
        "caption_hidden": True,
        "columns": [{"label": "Job"}, {"label": "State"}, {"label": "Attempts", "right": True}, {"label": "Asked for"},
                    {"label": "Ended"}],
        "rows": [
            [
                {"text": kind_words(row.kind), "note": row.error[:500]},
                {"status": row.state.upper()},
                {"text": f"{row.attempts}", "right": True},
                {"when": row.created_at, "note": f"by {name_in(names, row.requested_by)}"},
                {"when": row.finished_at} if row.finished_at else "–",
            ]
            for row in rows
        ],
        "empty": {"title": "No job yet", "sentence": "Work done for this version by the service appears here."},
    }  # fmt: skip


def _grant_facts(grant: Grant | None) -> list[dict[str, Any]]:
    if grant is None:
        return []
    return [
        {"term": "Stage", "value": {"status": grant.stage}},
        {"term": "State", "value": {"status": grant.state}},
        {"term": "Issued", "value": {"when": grant.issued_at}},
        {"term": "Valid until", "value": {"when": grant.valid_until}},
        {
            "term": "Request",
            "value": {"text": "The decision behind it", "url": reverse("promotion", args=[grant.request_id])},
        },
    ]


# -- asking for a promotion ------------------------------------------------------------------------------------------


@page(Action.PROMOTION_REQUEST, "GET", "POST")
def promote(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """The form, and its answer: a request, and its page."""
    by = actor_of(request)
    version = visible.version(by, name, number)
    if request.method != "POST":
        policy.require_read(by, Action.PROMOTION_REQUEST, version)
        return _promote_form(request, version, PromoteForm())
    form = PromoteForm(request.POST)
    if not form.is_valid():
        return _promote_form(request, version, form, status=400)
    try:
        made = promotion.open_request(by=by, version=version, **form.cleaned_data)
    except (Invalid, Conflict, Duplicate) as error:
        form.refused(error, _field_of(error))
        live = error.details.get("request")
        link = reverse("promotion", args=[live]) if live else ""
        return _promote_form(request, version, form, status=int(face_of(error).status), live_url=link)
    messages.success(request, "The request is open. Reviewers see it among what waits for them.")
    return HttpResponseRedirect(reverse("promotion", args=[made.pk]))


def _field_of(error: DomainError) -> str | None:
    return {"no_justification": "justification", "too_long": "justification", "bad_text": "justification",
            "unknown_stage": "target_stage"}.get(error.code)  # fmt: skip


def _promote_form(
    request: HttpRequest, version: ModelVersion, form: PromoteForm, *, status: int = 200, live_url: str = ""
) -> HttpResponse:
    stage, asked = next(iter(rules.POLICIES.items()))
    record = rules.record_of(version, stage.value)
    found = [gate for gate in rules.gates(record, asked) if gate.required]
    context = {
        "version": version,
        "form": form,
        "breadcrumb": _crumbs(version, "Request promotion"),
        "stage": stage.value,
        "base": record.base,
        "gates": review.gates(found, record, say_required=False),
        "ready": not rules.missing(found),
        "live_url": live_url,
    }
    return render(request, "models/promote.html", context, status=status)
