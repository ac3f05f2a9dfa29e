"""The caller's own account over REST, and the tokens and sessions of any account they may see."""

from collections.abc import Iterable
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access import actions, grants, queries, uses
from access.models import Session, Token
from access.scopes import TokenScope
from audit.errors import Unauthenticated
from audit.events import Action
from registry.queries.visible import uuid_of
from web import sessions
from web.rest import people_shapes as shapes
from web.rest.views import View, body

_MOST: Final = 500


def tokens_presented(rows: Iterable[Token]) -> list[dict[str, Any]]:
    """The answer for some tokens; last uses in one query."""
    rows = list(rows)
    used = uses.of(row.pk for row in rows)
    return [
        {
            "id": row.pk,
            "name": row.name,
            "prefix": row.prefix,
            "scope": row.scope,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "last_used_at": used.get(row.pk),
            "revoked_at": row.revoked_at,
        }
        for row in rows
    ]


def sessions_presented(rows: Iterable[Session]) -> list[dict[str, Any]]:
    """The answer for some sessions; last uses in one query."""
    rows = list(rows)
    used = uses.of(row.pk for row in rows)
    return [
        {
            "id": row.pk,
            "auth": row.auth,
            "browser": row.browser,
            "address": row.address,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "last_used_at": used.get(row.pk),
        }
        for row in rows
    ]


def made(token: Token, secret: str) -> Response:
    """The answer that shows a token's secret, this once."""
    return Response(
        {**tokens_presented([token])[0], "secret": secret}, status=201, headers={"Cache-Control": "no-store"}
    )


class Account(View):
    """An address about the caller's own account: strangers are asked to sign in."""

    def check_signed_in(self) -> None:
        if self.actor.account is None:
            raise Unauthenticated("Sign in with a bearer token or with HTTP Basic.")


class Me(Account):
    """The caller's own account and roles."""

    owner = Action.SESSION_OPEN

    @extend_schema(responses=shapes.MeSerializer)
    def get(self, request: Request) -> Response:
        self.check_signed_in()
        queries.own_account(self.actor)
        held = [
            {"role": g.role.value, "pattern": g.pattern, "until": g.until, "group": g.group}
            for g in grants.held_by(self.actor)
        ]
        return Response(
            {
                "username": self.actor.name,
                "auth": self.actor.auth,
                "token_scope": self.actor.token_scope,
                "roles": held,
            }
        )


class Password(Account):
    """Change one's own password; every other session ends."""

    owner = Action.PASSWORD_CHANGE

    @extend_schema(request=shapes.NewPasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        self.check_signed_in()
        values = body(shapes.NewPasswordSerializer, request)
        here = sessions.id_of(request._request) if self.actor.auth == "session" else ""
        user = actions.change_password(by=self.actor, **values, session=here)
        if here:
            sessions.renew(request._request, user)
        return Response(status=204)


class Tokens(Account):
    """The caller's own tokens: list them, make one."""

    owner = Action.TOKEN_CREATE

    @extend_schema(responses=shapes.TokenListSerializer)
    def get(self, request: Request) -> Response:
        self.check_signed_in()
        return Response({"tokens": tokens_presented(queries.tokens_of(self.actor)[:_MOST])})

    @extend_schema(request=shapes.NewTokenSerializer, responses={201: shapes.MadeTokenSerializer})
    def post(self, request: Request) -> Response:
        self.check_signed_in()
        values = body(shapes.NewTokenSerializer, request)
        values["scope"] = TokenScope(values["scope"])
        user = queries.own_account(self.actor)
        return made(*actions.create_token(by=self.actor, user=user, **values))


class OneToken(Account):
    """Revoke a token: one's own, a service account's, or as administrator anyone's."""

    owner = Action.TOKEN_REVOKE

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, token_id: str) -> Response:
        self.check_signed_in()
        actions.revoke_token(by=self.actor, token=queries.token(self.actor, uuid_of(token_id)))
        return Response(status=204)


class Sessions(Account):
    """The caller's own sessions: list them, end them all."""

    owner = Action.SESSION_REVOKE

    @extend_schema(responses=shapes.SessionListSerializer)
    def get(self, request: Request) -> Response:
        self.check_signed_in()
        return Response({"sessions": sessions_presented(queries.sessions_of(self.actor)[:_MOST])})

    @extend_schema(request=None, responses=shapes.EndedSerializer, operation_id="sessions_end_all")
    def delete(self, request: Request) -> Response:
        self.check_signed_in()
        ended = actions.end_sessions(by=self.actor, user=queries.own_account(self.actor))
        return Response({"sessions_ended": ended})


class OneSession(Account):
    """End a session: one's own, or as administrator anyone's."""

    owner = Action.SESSION_REVOKE

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, session_id: str) -> Response:
        self.check_signed_in()
        actions.revoke_session(by=self.actor, session=queries.session(self.actor, uuid_of(session_id)))
        return Response(status=204)


class PersonTokens(View):
    """The tokens of an account, for its holder and for administrators."""

    owner = Action.TOKEN_REVOKE

    @extend_schema(responses=shapes.TokenListSerializer, operation_id="people_tokens_list")
    def get(self, request: Request, username: str) -> Response:
        user = queries.person(self.actor, username)
        return Response({"tokens": tokens_presented(queries.tokens_of(self.actor, user)[:_MOST])})


class PersonSessions(View):
    """The sessions of an account, for its holder and for administrators: list them, end them all."""

    owner = Action.SESSION_REVOKE

    @extend_schema(responses=shapes.SessionListSerializer, operation_id="people_sessions_list")
    def get(self, request: Request, username: str) -> Response:
        user = queries.person(self.actor, username)
        return Response({"sessions": sessions_presented(queries.sessions_of(self.actor, user)[:_MOST])})

    @extend_schema(request=None, responses=shapes.EndedSerializer)
    def delete(self, request: Request, username: str) -> Response:
        user = queries.person(self.actor, username)
        return Response({"sessions_ended": actions.end_sessions(by=self.actor, user=user)})
