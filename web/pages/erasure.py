"""Erasure requests: the board, a new case, one request with its plan, and the forms that move it."""

from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from access import policy, reads
from audit.errors import Conflict, DomainError, Invalid, Stale
from audit.events import Action
from audit.subjects import INSTALLATION
from erasure import queries
from erasure.actions import closing, deciding, discovery, execution, filing
from erasure.models import ErasureRequest
from erasure.states import CLOSED, GROUNDS, IDENTIFIER_WORDS, IN_WORK, State
from web.errors import face_of
from web.pages import entries, erasure_case, paging
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.names import names_of

_MOST_OPEN: Final = 200


class Unrepeated(forms.TextInput):
    """A text field that never shows again what was typed: the identifier does not travel back in a page."""

    def format_value(self, value: Any) -> None:
        return None


class FileForm(PageForm):
    """A new case. What is typed into the identifier is sealed at once."""

    external_id = TextField(
        label="Case reference",
        missing="Enter the reference this case has in your correspondence.",
        help_text="From your own case file. It is kept and shown, so it must not name the person.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    identifier_type = forms.ChoiceField(
        label="Kind of identifier",
        choices=[("", "Choose one"), *((kind, words.capitalize()) for kind, words in IDENTIFIER_WORDS.items())],
        error_messages={
            "required": "Choose what kind of identifier you have.",
            "invalid_choice": "Choose from the list.",
        },
    )
    identifier_value = TextField(
        label="Identifier",
        missing="Enter the identifier of the data subject.",
        strip=False,
        help_text="Sealed at once under a key of its own and destroyed when the case closes. It is never shown again.",
        widget=Unrepeated(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    ground = forms.ChoiceField(
        label="Ground",
        choices=[("", "Choose one"), *((code, f"{code}: {words}") for code, words in GROUNDS.items())],
        help_text="Article 17(1) of the GDPR.",
        error_messages={"required": "Choose the ground of the request.", "invalid_choice": "Choose from the list."},
    )
    received_on = forms.DateField(
        label="Received on",
        help_text="The local date on which the request reached you. The days are counted from it.",
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={"required": "Enter the date of receipt.", "invalid": "Enter a date, such as 2026-03-05."},
    )
    country = TextField(
        label="Country",
        missing="Enter the country whose holidays count.",
        help_text="Two letters, such as DE: whose weekends and holidays count.",
        widget=forms.TextInput(attrs={"autocomplete": "country", "size": "4"}),
    )
    subdivision = TextField(
        label="Part of the country",
        required=False,
        help_text="Its code, such as BY, if holidays differ there.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "size": "4"}),
    )


# Which field a refusal is about, by the beginning of its code; the others stand on top.
_FIELDS: Final = {
    "identifier_type": "identifier_type",
    "identifier": "identifier_value",
    "bad_external_id": "external_id",
    "external_id": "external_id",
    "names_person": "external_id",
    "unknown_ground": "ground",
    "bad_country": "country",
    "bad_received_on": "received_on",
}


@page(Action.ERASURE_VIEW)
def board(request: HttpRequest) -> HttpResponse:
    """What is open, the most urgent first; then what is closed."""
    by = actor_of(request)
    waiting = list(queries.open_requests(by)[:_MOST_OPEN])
    part = paging.page_of(queries.closed_requests(by), ("-closed_at", "-id"), request.GET.get("after", ""))
    told = {"requests": len(waiting) + len(part.rows)}
    reads.seen(by, Action.ERASURE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
    names = names_of([*(row.filer for row in waiting), *(row.closed_by for row in part.rows)])
    context = {
        "open": erasure_case.open_table(waiting, names),
        "closed": erasure_case.closed_table(part.rows, names),
        "overdue": sum((queries.due(row).days or 0) < 0 for row in waiting),
        "page": paging.links(request, f"{len(part.rows)} closed requests on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "actions": [
            {
                "label": "File an erasure request",
                "url": reverse("erasure-new"),
                "kind": "primary",
                "name": "file",
                "why_not": policy.why_not(by, Action.ERASURE_FILE, INSTALLATION),
            }
        ],
    }
    return render(request, "erasure/board.html", context)


@page(Action.ERASURE_FILE, "GET", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """The form for a new case."""
    by = actor_of(request)
    if request.method != "POST":
        policy.require_read(by, Action.ERASURE_FILE, INSTALLATION)
        return _form(request, FileForm())
    form = FileForm(request.POST)
    if not form.is_valid():
        policy.require_read(by, Action.ERASURE_FILE, INSTALLATION)
        return _form(request, form, status=400)
    try:
        filed = filing.file(by=by, **form.cleaned_data)
    except (Invalid, Conflict) as error:
        return _refused(request, form, error)
    except DomainError as error:
        if error.code != "external_id_taken":
            raise
        return _refused(request, form, error)
    if filed.is_new:
        messages.success(request, "The request is filed. The data sets are being searched.")
    else:
        messages.info(request, "This case had been filed already, with the same content; here it is.")
    return HttpResponseRedirect(reverse("erasure-request", args=[filed.request.pk]))


def _refused(request: HttpRequest, form: FileForm, error: DomainError) -> HttpResponse:
    field = next((name for start, name in _FIELDS.items() if error.code.startswith(start)), None)
    form.refused(error, field)
    return _form(request, form, status=int(face_of(error).status))


def _form(request: HttpRequest, form: FileForm, status: int = 200) -> HttpResponse:
    if form.is_bound:
        form["identifier_value"].help_text = "Enter it again: what was typed here is never sent back."
    context = {
        "form": form,
        "coverage": erasure_case.coverage_table(queries.coverage()),
        "breadcrumb": [{"label": "Erasure", "url": reverse("erasure")}, {"label": "New request"}],
    }
    return render(request, "erasure/new.html", context, status=status)


@page(Action.ERASURE_VIEW)
def one(request: HttpRequest, request_id: str) -> HttpResponse:
    """One request: facts, plan, progress, obligations, and what the reader can do."""
    return _shown(request, queries.request(actor_of(request), request_id))


def _shown(
    request: HttpRequest, found: ErasureRequest, *, error: DomainError | None = None, comment: str = ""
) -> HttpResponse:
    by = actor_of(request)
    reads.seen(by, Action.ERASURE_VIEW, found, once_per=reads.RELOAD)
    view = queries.view(by, found)
    names = names_of(
        {found.filer, found.approver, found.executor, found.signer, found.closed_by} | entries.accounts_in(view.entries)
    )
    buttons, refusals = erasure_case.buttons(view)
    newest = list(reversed(view.entries))
    is_stale = isinstance(error, Stale)
    context = {
        "view": view,
        "item": found,
        "status": erasure_case.status(found.state),
        "facts": erasure_case.case_facts(view, names),
        "days": erasure_case.day_facts(view, names),
        "planned": found.plan is not None,
        "reached": erasure_case.reached_table(view),
        "versions": erasure_case.versions_table(view),
        "uncovered": erasure_case.uncovered_table(view),
        "history": erasure_case.history(newest, entries.listed(newest, names)),
        "certificate_facts": erasure_case.certificate_facts(view),
        "in_work": found.state in IN_WORK or found.state in {State.RECEIVED, State.APPROVED},
        "buttons": buttons,
        "refusals": refusals,
        "reason_needed": bool(set(erasure_case.REASONED) & set(view.available_actions)),
        "may_comment": any(not button["why_id"] for button in buttons),
        "comment": comment,
        "closed": found.state in CLOSED,
        "trail_url": trail_url(by, "erasure_request", str(found.pk)),
        "breadcrumb": [{"label": "Erasure", "url": reverse("erasure")}, {"label": found.external_id}],
        "error": None if is_stale else error,
        "stale": error if is_stale else None,
    }
    return render(request, "erasure/one.html", context, status=int(face_of(error).status) if error else 200)


@page(Action.ERASURE_VIEW)
def certificate(request: HttpRequest, request_id: str) -> HttpResponse:
    """The signed file, byte for byte."""
    row = queries.certificate(actor_of(request), request_id)
    reads.seen(actor_of(request), Action.ERASURE_VIEW, row.request, told={"certificate": row.sha256})
    response = HttpResponse(bytes(row.content), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{queries.file_name(row)}"'
    return response


# -- acts ------------------------------------------------------------------------------------------------------------

Act = Callable[[HttpRequest, ErasureRequest, str], str]


def _approve(request: HttpRequest, found: ErasureRequest, comment: str) -> str:
    digest = request.POST.get("plan_digest", "")
    deciding.approve(by=actor_of(request), request=found, plan_digest=digest, comment=comment)
    return "You approved the plan. It is being executed."


def _refuse(request: HttpRequest, found: ErasureRequest, comment: str) -> str:
    deciding.refuse(by=actor_of(request), request=found, reason=comment)
    return "You refused the request. Its identifier was destroyed."


def _cancel(request: HttpRequest, found: ErasureRequest, comment: str) -> str:
    deciding.cancel(by=actor_of(request), request=found, reason=comment)
    return "You cancelled the request. Its identifier was destroyed."


def _discover(request: HttpRequest, found: ErasureRequest, comment: str) -> str:
    discovery.again(by=actor_of(request), request=found)
    return "The data sets are being searched again."


def _execute(request: HttpRequest, found: ErasureRequest, comment: str) -> str:
    execution.again(by=actor_of(request), request=found)
    return "The execution is tried again. Somebody else has to sign it off."


def _sign_off(request: HttpRequest, found: ErasureRequest, comment: str) -> str:
    closing.sign_off(by=actor_of(request), request=found, comment=comment)
    return "The request is completed. Its certificate can be downloaded, and its identifier was destroyed."


def _view(owner: Action, act: Act) -> Callable[..., Any]:
    """The view that does one act and goes back to the page; a refusal is said there, with what was typed kept."""

    @page(owner, "POST")
    def done(request: HttpRequest, request_id: str) -> HttpResponse:
        found = queries.request(actor_of(request), request_id)
        comment = request.POST.get("comment", "")
        try:
            messages.success(request, act(request, found, comment))
        except DomainError as error:
            # What names the person is not sent back either.
            kept = "" if error.code == "names_person" else comment.replace("\x00", "")
            return _shown(request, queries.request(actor_of(request), request_id), error=error, comment=kept)
        return HttpResponseRedirect(reverse("erasure-request", args=[found.pk]))

    return done


urlpatterns: list[URLPattern] = [
    path("erasure/", board, name="erasure"),
    path("erasure/new/", new, name="erasure-new"),
    path("erasure/<str:request_id>/", one, name="erasure-request"),
    path("erasure/<str:request_id>/certificate/", certificate, name="erasure-certificate"),
    path("erasure/<str:request_id>/approve/", _view(Action.ERASURE_APPROVE, _approve), name="erasure-approve"),
    path("erasure/<str:request_id>/refuse/", _view(Action.ERASURE_REFUSE, _refuse), name="erasure-refuse"),
    path("erasure/<str:request_id>/cancel/", _view(Action.ERASURE_CANCEL, _cancel), name="erasure-cancel"),
    path("erasure/<str:request_id>/discover/", _view(Action.ERASURE_DISCOVER, _discover), name="erasure-discover"),
    path("erasure/<str:request_id>/execute/", _view(Action.ERASURE_EXECUTE, _execute), name="erasure-execute"),
    path("erasure/<str:request_id>/sign-off/", _view(Action.ERASURE_SIGN, _sign_off), name="erasure-sign-off"),
]
