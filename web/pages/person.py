"""One account: its roles, groups, tokens and sessions, and what an administrator can do about it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import actions, policy, queries, reads
from access.models import RoleGrant, User
from access.roles import LABELS, Role
from audit.actors import Actor
from audit.errors import Conflict, Duplicate, Invalid, NotFound
from audit.events import Action
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages import granting
from web.pages.access_rows import session_rows, token_rows
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.granting import GrantForm
from web.pages.guard import actor_of, page
from web.pages.names import names_of
from web.pages.people import kind_value


class OwnerForm(PageForm):
    """Who is to answer for a service account."""

    owner = TextField(
        label="User name of the new owner",
        missing="Name the new owner.",
        help_text="What it did so far stays with who owned it then.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


@page(Action.PEOPLE_VIEW)
def one(request: HttpRequest, user_id: str) -> HttpResponse:
    """One account."""
    return person_page(request, person_of(request, user_id))


def person_of(request: HttpRequest, user_id: str) -> User:
    """The account in an address; NotFound for whoever may not see accounts is the policy's refusal."""
    user = queries.people(actor_of(request)).filter(pk=uuid_of(user_id)).first()
    if user is None:
        raise NotFound("There is no such account.")
    return user


def person_page(
    request: HttpRequest,
    user: User,
    *,
    form: GrantForm | None = None,
    owner_form: OwnerForm | None = None,
    status: int = 200,
    link: str = "",
) -> HttpResponse:
    """The page, with what a form said or a link that was made just now."""
    by = actor_of(request)
    reads.seen(by, Action.PEOPLE_VIEW, user, once_per=reads.RELOAD)
    every = list(RoleGrant.objects.filter(user=user).order_by("-granted_at"))
    why_not_revoke = policy.why_not(by, Action.ROLE_REVOKE, user)
    names = names_of(granting.accounts_in(every))
    context = {
        "person": user,
        "form": form or GrantForm(initial={"pattern": "*"}),
        "owner_form": owner_form or OwnerForm(),
        "breadcrumb": [{"label": "People", "url": reverse("people")}, {"label": user.username}],
        "facts": _facts(user),
        "grants": [granting.grant_row(row, names, _revoke_url(row, why_not_revoke)) for row in every],
        "no_grants": _no_grants(user),
        "memberships": list(user.memberships.all()),
        "link": link,
        "trail_url": trail_url(by, "user", str(user.pk)),
        **_refusals(by, user),
        **_access(by, user),
    }
    return render(request, "people/one.html", context, status=status)


def _no_grants(user: User) -> dict[str, str]:
    if user.memberships.all():
        return {"title": "No role of its own", "sentence": "It holds what its groups hold."}
    return {"title": "No role yet", "sentence": "Without a role this account can sign in and see nothing."}


def _revoke_url(grant: RoleGrant, why_not: str | None) -> str:
    return "" if why_not else reverse("person-revoke", args=[grant.user_id, grant.pk])


def _refusals(by: Actor, user: User) -> dict[str, str | None]:
    """``why_not_…`` for each thing that can be done to an account."""
    asked = {
        "grant": Action.ROLE_GRANT,
        "erase": Action.PRIVACY_ERASE,
        "link": Action.LINK_CREATE,
        "reset": Action.PASSWORD_RESET,
        "close": Action.USER_CLOSE,
        "reopen": Action.USER_REOPEN,
        "owner": Action.OWNER_SET,
    }
    return {f"why_not_{name}": policy.why_not(by, action, user) for name, action in asked.items()}


def _access(by: Actor, user: User) -> dict[str, Any]:
    """Tokens and sessions, for whoever may end them."""
    if policy.why_not(by, Action.TOKEN_REVOKE, user) is not None:
        return {"sees_access": False}
    live, _ = token_rows(queries.tokens_of(by, user), lambda row: reverse("token-revoke", args=[row.pk]))
    sessions = session_rows(queries.sessions_of(by, user), lambda row: reverse("session-end", args=[row.pk]))
    return {"sees_access": True, "tokens": live, "sessions": sessions}


def _facts(user: User) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = [
        {"term": "User name", "value": user.username},
        {"term": "Kind", "value": kind_value(user)},
        {"term": "Signs in", "value": _way_in(user)},
        {"term": "Created", "value": {"when": user.created_at}},
    ]
    if not user.is_service:
        facts.insert(1, {"term": "E-mail", "value": user.email or "–"})
    return facts


def _way_in(user: User) -> str:
    if not user.is_active:
        return "not any more"
    if user.is_service:
        return "by token"
    if user.must_change_password:
        return "to choose a new password, and no further"
    return "by password" if user.has_usable_password() else "by one-time link or token only"


