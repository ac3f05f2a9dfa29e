"""The start page: what waits for the reader, by role, and what would appear where nothing does."""

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import grants, policy, queries, reads
from audit.actors import Actor
from audit.events import Action
from audit.queries import Filter, search
from audit.subjects import TRAIL, Subject
from registry.models import Job, PromotionRequest
from registry.queries import artifacts, visible
from registry.states import LIVE, JobState
from web.pages import entries, promotions
from web.pages.context import client_command, fresh_standing, may_somewhere, url_or_none
from web.pages.guard import actor_of, open_page
from web.pages.models import requests_table, version_url
from web.pages.names import names_of
from web.pages.trail_logs import banner
from web.pages.versions import kind_words

_LIVE = [state.value for state in LIVE]
_SHOWN = 10


@open_page("GET")
def home(request: HttpRequest) -> HttpResponse:
    """For strangers the sign-in page; for everyone else what their roles are for."""
    by = actor_of(request)
    if by.account is None:
        return HttpResponseRedirect(reverse("sign-in"))
    context: dict[str, Any] = {"has_role": bool(grants.held_by(by)), "no_role": _NO_ROLE}
    if may_somewhere(by, Action.PROMOTION_DECIDE):
        context["waiting"] = _waiting(by)
    if may_somewhere(by, Action.PROMOTION_REQUEST):
        context |= _own_work(by)
    if policy.why_not(by, Action.TRAIL_VIEW, TRAIL) is None:
        context |= _trail(by)
    if may_somewhere(by, Action.ARTIFACT_CHECK):
        context["alarms"] = artifacts.alarms(by, standing=True).count()
    if may_somewhere(by, Action.ERASURE_FILE):
        context["erasure_url"] = url_or_none("erasure")
    if may_somewhere(by, Action.USER_CREATE):
        context |= _people(by)
    return render(request, "home.html", context)


_NO_ROLE = {
    "title": "You have no role yet",
    "sentence": "An administrator grants roles. Once you have one, what waits for you appears here.",
}


def _waiting(by: Actor) -> dict[str, Any]:
    """What a reviewer can act on, the oldest first; requests that need nothing from them stay on the inbox page."""
    rows = list(visible.promotion_requests(by).filter(state__in=_LIVE).order_by("opened_at", "id")[:200])
    pairs = zip(rows, promotions.subjects_of(rows), strict=True)
    mine = [row for row, subject in pairs if promotions.needed(by, row, subject)["yours"]]
    table = promotions.inbox_table(by, mine[:_SHOWN], names_of(row.requested_by for row in mine))
    return table | {
        "id": "yours",
        "empty": {
            "title": "Nothing waits for your decision",
            "sentence": "When somebody asks for a promotion that you may decide on, it appears here.",
            "url": reverse("promotions"),
            "label": "See all requests",
        },
    }


def _own_work(by: Actor) -> dict[str, Any]:
    """A scientist's requests and the jobs behind their versions."""
    own: list[PromotionRequest] = list(
        visible.promotion_requests(by).filter(requested_by=by.account).order_by("-opened_at")[:_SHOWN]
    )
    table = requests_table(own, None)
    for cells, row in zip(table["rows"], own, strict=True):
        cells[0] |= {"text": str(row.version), "note": f"to {row.target_stage}"}
    unfinished = Q(state__in=[JobState.QUEUED.value, JobState.RUNNING.value, JobState.FAILED.value])
    jobs = list(
        Job.objects.filter(unfinished, version__in=visible.versions(by), requested_by=by.account)
        .select_related("version__model")
        .order_by("-created_at")[:_SHOWN]
    )
    return {
        "requests": table
        | {
            "id": "own-requests",
            "empty": {
                "title": "You have not asked for a promotion yet",
                "sentence": "Register a model with the stock MLflow client, then ask on the page of its version."
                " Point the client here, with a token:",
                "command": client_command(),
                "url": reverse("tokens"),
                "label": "Make a token",
            },
        },
        "jobs": _jobs_table(jobs),
    }


def _jobs_table(jobs: list[Job]) -> dict[str, Any]:
    return {
        "id": "own-jobs",
        "caption": "Jobs that wait, run or failed",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Job", "For", "State", "Asked for")],
        "rows": [
            [
                {"text": kind_words(job.kind), "note": job.error[:300]},
                {"text": str(job.version), "url": version_url(job.version.model.name, job.version.number)},
                {"status": job.state.upper()},
                {"when": job.created_at},
            ]
            for job in jobs
        ],
        "empty": {
            "title": "No job is under way",
            "sentence": "Hashing, fairness and explanation reports of your versions appear here while they wait or run,"
            " and stay when they fail.",
        },
    }


_REFUSALS = Subject(type="page", id="home", label="the newest refusals")


def _trail(by: Actor) -> dict[str, Any]:
    """Where the log stands, and the newest refusals."""
    rows = search(Filter(outcome="denied"), size=5, paths=reads.openings(by)).entries
    reads.seen(by, Action.TRAIL_VIEW, _REFUSALS, told={"entries": [str(row.id) for row in rows]}, once_per=reads.RELOAD)
    return {
        "banner": banner(fresh_standing("admin")),
        "refusals": entries.listed(rows, names_of(entries.accounts_in(rows))),
        "no_refusals": {
            "title": "Nothing was refused yet",
            "sentence": "Attempts that the policy or the state of things did not allow appear here, newest first.",
        },
    }


def _people(by: Actor) -> dict[str, Any]:
    """What an administrator looks after: accounts that can do nothing."""
    return {"people_count": queries.people(by).count(), "idle_people": list(queries.idle(by)[:_SHOWN])}
