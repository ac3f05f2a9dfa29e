"""The reader's own tokens: see them, make one (its secret is shown once), end one."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import actions, policy, queries
from access.models import Token, User
from audit.actors import Actor
from audit.clock import now
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages.context import client_command
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page

_LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}


class TokenForm(PageForm):
    """A name, and for how long."""

    name = TextField(
        label="Name",
        help_text="To tell it from your others: the machine or script that will hold it.",
        missing="Give it a name.",
    )
    days = forms.ChoiceField(
        label="It works for",
        choices=list(_LIFETIMES.items()),
        required=False,
        initial="90",
        error_messages={"invalid_choice": "Choose one of the periods."},
    )


@page(Action.TOKEN_CREATE, "GET", "POST")
def tokens(request: HttpRequest) -> HttpResponse:
    """The list and the form; after making one, its secret, this once."""
    by = actor_of(request)
    policy.require(by, Action.TOKEN_CREATE, INSTALLATION)
    if request.method != "POST":
        return _page(request, TokenForm())
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=400)
    days = form.cleaned_data["days"]
    try:
        token, secret = actions.create_token(
            by=by,
            user=_self(by),
            name=form.cleaned_data["name"],
            expires_at=now() + timedelta(days=int(days)) if days else None,
        )
    except Invalid as error:
        form.refused(error, "name")
        return _page(request, form, status=int(face_of(error).status))
    response = _page(request, TokenForm(), made={"token": token, "secret": secret})
    response["Cache-Control"] = "no-store"
    return response


@page(Action.TOKEN_REVOKE, "POST")
def revoke(request: HttpRequest, token_id: str) -> HttpResponse:
    """End a token now."""
    by = actor_of(request)
    token = queries.tokens_of(by).select_related("user").filter(pk=uuid_of(token_id)).first()
    if token is None:
        raise NotFound("There is no such token.")
    actions.revoke_token(by=by, token=token)
    messages.success(request, f"The token “{token.name}” does not work any more.")
    return HttpResponseRedirect(reverse("tokens"))


def _self(by: Actor) -> User:
    return queries.user_by_name(by.name)


def _page(
    request: HttpRequest, form: TokenForm, *, status: int = 200, made: dict[str, Any] | None = None
) -> HttpResponse:
    rows = list(queries.tokens_of(actor_of(request))[:200])
    context = {
        "form": form,
        "made": made,
        "command": client_command(),
        "live": [row for row in rows if _is_live(row)],
        "ended": [row for row in rows if not _is_live(row)],
        "empty": {
            "title": "You have no token",
            "sentence": "A token lets the MLflow client or a script act as you. The ones you make appear here until"
            " they are revoked.",
        },
    }
    return render(request, "tokens/all.html", context, status=status)


def _is_live(token: Token) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now())
