"""People: the list of accounts, a new one, and the words in which accounts and role grants are shown.

One account is ``person.py``; groups are ``groups.py``; who can do what is ``who_can.py``.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import actions, policy, queries, reads
from access.models import RoleGrant, User
from access.roles import DESCRIPTIONS, LABELS, Role
from audit.clock import now
from audit.errors import Duplicate, Invalid
from audit.events import Action
from audit.subjects import INSTALLATION
from web.errors import face_of
from web.pages import paging
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page

PLACES = (("Accounts", "people"), ("Groups", "groups"), ("Who can do this?", "who-can"))


class PersonForm(PageForm):
    """A new account."""

    username = TextField(
        label="User name",
        help_text="Letters, digits and . @ + - _ ; it is what they sign in with.",
        missing="Give the account a user name.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    display_name = TextField(label="Name", help_text="As colleagues know them.", required=False, max_length=150)
    email = forms.EmailField(
        label="E-mail", required=False, max_length=254, error_messages={"invalid": "This is no e-mail address."}
    )
    password = TextField(
        label="First password",
        help_text="At least 12 characters; they choose another when they first sign in. Leave it empty to let them in"
        " by a one-time link.",
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
    )
    is_service = forms.BooleanField(
        label="It is a machine, not a person: I answer for it, and it signs in by token only", required=False
    )


def places(current: str) -> list[dict[str, Any]]:
    """The links between the pages about people."""
    return [{"label": label, "url": reverse(name), "current": name == current} for label, name in PLACES]


@page(Action.PEOPLE_VIEW)
def everyone(request: HttpRequest) -> HttpResponse:
    """Accounts with the roles they hold."""
    by = actor_of(request)
    part = paging.page_of(queries.people(by), ("username",), request.GET.get("after", ""))
    reads.seen(by, Action.PEOPLE_VIEW, INSTALLATION, told={"accounts": len(part.rows)}, once_per=reads.RELOAD)
    refusal = policy.why_not(by, Action.USER_CREATE, INSTALLATION)
    new = {"label": "Create an account", "name": "create", "kind": "primary", "url": reverse("person-new")}
    context = {
        "places": places("people"),
        "table": _people_table(part.rows),
        "page": paging.links(request, f"{len(part.rows)} accounts on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "actions": [{**new, "why_not": refusal}],
        "roles": [{"term": LABELS[role].capitalize(), "value": DESCRIPTIONS[role]} for role in Role],
    }
    return render(request, "people/all.html", context)


def _people_table(rows: list[User]) -> dict[str, Any]:
    return {
        "id": "people",
        "caption": "Accounts",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Account", "Roles", "Groups", "Kind", "Since")],
        "rows": [
            [
                account_cell(row),
                {"text": "; ".join(grant_words(grant) for grant in row.role_grants.all()) or _no_role(row)},
                {"text": ", ".join(each.group.name for each in row.memberships.all()) or "–"},
                kind_value(row),
                {"when": row.created_at},
            ]
            for row in rows
        ],
        "empty": {"title": "No account", "sentence": "Accounts appear here when they are created."},
    }


def _no_role(user: User) -> str:
    return "–" if user.memberships.all() else "no role yet"


def account_cell(user: User) -> dict[str, str]:
    """An account by the name people know, with its user name beneath."""
    note = "" if str(user) == user.username else user.username
    return {"text": str(user), "url": reverse("person", args=[user.pk]), "note": note}


def kind_words(user: User) -> str:
    """A person or a machine, and whether the account works."""
    kind = "service account" if user.is_service else "person"
    return kind if user.is_active else f"{kind}, closed"


def kind_value(user: User) -> dict[str, str]:
    """``kind_words``, and who answers for a machine."""
    owner = user.owner
    if owner is None:
        return {"text": kind_words(user)}
    return {"text": kind_words(user), "note": f"of {owner}{'' if owner.is_active else ', whose account is closed'}"}


def grant_words(grant: RoleGrant) -> str:
    """``reviewer on credit-* until 9 Mar 2026``."""
    words = LABELS[Role(grant.role)]
    if grant.pattern != "*":
        words += f" on {grant.pattern}"
    if grant.until is None:
        return words
    return f"{words} {'ended' if grant.until <= now() else 'until'} {grant.until:%-d %b %Y}"


@page(Action.USER_CREATE, "GET", "POST")
def new_person(request: HttpRequest) -> HttpResponse:
    """The form for a new account, and its answer."""
    by = actor_of(request)
    policy.require_read(by, Action.USER_CREATE, INSTALLATION)
    form = PersonForm(request.POST) if request.method == "POST" else PersonForm()
    if request.method != "POST":
        return render(request, "people/new.html", _new_context(form))
    if not form.is_valid():
        return render(request, "people/new.html", _new_context(form), status=400)
    values = form.cleaned_data | {"password": form.cleaned_data["password"] or None, "must_change_password": True}
    try:
        user = actions.create_user(by=by, **values)
    except (Invalid, Duplicate) as error:
        form.refused(error, "password" if error.code.endswith("_password") else "username")
        return render(request, "people/new.html", _new_context(form), status=int(face_of(error).status))
    messages.success(request, f"The account {user.username} was created. It can do nothing until it has a role.")
    return HttpResponseRedirect(reverse("person", args=[user.pk]))


def _new_context(form: PersonForm) -> dict[str, Any]:
    crumbs = [{"label": "People", "url": reverse("people")}, {"label": "Create an account"}]
    return {"form": form, "breadcrumb": crumbs}
