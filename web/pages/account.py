"""The reader's own account: roles, password, sessions and the service accounts they own. Tokens are ``tokens.py``."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import actions, grants, policy, queries, who_can
from access.models import User
from audit.errors import Conflict, Invalid, TooMany
from audit.events import Action
from registry.queries.visible import uuid_of
from web import sessions
from web.errors import face_of
from web.pages.access_rows import session_rows
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page


class PasswordForm(PageForm):
    """The password of now, and the new one twice: a typing error in what nobody sees locks its writer out."""

    current = TextField(
        label="Current password",
        strip=False,
        max_length=1000,
        missing="Enter the password you have.",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = TextField(
        label="New password",
        help_text="At least 12 characters; a phrase of several words is easy to remember and hard to guess.",
        strip=False,
        max_length=1000,
        missing="Enter a new password.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = TextField(
        label="The new password again",
        strip=False,
        max_length=1000,
        missing="Enter the new password again.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def without_current(self) -> "PasswordForm":
        """For an account that has no password to ask for."""
        del self.fields["current"]
        return self

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("new") and values.get("again") and values["new"] != values["again"]:
            self.add_error("again", "This is not the new password as you typed it first.")
        return values


@page(Action.SESSION_OPEN)
def account(request: HttpRequest) -> HttpResponse:
    """What the account may, where it is signed in, which machines it answers for."""
    by = actor_of(request)
    user = queries.own_account(by)
    rows = session_rows(
        queries.sessions_of(by), lambda row: reverse("session-end", args=[row.pk]), here=sessions.id_of(request)
    )
    context = {
        "facts": _facts(user),
        "held": [
            {"words": who_can.grant_words(held), "until": held.until} for held in sorted(grants.held_by(by), key=_order)
        ],
        "no_role": {"title": "No role yet", "sentence": "Ask an administrator for one."},
        "sessions": rows,
        "others": len([row for row in rows if not row["here"]]),
        "services": list(queries.service_accounts(by).filter(owner=user)),
        "trail_url": trail_url(by, "user", str(user.pk)),
    }
    return render(request, "account/one.html", context)


def _order(held: grants.Held) -> tuple[str, str]:
    return (held.role.value, held.pattern)


def _facts(user: User) -> list[dict[str, Any]]:
    groups = ", ".join(each.group.name for each in user.memberships.all())
    return [
        {"term": "User name", "value": user.username},
        {"term": "Name", "value": user.display_name or "–"},
        {"term": "E-mail", "value": user.email or "–"},
        {"term": "Groups", "value": groups or "–"},
        {"term": "Since", "value": {"when": user.created_at, "date_only": True}},
    ]


@page(Action.PASSWORD_CHANGE, "GET", "POST")
def password(request: HttpRequest) -> HttpResponse:
    """The form for a new password, and its answer."""
    by = actor_of(request)
    user = queries.own_account(by)
    policy.require(by, Action.PASSWORD_CHANGE, user)
    form = PasswordForm(request.POST) if request.method == "POST" else PasswordForm()
    if not user.has_usable_password():
        form = form.without_current()
    if request.method != "POST":
        return _password_page(request, user, form)
    if not form.is_valid():
        return _password_page(request, user, form, 400)
    values = form.cleaned_data
    try:
        changed = actions.change_password(
            by=by, current=values.get("current"), new=values["new"], session=sessions.id_of(request)
        )
    except (Invalid, TooMany, Conflict) as error:
        form.refused(error, "current" if error.code == "wrong_password" else "new" if error.code in _NEW else None)
        return _password_page(request, user, form, int(face_of(error).status))
    sessions.renew(request, changed)
    messages.success(request, "Your password was changed. Every other browser is signed out.")
    return HttpResponseRedirect(reverse("account"))


_NEW = frozenset({"weak_password", "same_password"})


def _password_page(request: HttpRequest, user: User, form: PasswordForm, status: int = 200) -> HttpResponse:
    due = user.must_change_password
    crumbs = None if due else [{"label": "Your account", "url": reverse("account")}, {"label": "Password"}]
    return render(request, "account/password.html", {"form": form, "due": due, "breadcrumb": crumbs}, status=status)


@page(Action.SESSION_REVOKE, "POST")
def end_session(request: HttpRequest, session_id: str) -> HttpResponse:
    """End one session: the reader's own, or as administrator anyone's."""
    by = actor_of(request)
    row = queries.session(by, uuid_of(session_id))
    actions.revoke_session(by=by, session=row)
    if str(row.user_id) != by.account:
        messages.success(request, "The session has ended.")
        return HttpResponseRedirect(reverse("person", args=[row.user_id]))
    if str(row.pk) == sessions.id_of(request):
        sessions.end(request)
        return HttpResponseRedirect(reverse("sign-in"))
    messages.success(request, "That browser is signed out.")
    return HttpResponseRedirect(reverse("account"))


@page(Action.SESSION_REVOKE, "POST")
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere but here."""
    by = actor_of(request)
    ended = actions.end_sessions(by=by, user=queries.own_account(by), but=sessions.id_of(request))
    messages.success(request, f"{ended} other browser{'' if ended == 1 else 's'} signed out.")
    return HttpResponseRedirect(reverse("account"))
