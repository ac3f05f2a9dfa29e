"""People: accounts and their roles, for administrators; the same to read for auditors; and who can do what."""

from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import get_current_timezone

from access import actions, policy, queries, reads
from access.models import RoleGrant, User
from access.policy import ENTANGLED, POLICY, Rule
from access.roles import DESCRIPTIONS, LABELS, Role, either
from audit.clock import now
from audit.errors import Duplicate, Invalid, NotFound
from audit.events import WORDS, Action
from audit.subjects import INSTALLATION
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages import paging
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.names import Names, name_in, names_of


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
        label="Password",
        help_text="At least 12 characters. Leave it empty to let them in by a one-time link.",
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
    )
    is_service = forms.BooleanField(label="It is a machine, not a person", required=False)


class GrantForm(PageForm):
    """A role, on which names, for how long."""

    role = forms.ChoiceField(
        label="Role",
        choices=[(role.value, f"{LABELS[role].capitalize()}: {DESCRIPTIONS[role]}") for role in Role],
        error_messages={"required": "Choose a role.", "invalid_choice": "There is no such role."},
    )
    pattern = TextField(
        label="On names like",
        help_text="Models and data sets whose name matches; * is everything, credit-* all that begin so.",
        required=False,
        initial="*",
    )
    until = forms.DateField(
        label="Until the end of",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Enter a date like 2026-03-09."},
    )
    reason = TextField(label="Why", help_text="It is recorded.", required=False, max_length=1000)


@page(Action.PEOPLE_VIEW)
def everyone(request: HttpRequest) -> HttpResponse:
    """Accounts with the roles they hold, and the table of who can do what."""
    by = actor_of(request)
    part = paging.page_of(queries.people(by), ("username",), request.GET.get("after", ""))
    reads.seen(by, Action.PEOPLE_VIEW, INSTALLATION, told={"accounts": len(part.rows)}, once_per=reads.RELOAD)
    refusal = policy.why_not(by, Action.USER_CREATE, INSTALLATION)
    context = {
        "table": _people_table(part.rows),
        "page": paging.links(request, f"{len(part.rows)} accounts on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "actions": [
            {
                "label": "Create an account",
                "name": "create",
                "kind": "primary",
                "url": reverse("person-new"),
                "why_not": refusal,
            }
        ],
        "roles": [{"term": LABELS[role].capitalize(), "value": DESCRIPTIONS[role]} for role in Role],
        "powers": powers_table(),
    }
    return render(request, "people/all.html", context)


def _people_table(rows: list[User]) -> dict[str, Any]:
    return {
        "id": "people",
        "caption": "Accounts",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Account", "Roles", "Kind", "Since")],
        "rows": [
            [
                {
                    "text": str(row),
                    "url": reverse("person", args=[row.pk]),
                    "note": "" if str(row) == row.username else row.username,
                },
                {"text": "; ".join(_grant_words(grant) for grant in row.role_grants.all()) or "no role yet"},
                kind_words(row),
                {"when": row.created_at},
            ]
            for row in rows
        ],
        "empty": {"title": "No account", "sentence": "Accounts appear here when they are created."},
    }


def kind_words(user: User) -> str:
    """A person or a machine, and whether the account works."""
    kind = "service" if user.is_service else "person"
    return kind if user.is_active else f"{kind}, closed"


def _grant_words(grant: RoleGrant) -> str:
    words = LABELS[Role(grant.role)]
    if grant.pattern != "*":
        words += f" on {grant.pattern}"
    if grant.until is None:
        return words
    return f"{words} {'ended' if grant.until <= now() else 'until'} {grant.until:%-d %b %Y}"


def powers_table() -> dict[str, Any]:
    """Who can do what: the policy table itself, in words."""
    return {
        "id": "powers",
        "caption": "Written from the policy the service runs on; a role counts where its grant reaches.",
        "columns": [{"label": label} for label in ("Act", "Who", "Unless they")],
        "rows": [[WORDS[action].capitalize(), _who(rule), _unless(rule)] for action, rule in POLICY.items()],
        "empty": {},
    }


def _who(rule: Rule) -> str:
    if rule.anyone:
        return "anyone who is signed in"
    if not rule.roles:
        return "only Plimsoll itself"
    if rule.roles == frozenset(Role):
        return "every role"
    return either(rule.roles)


def _unless(rule: Rule) -> str:
    return ", ".join(_lowered(ENTANGLED[relation].removeprefix("You ")) for relation in rule.unless) or "–"


def _lowered(text: str) -> str:
    return text.replace("yourself", "themselves")


# -- one account -----------------------------------------------------------------------------------------------------


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
    try:
        values = form.cleaned_data
        user = actions.create_user(by=by, **{**values, "password": values["password"] or None})
    except (Invalid, Duplicate) as error:
        form.refused(error, "password" if error.code == "weak_password" else "username")
        return render(request, "people/new.html", _new_context(form), status=int(face_of(error).status))
    messages.success(request, f"The account {user.username} was created. It can do nothing until it has a role.")
    return HttpResponseRedirect(reverse("person", args=[user.pk]))


def _new_context(form: PersonForm) -> dict[str, Any]:
    crumbs = [{"label": "People", "url": reverse("people")}, {"label": "Create an account"}]
    return {"form": form, "breadcrumb": crumbs}


