"""Forgetting the person behind an account: what it does is said first, and it is confirmed by the user name."""

from typing import Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import policy, queries
from access.erasing import MOST_REASON, LegalBasis, erase_person
from access.models import User
from audit.errors import Conflict, Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page

_BASES: Final = {
    LegalBasis.NO_LONGER_NECESSARY: "Art. 17(1)(a): the data are no longer needed",
    LegalBasis.CONSENT_WITHDRAWN: "Art. 17(1)(b): consent was withdrawn",
    LegalBasis.OBJECTION: "Art. 17(1)(c): the person objects",
    LegalBasis.UNLAWFUL: "Art. 17(1)(d): the data were processed unlawfully",
    LegalBasis.LEGAL_OBLIGATION: "Art. 17(1)(e): the law demands it",
}


class ErasingForm(PageForm):
    """Why, and a name typed by hand: it cannot be taken back."""

    legal_basis = forms.ChoiceField(
        label="Legal basis",
        choices=[(basis.value, words) for basis, words in _BASES.items()],
        error_messages={"required": "Choose a legal basis.", "invalid_choice": "There is no such legal basis."},
    )
    reason = TextField(label="Why", help_text="It is recorded. Name nobody.", required=False, max_length=MOST_REASON)
    confirmed = TextField(
        label="User name, to confirm",
        missing="Type the user name of the account to confirm.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


@page(Action.PRIVACY_ERASE, "GET", "POST")
def erase(request: HttpRequest, user_id: str) -> HttpResponse:
    """The form, and its answer."""
    by = actor_of(request)
    policy.require_read(by, Action.PRIVACY_ERASE, INSTALLATION)
    user = queries.people(by).filter(pk=uuid_of(user_id)).first()
    if user is None:
        raise NotFound("There is no such account.")
    if request.method != "POST":
        return _form_page(request, user, ErasingForm())
    form = ErasingForm(request.POST)
    if not form.is_valid():
        return _form_page(request, user, form, 400)
    values = form.cleaned_data
    if values["confirmed"] != user.username:
        form.add_error("confirmed", "This is not the user name of the account.")
        return _form_page(request, user, form, 400)
    try:
        done = erase_person(by=by, user=user, legal_basis=LegalBasis(values["legal_basis"]), reason=values["reason"])
    except (Invalid, Conflict) as error:
        form.refused(error)
        return _form_page(request, user, form, int(face_of(error).status))
    messages.success(request, f"The person was erased: {done.openings} values in the trail were deleted.")
    return HttpResponseRedirect(reverse("person", args=[user.pk]))


def _form_page(request: HttpRequest, user: User, form: ErasingForm, status: int = 200) -> HttpResponse:
    crumbs = [
        {"label": "People", "url": reverse("people")},
        {"label": user.username, "url": reverse("person", args=[user.pk])},
        {"label": "Erase"},
    ]
    return render(request, "people/erase.html", {"person": user, "form": form, "breadcrumb": crumbs}, status=status)
