"""Promotion requests: the inbox, the review page, and the forms that decide, apply, withdraw and resubmit."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import policy, reads
from audit.actors import Actor
from audit.errors import Conflict, DomainError, Invalid, Stale
from audit.events import Action
from audit.subjects import Subject
from registry.actions import promotion
from registry.models import PromotionRequest
from registry.queries import promotion as promotion_queries
from registry.queries import visible
from registry.states import LIVE, DecisionKind, RequestState, Stage
from web.errors import face_of
from web.pages import paging, review
from web.pages.context import may_somewhere, trail_url
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.names import Names, name_in, names_of


class CommentForm(PageForm):
    """A comment, and the content it is about."""

    comment = TextField(label="Comment", required=False, widget=forms.Textarea)
    subject_digest = TextField(required=False, widget=forms.HiddenInput)


# -- the inbox -------------------------------------------------------------------------------------------------------


@page(Action.PROMOTION_VIEW)
def inbox(request: HttpRequest) -> HttpResponse:
    """Live requests, oldest first, with what is needed from the reader; then those that are closed."""
    by = actor_of(request)
    live = visible.promotion_requests(by).filter(state__in=[state.value for state in LIVE]).order_by("opened_at", "id")
    closed = visible.promotion_requests(by).exclude(state__in=[state.value for state in LIVE])
    part = paging.page_of(closed, ("-opened_at", "-id"), request.GET.get("after", ""))
    waiting = list(live[:200])
    names = names_of(row.requested_by for row in [*waiting, *part.rows])
    return render(
        request,
        "promotions/inbox.html",
        {
            "waiting": inbox_table(by, waiting, names),
            "closed": _closed_table(part.rows, names),
            "page": paging.links(request, f"{len(part.rows)} closed requests on this page", part.after),
            "paged": bool(part.after or request.GET.get("after")),
        },
    )


def inbox_table(by: Actor, rows: list[PromotionRequest], names: Names) -> dict[str, Any]:
    """Live requests as a table; what the reader can decide on comes first."""
    # Why something is not theirs is for those who decide elsewhere; to all others it is no news, row after row.
    decides = may_somewhere(by, Action.PROMOTION_DECIDE)
    needs = [(row, needed(by, row, subject)) for row, subject in zip(rows, subjects_of(rows), strict=True)]
    needs.sort(key=lambda pair: not pair[1]["yours"])
    return {
        "id": "waiting",
        "caption": "Live requests, oldest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Request", "State", "Needed from you", "Asked by", "Expires")],
        "rows": [
            [
                {
                    "text": str(row.version),
                    "url": reverse("promotion", args=[row.pk]),
                    "note": f"{_from(row)} → {row.target_stage}",
                },
                {"status": row.state},
                {"text": need["words"], "note": need["why"] if decides else ""},
                {"text": name_in(names, row.requested_by)},
                {"when": row.expires_at},
            ]
            for row, need in needs
        ],
        "empty": {
            "title": "No request is waiting",
            "sentence": "A request appears here when a data scientist asks for the promotion of a model version.",
            "url": reverse("models"),
            "label": "See the models",
        },
    }


def _from(row: PromotionRequest) -> str:
    return "no stage" if row.version.stage == Stage.NONE else row.version.stage


def needed(by: Actor, row: PromotionRequest, subject: Subject) -> dict[str, Any]:
    """What this reader is asked for, in two words, and why not when it is nothing."""
    if row.state == RequestState.CHANGES_REQUESTED:
        own = row.requested_by == by.account
        return {
            "yours": own,
            "words": "Your changes" if own else "Nothing",
            "why": "" if own else "Changes are awaited.",
        }
    if row.state in {RequestState.APPROVED, RequestState.APPLY_FAILED}:
        refusal = policy.why_not(by, Action.PROMOTION_APPLY, subject)
        return {"yours": refusal is None, "words": "Nothing" if refusal else "Apply it", "why": refusal or ""}
    refusal = policy.why_not(by, Action.PROMOTION_DECIDE, subject)
    return {"yours": refusal is None, "words": "Nothing" if refusal else "Your decision", "why": refusal or ""}


subjects_of = PromotionRequest.subjects_of


def _closed_table(rows: list[PromotionRequest], names: Names) -> dict[str, Any]:
    return {
        "id": "closed",
        "caption": "Closed requests, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Request", "Outcome", "Asked by", "Opened", "Closed")],
        "rows": [
            [
                {
                    "text": str(row.version),
                    "url": reverse("promotion", args=[row.pk]),
                    "note": f"to {row.target_stage}",
                },
                {"status": row.state},
                {"text": name_in(names, row.requested_by)},
                {"when": row.opened_at},
                {"when": row.closed_at},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No request was closed yet",
            "sentence": "Requests move here once they are applied, rejected, withdrawn or expired, and stay.",
        },
    }


# -- one request -----------------------------------------------------------------------------------------------------


@page(Action.PROMOTION_VIEW)
def one(request: HttpRequest, request_id: str) -> HttpResponse:
    """The review page."""
    return _review(request, visible.promotion_request(actor_of(request), request_id))


def _review(
    request: HttpRequest, found: PromotionRequest, *, error: DomainError | None = None, comment: str = ""
) -> HttpResponse:
    """The review page as it stands now; after a refusal with its sentence on top and what was typed kept."""
    by = actor_of(request)
    view = promotion_queries.view(by, found)
    reads.seen(by, Action.PROMOTION_VIEW, found, told={"evidence": view.evidence_ids}, once_per=reads.RELOAD)
    names = names_of(review.accounts_in(view))
    buttons, refusals = review.votes(view)
    state = RequestState(found.state)
    is_stale = isinstance(error, Stale)
    context = {
        "view": view,
        "item": found,
        "requester": name_in(names, found.requested_by),
        "is_own": found.requested_by == by.account,
        "deciding_as": "" if view.why_not["reject"] else review.deciding_as(by, found),
        "time_left": review.time_left(found) if state in LIVE else "",
        "moved": review.moved_since(view, by),
        "gates": review.gates(view.gates, view.now.record),
        "gate_counts": review.gate_counts(view.gates),
        "evidence": review.evidence(view.now.record),
        "lineage": review.lineage(view),
        "bound": review.bound(view),
        "barred": review.barred(view, by, names),
        "history": review.history(view, names),
        "buttons": buttons,
        "refusals": refusals,
        "effect": review.effect(view),
        "bar": _bar(state, view),
        "comment": comment,
        "breadcrumb": [{"label": "Promotions", "url": reverse("promotions")}, {"label": str(found)}],
        "trail_url": trail_url(by, "promotion_request", str(found.pk)),
        "grant": review.grant_facts(view),
        "no_evidence": review.NO_EVIDENCE,
        "error": None if is_stale else error,
        "stale": error if is_stale else None,
    }
    return render(request, "promotions/one.html", context, status=int(face_of(error).status) if error else 200)


def _bar(state: RequestState, view: promotion_queries.View) -> str:
    """Which form stands at the foot: a decision, the application of one, a resubmission, or none."""
    if state is RequestState.OPEN or (state is RequestState.APPROVED and view.moved):
        return "decide"
    if state in {RequestState.APPROVED, RequestState.APPLY_FAILED}:
        return "apply"
    return "resubmit" if state is RequestState.CHANGES_REQUESTED else ""


# -- acts ------------------------------------------------------------------------------------------------------------


@page(Action.PROMOTION_DECIDE, "POST")
def decide(request: HttpRequest, request_id: str) -> HttpResponse:
    """A decision on exactly the content the page was rendered with."""
    kind = promotion_queries.KINDS.get(request.POST.get("decision", ""))

    def act(found: PromotionRequest, comment: str, digest: str) -> str:
        if kind is None:
            raise Invalid("Choose one: approve, request changes or reject.", code="no_decision")
        promotion.decide(by=actor_of(request), request=found, kind=kind, subject_digest=digest, comment=comment)
        return f"{_SAID[kind]} {found.version}."

    return _act(request, request_id, act)


_SAID = {
    DecisionKind.APPROVE: "You approved",
    DecisionKind.REQUEST_CHANGES: "You requested changes to",
    DecisionKind.REJECT: "You rejected",
}


@page(Action.PROMOTION_APPLY, "POST")
def apply(request: HttpRequest, request_id: str) -> HttpResponse:
    """Carry out an approved request."""

    def act(found: PromotionRequest, comment: str, digest: str) -> str:
        grant = promotion.apply(by=actor_of(request), request=found, subject_digest=digest)
        return f"{found.version} is in {grant.stage}. Its grant holds until {grant.valid_until:%-d %B %Y}."

    return _act(request, request_id, act)


@page(Action.PROMOTION_WITHDRAW, "POST")
def withdraw(request: HttpRequest, request_id: str) -> HttpResponse:
    """Take one's own request back."""

    def act(found: PromotionRequest, comment: str, digest: str) -> str:
        promotion.withdraw(by=actor_of(request), request=found, comment=comment)
        return "You withdrew this request."

    return _act(request, request_id, act)


