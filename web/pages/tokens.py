"""Tokens of the reader and of the service accounts they own: see them, make one (its secret shown once), end one."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import actions, policy, queries
from access.models import Token, User
from access.scopes import SCOPES, TokenScope
from audit.clock import now
from audit.errors import Conflict, Invalid, NotFound
from audit.events import Action
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages.access_rows import token_rows
from web.pages.context import client_command
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page

_LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}


class TokenForm(PageForm):
    """A name, what it may be used for, and for how long."""

    name = TextField(
        label="Name",
        help_text="To tell it from your others: the machine or script that will hold it.",
        missing="Give it a name.",
    )
    scope = forms.ChoiceField(
        label="It may be used to",
        choices=[(scope.value, words.reach) for scope, words in SCOPES.items()],
        required=False,
        initial=TokenScope.FULL.value,
        error_messages={"invalid_choice": "Choose one of the scopes."},
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
    """The reader's tokens and the form; after making one, its secret, this once."""
    return _of(request, queries.own_account(actor_of(request)))


@page(Action.TOKEN_CREATE, "GET", "POST")
def of_service(request: HttpRequest, user_id: str) -> HttpResponse:
    """The same for a service account."""
    user = queries.service_accounts(actor_of(request)).filter(pk=uuid_of(user_id)).first()
    if user is None:
        raise NotFound("There is no such service account.")
    return _of(request, user)


def _of(request: HttpRequest, user: User) -> HttpResponse:
    by = actor_of(request)
    if request.method != "POST":
        return _page(request, user, TokenForm())
    policy.require_read(by, Action.TOKEN_CREATE, user)
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, user, form, status=400)
    days = form.cleaned_data["days"]
    try:
        token, secret = actions.create_token(
            by=by,
            user=user,
            name=form.cleaned_data["name"],
            scope=TokenScope(form.cleaned_data["scope"] or TokenScope.FULL),
            expires_at=now() + timedelta(days=int(days)) if days else None,
        )
    except (Invalid, Conflict) as error:
        form.refused(error, "name")
        return _page(request, user, form, status=int(face_of(error).status))
    response = _page(request, user, TokenForm(), made={"token": token, "secret": secret})
    response["Cache-Control"] = "no-store"
    return response


@page(Action.TOKEN_REVOKE, "POST")
def revoke(request: HttpRequest, token_id: str) -> HttpResponse:
    """End a token now: one's own, a service account's, or as administrator anyone's."""
    by = actor_of(request)
    token = queries.token(by, uuid_of(token_id))
    actions.revoke_token(by=by, token=token)
    messages.success(request, f"The token “{token.name}” does not work any more.")
    return HttpResponseRedirect(_back_from(token, by.account))


def _back_from(token: Token, account: str | None) -> str:
    if str(token.user_id) == account:
        return reverse("tokens")
    if str(token.user.owner_id) == account:
        return reverse("service-tokens", args=[token.user_id])
    return reverse("person", args=[token.user_id])


def _page(
    request: HttpRequest, user: User, form: TokenForm, *, status: int = 200, made: dict[str, Any] | None = None
) -> HttpResponse:
    by = actor_of(request)
    own = str(user.pk) == by.account
    rows = queries.tokens_of(by, user)
    live, ended = token_rows(rows, lambda row: reverse("token-revoke", args=[row.pk]))
    account = [{"label": "Your account", "url": reverse("account")}]
    context = {
        "form": form,
        "made": made,
        "own": own,
        "holder": user,
        "why_not_make": policy.why_not(by, Action.TOKEN_CREATE, user),
        "address": reverse("tokens") if own else reverse("service-tokens", args=[user.pk]),
        "breadcrumb": [*account, {"label": "Tokens" if own else f"Tokens of {user}"}],
        "command": client_command(),
        "live": live,
        "ended": ended,
        "empty": {
            "title": "You have no token" if own else "It has no token",
            "sentence": "A token lets the MLflow client or a script act as you. The ones you make appear here until"
            " they are revoked."
            if own
            else "A token lets a machine act as this account. The ones its owner makes appear here.",
        },
    }
    return render(request, "tokens/all.html", context, status=status)
