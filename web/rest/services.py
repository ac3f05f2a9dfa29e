"""Service accounts over REST: who answers for them, and their tokens, which only their owner makes."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access import actions, policy, queries
from access.models import User
from access.scopes import TokenScope
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from web.rest import people_shapes as shapes
from web.rest.account import Account, made, tokens_presented
from web.rest.people import page_of, presented
from web.rest.views import View, body


def _owner(username: str) -> User:
    """The account named in a body: a name that is nobody's is a fault of the body, not of the address."""
    try:
        return queries.user_by_name(username)
    except NotFound as error:
        raise Invalid(error.sentence, code="unknown_owner") from None


class Services(Account):
    """List service accounts (all for those who see accounts, else one's own), make one."""

    owner = Action.USER_CREATE

    @extend_schema(responses=shapes.ServiceListSerializer, parameters=[shapes.AFTER])
    def get(self, request: Request) -> Response:
        self.check_signed_in()
        rows, following = page_of(request, queries.service_accounts(self.actor))
        return Response({"service_accounts": [presented(user) for user in rows], "next": following})

    @extend_schema(request=shapes.NewServiceSerializer, responses={201: shapes.PersonSerializer})
    def post(self, request: Request) -> Response:
        values = body(shapes.NewServiceSerializer, request)
        policy.require_read(self.actor, Action.USER_CREATE, INSTALLATION)
        named = values.pop("owner")
        owner = _owner(named) if named else None
        user = actions.create_user(by=self.actor, **values, password=None, is_service=True, owner=owner)
        return Response(presented(user), status=201)


class Owner(View):
    """Name another owner."""

    owner = Action.OWNER_SET

    @extend_schema(request=shapes.OwnerSerializer, responses=shapes.PersonSerializer)
    def post(self, request: Request, username: str) -> Response:
        values = body(shapes.OwnerSerializer, request)
        policy.require_read(self.actor, Action.OWNER_SET, INSTALLATION)
        service = queries.service_account(self.actor, username)
        actions.set_owner(by=self.actor, service=service, owner=_owner(values["owner"]))
        return Response(presented(queries.service_account(self.actor, username)))


class Tokens(Account):
    """The tokens of a service account: list them, make one."""

    owner = Action.TOKEN_CREATE

    @extend_schema(responses=shapes.TokenListSerializer, operation_id="service_accounts_tokens_list")
    def get(self, request: Request, username: str) -> Response:
        self.check_signed_in()
        user = queries.service_account(self.actor, username)
        return Response({"tokens": tokens_presented(queries.tokens_of(self.actor, user))})

    @extend_schema(
        request=shapes.NewTokenSerializer,
        responses={201: shapes.MadeTokenSerializer},
        operation_id="service_accounts_tokens_create",
    )
    def post(self, request: Request, username: str) -> Response:
        self.check_signed_in()
        values = body(shapes.NewTokenSerializer, request)
        values["scope"] = TokenScope(values["scope"])
        user = queries.service_account(self.actor, username)
        return made(*actions.create_token(by=self.actor, user=user, **values))
