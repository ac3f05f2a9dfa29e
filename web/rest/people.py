"""Accounts, roles and tokens over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import actions, grants, policy, queries, reads
from access.erasing import MOST_REASON, LegalBasis, erase_person
from access.models import User
from access.roles import Role
from audit.errors import Unauthenticated
from audit.events import Action
from audit.subjects import INSTALLATION
from web.rest.fields import TextField
from web.rest.views import View, body


class RoleSerializer(serializers.Serializer[Any]):
    """A role held on a name pattern."""

    role = serializers.ChoiceField(choices=[role.value for role in Role])
    pattern = serializers.CharField(max_length=256, default="*")
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class PersonSerializer(serializers.Serializer[Any]):
    """An account and its roles."""

    username = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    is_service = serializers.BooleanField()
    is_active = serializers.BooleanField()
    roles = RoleSerializer(many=True)


class PersonListSerializer(serializers.Serializer[Any]):
    """Every account."""

    people = PersonSerializer(many=True)


class NewPersonSerializer(serializers.Serializer[Any]):
    """What making an account takes; without a password it signs in by token or link only."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=1000, required=False, allow_null=True, default=None, trim_whitespace=False
    )
    display_name = TextField(max_length=150, allow_blank=True, default="")
    email = serializers.EmailField(max_length=254, allow_blank=True, default="")
    is_service = serializers.BooleanField(default=False)


class PersonErasureSerializer(serializers.Serializer[Any]):
    """Why a person is to be forgotten."""

    legal_basis = serializers.ChoiceField(choices=[basis.value for basis in LegalBasis])
    reason = TextField(max_length=MOST_REASON, allow_blank=True, default="")


class ErasedSerializer(serializers.Serializer[Any]):
    """The act, as the trail records it, and how many openings it deleted."""

    act = serializers.UUIDField()
    openings = serializers.IntegerField()


class MeSerializer(serializers.Serializer[Any]):
    """Who the caller is."""

    username = serializers.CharField()
    auth = serializers.CharField()
    roles = RoleSerializer(many=True)


class NewTokenSerializer(serializers.Serializer[Any]):
    """What a new token is called."""

    name = TextField(max_length=100)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class TokenSerializer(serializers.Serializer[Any]):
    """A token; ``secret`` is in the answer that makes it and never again."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    secret = serializers.CharField()


def presented(user: User) -> dict[str, Any]:
    """The answer for one account fetched with its live grants."""
    return {
        "username": user.username,
        "display_name": user.display_name,
        "is_service": user.is_service,
        "is_active": user.is_active,
        "roles": [{"role": g.role, "pattern": g.pattern, "until": g.until} for g in user.role_grants.all()],
    }


class Me(View):
    """The caller's own account and roles."""

    owner = Action.SESSION_OPEN

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        queries.tokens_of(self.actor)
        if self.actor.account is None:
            raise Unauthenticated("Sign in with a bearer token or with HTTP Basic.")
        held = [{"role": g.role.value, "pattern": g.pattern, "until": None} for g in grants.held_by(self.actor)]
        return Response({"username": self.actor.name, "auth": self.actor.auth, "roles": held})


class People(View):
    """List accounts, make one."""

    owner = Action.PEOPLE_VIEW

    @extend_schema(responses=PersonListSerializer)
    def get(self, request: Request) -> Response:
        found = [presented(user) for user in queries.people(self.actor)]
        told = {"accounts": len(found)}
        reads.seen(self.actor, Action.PEOPLE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
        return Response({"people": found})

    @extend_schema(request=NewPersonSerializer, responses={201: PersonSerializer})
    def post(self, request: Request) -> Response:
        user = actions.create_user(by=self.actor, **body(NewPersonSerializer, request))
        return Response(presented(user), status=201)


class Roles(View):
    """Give an account a role."""

    owner = Action.ROLE_GRANT

    @extend_schema(request=RoleSerializer, responses={201: RoleSerializer})
    def post(self, request: Request, username: str) -> Response:
        values = body(RoleSerializer, request)
        # Asked before the account is looked up: who may not grant roles learns nothing of who has an account.
        policy.require_read(self.actor, Action.ROLE_GRANT, INSTALLATION)
        user = queries.user_by_name(username)
        made = actions.grant_role(
            by=self.actor, user=user, role=Role(values["role"]), pattern=values["pattern"], until=values["until"]
        )
        return Response({"role": made.role, "pattern": made.pattern, "until": made.until}, status=201)


class Tokens(View):
    """Make a token for oneself."""

    owner = Action.TOKEN_CREATE

    @extend_schema(request=NewTokenSerializer, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        if self.actor.account is None:
            raise Unauthenticated("Sign in to create a token.")
        user = User.objects.get(pk=self.actor.account)
        token, secret = actions.create_token(by=self.actor, user=user, **body(NewTokenSerializer, request))
        return Response(
            {
                "id": str(token.pk),
                "name": token.name,
                "prefix": token.prefix,
                "expires_at": token.expires_at,
                "secret": secret,
            },
            status=201,
        )


class Erase(View):
    """Forget who an account belongs to: names, ways in, roles, and their openings in the trail."""

    owner = Action.PRIVACY_ERASE

    @extend_schema(request=PersonErasureSerializer, responses=ErasedSerializer)
    def post(self, request: Request, username: str) -> Response:
        values = body(PersonErasureSerializer, request)
        # Asked before the account is looked up, as for roles.
        policy.require_read(self.actor, Action.PRIVACY_ERASE, INSTALLATION)
        user = queries.user_by_name(username)
        basis = LegalBasis(values["legal_basis"])
        done = erase_person(by=self.actor, user=user, legal_basis=basis, reason=values["reason"])
        return Response({"act": done.act, "openings": done.openings})