@page(Action.PROMOTION_REQUEST, "POST")
def resubmit(request: HttpRequest, request_id: str) -> HttpResponse:
    """Put it before the reviewers again."""

    def act(found: PromotionRequest, comment: str, digest: str) -> str:
        promotion.resubmit(by=actor_of(request), request=found, comment=comment)
        return "The request is open again; reviewers see it as it is now."

    return _act(request, request_id, act)


def _act(request: HttpRequest, request_id: str, act: Callable[[PromotionRequest, str, str], str]) -> HttpResponse:
    """Do it and go back to the page; what can be put right there is said there, with everything typed kept."""
    found = visible.promotion_request(actor_of(request), request_id)
    form = CommentForm(request.POST)
    comment = request.POST.get("comment", "")
    if not form.is_valid():
        wrong = next(iter(form.errors.values()))[0]
        return _review(request, found, error=Invalid(str(wrong)), comment=comment.replace("\x00", ""))
    try:
        said = act(found, form.cleaned_data["comment"], form.cleaned_data["subject_digest"])
    except (Invalid, Conflict) as error:
        fresh = visible.promotion_request(actor_of(request), request_id)
        return _review(request, fresh, error=error, comment=comment)
    messages.success(request, said)
    return HttpResponseRedirect(reverse("promotion", args=[found.pk]))
