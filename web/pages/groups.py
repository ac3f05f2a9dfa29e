"""Groups: the list, a new one, and one with its members and roles."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from access import actions, policy, queries, reads
from access.actions.groups import MOST_DESCRIPTION
from access.models import Group, RoleGrant
from access.roles import LABELS, Role
from audit.actors import Actor
from audit.errors import Conflict, Duplicate, Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages import granting, paging
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.granting import GrantForm
from web.pages.guard import actor_of, page
from web.pages.names import names_of
from web.pages.people import grant_words, places

_MOST_MEMBERS = 500


class GroupForm(PageForm):
    """A name, and what the group is for."""

    name = TextField(label="Name", missing="Give the group a name.", help_text="As colleagues call the team.")
    description = TextField(
        label="What it is for", required=False, max_length=MOST_DESCRIPTION, widget=forms.Textarea(attrs={"rows": 2})
    )


class MemberForm(PageForm):
    """An account to put in."""

    username = TextField(
        label="User name",
        missing="Name the account.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


@page(Action.PEOPLE_VIEW, "GET", "POST")
def everyone(request: HttpRequest) -> HttpResponse:
    """The list, and the form for a new group."""
    by = actor_of(request)
    if request.method != "POST":
        return _list_page(request, GroupForm())
    policy.require_read(by, Action.GROUP_CREATE, INSTALLATION)
    form = GroupForm(request.POST)
    if not form.is_valid():
        return _list_page(request, form, 400)
    try:
        group = actions.create_group(by=by, **form.cleaned_data)
    except (Invalid, Duplicate) as error:
        form.refused(error, "name")
        return _list_page(request, form, int(face_of(error).status))
    messages.success(request, f"The group {group} was created.")
    return _back_to(group)


def _list_page(request: HttpRequest, form: GroupForm, status: int = 200) -> HttpResponse:
    by = actor_of(request)
    part = paging.page_of(queries.groups(by), ("name", "id"), request.GET.get("after", ""))
    reads.seen(by, Action.PEOPLE_VIEW, INSTALLATION, told={"groups": len(part.rows)}, once_per=reads.RELOAD)
    context = {
        "places": places("groups"),
        "table": _table(part.rows),
        "page": paging.links(request, f"{len(part.rows)} groups on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
        "form": form,
        "why_not_create": policy.why_not(by, Action.GROUP_CREATE, INSTALLATION),
    }
    return render(request, "people/groups.html", context, status=status)


def _table(rows: list[Group]) -> dict[str, Any]:
    return {
        "id": "groups",
        "caption": "Groups",
        "caption_hidden": True,
        "columns": [{"label": "Group"}, {"label": "Roles"}, {"label": "Members", "right": True}, {"label": "Since"}],
        "rows": [
            [
                {"text": row.name, "url": reverse("group", args=[row.pk]), "note": row.description},
                {"text": "; ".join(grant_words(grant) for grant in row.role_grants.all()) or "no role yet"},
                {"text": str(row.member_count), "right": True},  # type: ignore[attr-defined] # annotated by the query
                {"when": row.created_at},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No group yet",
            "sentence": "A group holds roles for everybody in it: a team is granted a role once, and whoever joins or"
            " leaves the team gains or loses it.",
        },
    }


@page(Action.PEOPLE_VIEW)
def one(request: HttpRequest, group_id: str) -> HttpResponse:
    """One group."""
    return _group_page(request, _group(request, group_id))


def _group(request: HttpRequest, group_id: str) -> Group:
    group = queries.groups(actor_of(request)).filter(pk=uuid_of(group_id)).first()
    if group is None:
        raise NotFound("There is no such group.")
    return group


def _group_page(
    request: HttpRequest,
    group: Group,
    *,
    form: GrantForm | None = None,
    member_form: MemberForm | None = None,
    edit_form: GroupForm | None = None,
    status: int = 200,
) -> HttpResponse:
    by = actor_of(request)
    reads.seen(by, Action.PEOPLE_VIEW, group, once_per=reads.RELOAD)
    members = list(queries.members(by, group)[:_MOST_MEMBERS])
    every = list(RoleGrant.objects.filter(group=group).order_by("-granted_at"))
    adders = {str(each.added_by_id) for each in members if each.added_by_id}
    names = names_of(granting.accounts_in(every) | adders)
    why_not_revoke = policy.why_not(by, Action.ROLE_REVOKE, group)
    context = {
        **_allowed(by, group),
        "group": group,
        "form": form or GrantForm(initial={"pattern": "*"}, prefix=None),
        "member_form": member_form or MemberForm(auto_id="member_%s"),
        "edit_form": edit_form or GroupForm(None, initial=_values(group), auto_id="edit_%s"),
        "breadcrumb": [
            {"label": "People", "url": reverse("people")},
            {"label": "Groups", "url": reverse("groups")},
            {"label": group.name},
        ],
        "members": [
            {"user": each.user, "when": each.added_at, "by": names.get(str(each.added_by_id), "Plimsoll")}
            for each in members
        ],
        "no_members": {"title": "Nobody is in it yet", "sentence": "Whoever is put in holds the roles of the group."},
        "grants": [
            granting.grant_row(row, names, "" if why_not_revoke else reverse("group-revoke", args=[group.pk, row.pk]))
            for row in every
        ],
        "no_grants": {"title": "No role yet", "sentence": "Without a role the group gives its members nothing."},
    }
    return render(request, "people/group.html", context, status=status)


def _allowed(by: Actor, group: Group) -> dict[str, str | None]:
    """Where the group's past is told, and why its forms are not for this reader (None: they are)."""
    return {
        "trail_url": trail_url(by, "group", str(group.pk)),
        "why_not_grant": policy.why_not(by, Action.ROLE_GRANT, group),
        "why_not_add": policy.why_not(by, Action.MEMBER_ADD, INSTALLATION),
        "why_not_edit": policy.why_not(by, Action.GROUP_UPDATE, group),
        "why_not_close": policy.why_not(by, Action.GROUP_CLOSE, group),
    }