@page(Action.ROLE_GRANT, "POST")
def grant(request: HttpRequest, user_id: str) -> HttpResponse:
    """Give a role."""
    user = person_of(request, user_id)
    form = GrantForm(request.POST)
    if not form.is_valid():
        return person_page(request, user, form=form, status=400)
    try:
        granting.grant_from(form, actor_of(request), user)
    except (Invalid, Duplicate) as error:
        form.refused(error)
        return person_page(request, user, form=form, status=int(face_of(error).status))
    messages.success(request, f"{user} is now {LABELS[Role(form.cleaned_data['role'])]}.")
    return back_to(user)


def back_to(user: User) -> HttpResponseRedirect:
    """To the page of the account."""
    return HttpResponseRedirect(reverse("person", args=[user.pk]))


@page(Action.ROLE_REVOKE, "POST")
def revoke(request: HttpRequest, user_id: str, grant_id: str) -> HttpResponse:
    """Take a role back."""
    user = person_of(request, user_id)
    row = RoleGrant.objects.select_related("user").filter(pk=uuid_of(grant_id), user=user).first()
    if row is None:
        raise NotFound("There is no such role grant.")

    def take() -> None:
        actions.revoke_role(by=actor_of(request), grant=row)

    return _done(request, user, take, f"{user} is no longer {LABELS[Role(row.role)]} on {row.pattern}.")


def _done(request: HttpRequest, user: User, act: Callable[[], object], sentence: str) -> HttpResponse:
    """Do something that may not be possible now: a message says which it was."""
    try:
        act()
    except Conflict as error:
        messages.error(request, error.sentence)
    else:
        messages.success(request, sentence)
    return back_to(user)


@page(Action.USER_CLOSE, "POST")
def close(request: HttpRequest, user_id: str) -> HttpResponse:
    """Close the account."""
    user = person_of(request, user_id)
    return _done(
        request,
        user,
        lambda: actions.close_account(by=actor_of(request), user=user),
        f"The account of {user} is closed. Its sessions and tokens ended.",
    )


@page(Action.USER_REOPEN, "POST")
def reopen(request: HttpRequest, user_id: str) -> HttpResponse:
    """Open it again."""
    user = person_of(request, user_id)
    return _done(
        request,
        user,
        lambda: actions.reopen_account(by=actor_of(request), user=user),
        f"The account of {user} is open again.",
    )


@page(Action.SESSION_REVOKE, "POST")
def sign_out(request: HttpRequest, user_id: str) -> HttpResponse:
    """Sign the account out everywhere."""
    user = person_of(request, user_id)
    return _done(
        request,
        user,
        lambda: actions.end_sessions(by=actor_of(request), user=user),
        f"{user} is signed out everywhere.",
    )


@page(Action.OWNER_SET, "POST")
def set_owner(request: HttpRequest, user_id: str) -> HttpResponse:
    """Name another owner of a service account."""
    user = person_of(request, user_id)
    policy.require_read(actor_of(request), Action.OWNER_SET, user)
    form = OwnerForm(request.POST)
    if not form.is_valid():
        return person_page(request, user, owner_form=form, status=400)
    try:
        owner = queries.user_by_name(form.cleaned_data["owner"])
        actions.set_owner(by=actor_of(request), service=user, owner=owner)
    except (Invalid, Duplicate, NotFound) as error:
        form.refused(error, "owner")
        return person_page(request, user, owner_form=form, status=400)
    messages.success(request, f"{owner} answers for {user} from now on.")
    return back_to(user)


@page(Action.LINK_CREATE, "POST")
def link(request: HttpRequest, user_id: str) -> HttpResponse:
    """A one-time sign-in link, shown this once."""
    user = person_of(request, user_id)
    return _with_link(request, user, lambda: actions.create_sign_in_link(by=actor_of(request), user=user))


@page(Action.PASSWORD_RESET, "POST")
def reset(request: HttpRequest, user_id: str) -> HttpResponse:
    """Take the password away; the link to choose another is shown this once."""
    user = person_of(request, user_id)
    return _with_link(request, user, lambda: actions.reset_password(by=actor_of(request), user=user))


def _with_link(request: HttpRequest, user: User, make: Callable[[], str]) -> HttpResponse:
    try:
        secret = make()
    except Conflict as error:
        messages.error(request, error.sentence)
        return back_to(user)
    address = f"{settings.PLIMSOLL_PUBLIC_URL}{reverse('sign-in-link', args=[secret])}"
    response = person_page(request, person_of(request, str(user.pk)), link=address)
    response["Cache-Control"] = "no-store"
    return response
