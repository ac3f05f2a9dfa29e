"""Accounts over REST: making them, their roles, closing, resetting, forgetting.

Groups, service accounts and the caller's own account have modules of their own.
"""

from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access import actions, policy, queries, reads
from access.erasing import LegalBasis, erase_person
from access.models import RoleGrant, User
from access.roles import Role
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.queries.visible import uuid_of
from web.rest import people_shapes as shapes
from web.rest.views import View, body

SIZE: Final = 100


def presented(user: User) -> dict[str, Any]:
    """The answer for one account fetched with its live grants, groups and owner."""
    return {
        "username": user.username,
        "display_name": user.display_name,
        "is_service": user.is_service,
        "owner": user.owner.username if user.owner else None,
        "is_active": user.is_active,
        "roles": [role_presented(grant) for grant in user.role_grants.all()],
        "groups": [each.group.name for each in user.memberships.all()],
    }


def role_presented(grant: RoleGrant) -> dict[str, Any]:
    """The answer for one role grant."""
    return {"id": grant.pk, "role": grant.role, "pattern": grant.pattern, "until": grant.until}


def page_of(request: Request, rows: QuerySet[User]) -> tuple[list[User], str | None]:
    """A page of accounts, and the user name after which the next begins."""
    after = request.query_params.get("after", "")
    if len(after) > 150 or "\x00" in after:
        raise Invalid("This page does not exist; start again from the first.", code="bad_page")
    found = list((rows.filter(username__gt=after) if after else rows)[: SIZE + 1])
    return found[:SIZE], found[SIZE - 1].username if len(found) > SIZE else None


def named(by: Actor, action: Action, username: str) -> User:
    """The account to do ``action`` to. Who may not is told so before it is looked up, and learns of no account."""
    policy.require_read(by, action, INSTALLATION)
    return queries.user_by_name(username)


class People(View):
    """List accounts, make one."""

    owner = Action.PEOPLE_VIEW

    @extend_schema(responses=shapes.PersonListSerializer, parameters=[shapes.AFTER])
    def get(self, request: Request) -> Response:
        rows, following = page_of(request, queries.people(self.actor))
        told = {"accounts": len(rows)}
        reads.seen(self.actor, Action.PEOPLE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
        return Response({"people": [presented(user) for user in rows], "next": following})

    @extend_schema(request=shapes.NewPersonSerializer, responses={201: shapes.PersonSerializer})
    def post(self, request: Request) -> Response:
        user = actions.create_user(by=self.actor, **body(shapes.NewPersonSerializer, request))
        return Response(presented(user), status=201)


class Person(View):
    """One account."""

    owner = Action.PEOPLE_VIEW

    @extend_schema(responses=shapes.PersonSerializer, operation_id="people_one")
    def get(self, request: Request, username: str) -> Response:
        user = queries.person(self.actor, username)
        reads.seen(self.actor, Action.PEOPLE_VIEW, user, once_per=reads.RELOAD)
        return Response(presented(user))


class Roles(View):
    """Give an account a role."""

    owner = Action.ROLE_GRANT

    @extend_schema(request=shapes.RoleSerializer, responses={201: shapes.HeldRoleSerializer})
    def post(self, request: Request, username: str) -> Response:
        values = body(shapes.RoleSerializer, request)
        user = named(self.actor, Action.ROLE_GRANT, username)
        values["role"] = Role(values["role"])
        return Response(role_presented(actions.grant_role(by=self.actor, user=user, **values)), status=201)


class OneRole(View):
    """Take a role back, from an account or from a group."""

    owner = Action.ROLE_REVOKE

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, grant_id: str) -> Response:
        policy.require_read(self.actor, Action.ROLE_REVOKE, INSTALLATION)
        grant = RoleGrant.objects.select_related("user", "group").filter(pk=uuid_of(grant_id)).first()
        if grant is None:
            raise NotFound("There is no such role grant.")
        actions.revoke_role(by=self.actor, grant=grant)
        return Response(status=204)


class Close(View):
    """Close an account: its sessions and tokens end at once."""

    owner = Action.USER_CLOSE

    @extend_schema(request=shapes.WhySerializer, responses=shapes.PersonSerializer)
    def post(self, request: Request, username: str) -> Response:
        values = body(shapes.WhySerializer, request)
        actions.close_account(by=self.actor, user=named(self.actor, Action.USER_CLOSE, username), **values)
        return Response(presented(queries.person(self.actor, username)))


class Reopen(View):
    """Open a closed account again."""

    owner = Action.USER_REOPEN

    @extend_schema(request=shapes.WhySerializer, responses=shapes.PersonSerializer)
    def post(self, request: Request, username: str) -> Response:
        values = body(shapes.WhySerializer, request)
        actions.reopen_account(by=self.actor, user=named(self.actor, Action.USER_REOPEN, username), **values)
        return Response(presented(queries.person(self.actor, username)))


class ResetPassword(View):
    """Take an account's password away; the answer holds a link by which its holder chooses another."""

    owner = Action.PASSWORD_RESET

    @extend_schema(request=shapes.WhySerializer, responses=shapes.SignInLinkSerializer)
    def post(self, request: Request, username: str) -> Response:
        values = body(shapes.WhySerializer, request)
        user = named(self.actor, Action.PASSWORD_RESET, username)
        secret = actions.reset_password(by=self.actor, user=user, **values)
        return Response({"link": link_of(secret)}, headers={"Cache-Control": "no-store"})


def link_of(secret: str) -> str:
    """The address that signs in once."""
    return f"{settings.PLIMSOLL_PUBLIC_URL}{reverse('sign-in-link', args=[secret])}"


class Erase(View):
    """Forget who an account belongs to: names, ways in, roles, and their openings in the trail."""

    owner = Action.PRIVACY_ERASE

    @extend_schema(request=shapes.PersonErasureSerializer, responses=shapes.ErasedSerializer)
    def post(self, request: Request, username: str) -> Response:
        values = body(shapes.PersonErasureSerializer, request)
        user = named(self.actor, Action.PRIVACY_ERASE, username)
        basis = LegalBasis(values["legal_basis"])
        done = erase_person(by=self.actor, user=user, legal_basis=basis, reason=values["reason"])
        return Response({"act": done.act, "openings": done.openings})