def _values(group: Group) -> dict[str, str]:
    return {"name": group.name, "description": group.description}


def _back_to(group: Group) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("group", args=[group.pk]))


@page(Action.GROUP_UPDATE, "POST")
def edit(request: HttpRequest, group_id: str) -> HttpResponse:
    """Rename it, describe it anew."""
    group = _group(request, group_id)
    form = GroupForm(request.POST, auto_id="edit_%s")
    if not form.is_valid():
        return _group_page(request, group, edit_form=form, status=400)
    try:
        actions.update_group(by=actor_of(request), group=group, **form.cleaned_data)
    except (Invalid, Duplicate) as error:
        form.refused(error, "name")
        return _group_page(request, group, edit_form=form, status=int(face_of(error).status))
    messages.success(request, "The group was changed.")
    return _back_to(group)


@page(Action.GROUP_CLOSE, "POST")
def close(request: HttpRequest, group_id: str) -> HttpResponse:
    """End the group."""
    group = _group(request, group_id)
    try:
        actions.close_group(by=actor_of(request), group=group)
    except Conflict as error:
        messages.error(request, error.sentence)
        return _back_to(group)
    messages.success(request, f"The group {group} is closed. Nobody holds anything through it any more.")
    return HttpResponseRedirect(reverse("groups"))


@page(Action.MEMBER_ADD, "POST")
def add(request: HttpRequest, group_id: str) -> HttpResponse:
    """Put an account in."""
    group = _group(request, group_id)
    policy.require_read(actor_of(request), Action.MEMBER_ADD, INSTALLATION)
    form = MemberForm(request.POST, auto_id="member_%s")
    if not form.is_valid():
        return _group_page(request, group, member_form=form, status=400)
    try:
        user = queries.user_by_name(form.cleaned_data["username"])
        actions.add_member(by=actor_of(request), group=group, user=user)
    except (Invalid, Conflict, Duplicate, NotFound) as error:
        form.refused(error, "username")
        status = 400 if isinstance(error, NotFound) else int(face_of(error).status)
        return _group_page(request, group, member_form=form, status=status)
    messages.success(request, f"{user} is in the group.")
    return _back_to(group)


@page(Action.MEMBER_REMOVE, "POST")
def remove(request: HttpRequest, group_id: str, user_id: str) -> HttpResponse:
    """Take an account out."""
    group = _group(request, group_id)
    each = queries.members(actor_of(request), group).filter(user_id=uuid_of(user_id)).first()
    if each is None:
        raise NotFound("This account is not in the group.")
    try:
        actions.remove_member(by=actor_of(request), group=group, user=each.user)
    except Conflict as error:
        messages.error(request, error.sentence)
        return _back_to(group)
    messages.success(request, f"{each.user} is no longer in the group.")
    return _back_to(group)


@page(Action.ROLE_GRANT, "POST")
def grant(request: HttpRequest, group_id: str) -> HttpResponse:
    """Give the group a role."""
    group = _group(request, group_id)
    form = GrantForm(request.POST)
    if not form.is_valid():
        return _group_page(request, group, form=form, status=400)
    try:
        granting.grant_from(form, actor_of(request), group)
    except (Invalid, Duplicate) as error:
        form.refused(error)
        return _group_page(request, group, form=form, status=int(face_of(error).status))
    messages.success(request, f"Everybody in {group} is now {LABELS[Role(form.cleaned_data['role'])]}.")
    return _back_to(group)


@page(Action.ROLE_REVOKE, "POST")
def revoke(request: HttpRequest, group_id: str, grant_id: str) -> HttpResponse:
    """Take a role from the group."""
    group = _group(request, group_id)
    row = RoleGrant.objects.select_related("group").filter(pk=uuid_of(grant_id), group=group).first()
    if row is None:
        raise NotFound("There is no such role grant.")
    try:
        actions.revoke_role(by=actor_of(request), grant=row)
    except Conflict as error:
        messages.error(request, error.sentence)
        return _back_to(group)
    messages.success(request, f"The group is no longer {LABELS[Role(row.role)]} on {row.pattern}.")
    return _back_to(group)
