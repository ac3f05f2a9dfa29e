"""Groups over REST: making, editing and closing them, their members and their roles."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access import actions, policy, queries, reads
from access.models import Group
from access.roles import Role
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.queries.visible import uuid_of
from web.rest import people_shapes as shapes
from web.rest.people import role_presented
from web.rest.views import View, body


def presented(group: Group) -> dict[str, Any]:
    """The answer for one group fetched with its live grants and its count of members."""
    return {
        "id": group.pk,
        "name": group.name,
        "description": group.description,
        "member_count": getattr(group, "member_count", 0),
        "roles": [role_presented(grant) for grant in group.role_grants.all()],
    }


def one(by: Actor, group_id: str, action: Action = Action.PEOPLE_VIEW) -> Group:
    """A group by its id, for ``action``; NotFound when there is none or it was closed."""
    policy.require_read(by, action, INSTALLATION)
    group = queries.groups(by).filter(pk=uuid_of(group_id)).first()
    if group is None:
        raise NotFound("There is no such group.")
    return group


def whole(by: Actor, group: Group) -> dict[str, Any]:
    """A group with its members."""
    return presented(group) | {"members": [each.user.username for each in queries.members(by, group)]}


class Groups(View):
    """List the groups, make one."""

    owner = Action.PEOPLE_VIEW

    @extend_schema(responses=shapes.GroupListSerializer)
    def get(self, request: Request) -> Response:
        found = [presented(group) for group in queries.groups(self.actor)]
        told = {"groups": len(found)}
        reads.seen(self.actor, Action.PEOPLE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
        return Response({"groups": found})

    @extend_schema(request=shapes.NewGroupSerializer, responses={201: shapes.GroupSerializer})
    def post(self, request: Request) -> Response:
        group = actions.create_group(by=self.actor, **body(shapes.NewGroupSerializer, request))
        return Response(presented(group), status=201)


class OneGroup(View):
    """One group: see it, edit it, close it."""

    owner = Action.PEOPLE_VIEW

    @extend_schema(responses=shapes.OneGroupSerializer, operation_id="groups_one")
    def get(self, request: Request, group_id: str) -> Response:
        group = one(self.actor, group_id)
        reads.seen(self.actor, Action.PEOPLE_VIEW, group, once_per=reads.RELOAD)
        return Response(whole(self.actor, group))

    @extend_schema(request=shapes.NewGroupSerializer, responses=shapes.OneGroupSerializer)
    def put(self, request: Request, group_id: str) -> Response:
        values = body(shapes.NewGroupSerializer, request)
        actions.update_group(by=self.actor, group=one(self.actor, group_id, Action.GROUP_UPDATE), **values)
        return Response(whole(self.actor, one(self.actor, group_id)))

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, group_id: str) -> Response:
        actions.close_group(by=self.actor, group=one(self.actor, group_id, Action.GROUP_CLOSE))
        return Response(status=204)


class Members(View):
    """Put an account into a group."""

    owner = Action.MEMBER_ADD

    @extend_schema(request=shapes.MemberSerializer, responses={201: shapes.OneGroupSerializer})
    def post(self, request: Request, group_id: str) -> Response:
        values = body(shapes.MemberSerializer, request)
        group = one(self.actor, group_id, Action.MEMBER_ADD)
        try:
            user = queries.user_by_name(values["username"])
        except NotFound as error:
            raise Invalid(error.sentence, code="unknown_member") from None
        actions.add_member(by=self.actor, group=group, user=user)
        return Response(whole(self.actor, one(self.actor, group_id)), status=201)


class OneMember(View):
    """Take an account out of a group."""

    owner = Action.MEMBER_REMOVE

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, group_id: str, username: str) -> Response:
        group = one(self.actor, group_id, Action.MEMBER_REMOVE)
        actions.remove_member(by=self.actor, group=group, user=queries.user_by_name(username))
        return Response(status=204)


class Roles(View):
    """Give a group a role: every member holds it."""

    owner = Action.ROLE_GRANT

    @extend_schema(
        request=shapes.RoleSerializer, responses={201: shapes.HeldRoleSerializer}, operation_id="groups_roles_create"
    )
    def post(self, request: Request, group_id: str) -> Response:
        values = body(shapes.RoleSerializer, request)
        group = one(self.actor, group_id, Action.ROLE_GRANT)
        values["role"] = Role(values["role"])
        return Response(role_presented(actions.grant_role(by=self.actor, group=group, **values)), status=201)