@page(Action.PEOPLE_VIEW)
def one(request: HttpRequest, user_id: str) -> HttpResponse:
    """One account with its roles."""
    return _person_page(request, _person(request, user_id), GrantForm(initial={"pattern": "*"}))


def _person(request: HttpRequest, user_id: str) -> User:
    user = queries.people(actor_of(request)).filter(pk=uuid_of(user_id)).first()
    if user is None:
        raise NotFound("There is no such account.")
    return user


def _person_page(
    request: HttpRequest, user: User, form: GrantForm, *, status: int = 200, link: str = ""
) -> HttpResponse:
    by = actor_of(request)
    reads.seen(by, Action.PEOPLE_VIEW, user, once_per=reads.RELOAD)
    every = list(RoleGrant.objects.filter(user=user).order_by("-granted_at"))
    names = names_of(str(account) for row in every for account in (row.granted_by_id, row.revoked_by_id) if account)
    context = {
        "person": user,
        "form": form,
        "breadcrumb": [{"label": "People", "url": reverse("people")}, {"label": user.username}],
        "facts": _person_facts(user),
        "grants": [_grant_row(row, names) for row in every],
        "no_grants": {"title": "No role yet", "sentence": "Without a role this account can sign in and see nothing."},
        "why_not_grant": policy.why_not(by, Action.ROLE_GRANT, user),
        "why_not_erase": policy.why_not(by, Action.PRIVACY_ERASE, user),
        "why_not_link": policy.why_not(by, Action.LINK_CREATE, user),
        "link": link,
        "trail_url": trail_url(by, "user", str(user.pk)),
    }
    return render(request, "people/one.html", context, status=status)


def _person_facts(user: User) -> list[dict[str, Any]]:
    return [
        {"term": "User name", "value": user.username},
        {"term": "E-mail", "value": user.email or "–"},
        {"term": "Kind", "value": kind_words(user)},
        {
            "term": "Signs in",
            "value": "by password" if user.has_usable_password() else "by one-time link or token only",
        },
        {"term": "Created", "value": {"when": user.created_at}},
    ]


def _grant_row(grant: RoleGrant, names: Names) -> dict[str, Any]:
    ended = grant.revoked_at or (grant.until if grant.until and grant.until <= now() else None)
    return {
        "row": grant,
        "label": LABELS[Role(grant.role)].capitalize(),
        "pattern": "everything" if grant.pattern == "*" else grant.pattern,
        "by": name_in(names, str(grant.granted_by_id) if grant.granted_by_id else None),
        "self_granted": grant.granted_by_id == grant.user_id,
        "ended": ended,
        "revoker": name_in(names, str(grant.revoked_by_id)) if grant.revoked_by_id else "",
    }


@page(Action.ROLE_GRANT, "POST")
def grant(request: HttpRequest, user_id: str) -> HttpResponse:
    """Give a role."""
    user = _person(request, user_id)
    form = GrantForm(request.POST)
    if not form.is_valid():
        return _person_page(request, user, form, status=400)
    values = form.cleaned_data
    try:
        actions.grant_role(
            by=actor_of(request),
            user=user,
            role=Role(values["role"]),
            pattern=values["pattern"] or "*",
            until=_end_of(values["until"]),
            reason=values["reason"],
        )
    except (Invalid, Duplicate) as error:
        form.refused(error, _GRANT_FIELDS.get(error.code))
        return _person_page(request, user, form, status=int(face_of(error).status))
    messages.success(request, f"{user} is now {LABELS[Role(values['role'])]}.")
    return HttpResponseRedirect(reverse("person", args=[user.pk]))


_GRANT_FIELDS: Final = {"bad_pattern": "pattern", "bad_until": "until", "role_held": "role"}


def _end_of(day: date | None) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime.combine(day + timedelta(days=1), time.min, tzinfo=get_current_timezone())
    except OverflowError:
        raise Invalid("The end date lies beyond the calendar.", code="bad_until") from None


@page(Action.ROLE_REVOKE, "POST")
def revoke(request: HttpRequest, user_id: str, grant_id: str) -> HttpResponse:
    """Take a role back."""
    user = _person(request, user_id)
    row = RoleGrant.objects.select_related("user").filter(pk=uuid_of(grant_id), user=user).first()
    if row is None:
        raise NotFound("There is no such role grant.")
    actions.revoke_role(by=actor_of(request), grant=row)
    messages.success(request, f"{user} is no longer {LABELS[Role(row.role)]} on {row.pattern}.")
    return HttpResponseRedirect(reverse("person", args=[user.pk]))


@page(Action.LINK_CREATE, "POST")
def link(request: HttpRequest, user_id: str) -> HttpResponse:
    """A one-time sign-in link, shown this once."""
    user = _person(request, user_id)
    secret = actions.create_sign_in_link(by=actor_of(request), user=user)
    address = f"{settings.PLIMSOLL_PUBLIC_URL}{reverse('sign-in-link', args=[secret])}"
    response = _person_page(request, user, GrantForm(initial={"pattern": "*"}), link=address)
    response["Cache-Control"] = "no-store"
    return response
