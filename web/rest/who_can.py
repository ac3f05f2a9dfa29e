"""Who can do this, and the policy table itself, over REST."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access import checked, queries, reads, scopes, who_can
from access.policy import ENTANGLED, POLICY
from access.roles import Role
from access.scopes import TokenScope
from audit.errors import Unauthenticated
from audit.events import WORDS, Action
from audit.subjects import INSTALLATION
from web.rest import people_shapes as shapes
from web.rest.views import View

_TAKES = ("action", "model", "person", "after")


def presented(holder: who_can.Holder) -> dict[str, Any]:
    """The answer for one account."""
    return {
        "username": holder.user.username,
        "display_name": holder.user.display_name,
        "is_service": holder.user.is_service,
        "allowed": holder.why_not is None,
        "through": [who_can.grant_words(held) for held in holder.through],
        "why_not": holder.why_not,
    }


class WhoCan(View):
    """Who can do ``action`` (on the model or data set named ``model``); with ``person``, whether they can."""

    owner = Action.PEOPLE_VIEW

    @extend_schema(
        responses=shapes.AnswerSerializer,
        parameters=[
            OpenApiParameter("action", OpenApiTypes.STR, required=True, enum=[action.value for action in Action]),
            OpenApiParameter("model", OpenApiTypes.STR, description="The name of a model or data set."),
            OpenApiParameter("person", OpenApiTypes.STR, description="A user name: the answer is about it alone."),
            shapes.AFTER,
        ],
        operation_id="who_can",
    )
    def get(self, request: Request) -> Response:
        values = {name: request.query_params.get(name, "") for name in _TAKES}
        asked = who_can.question(values["action"], values["model"])
        told = {"action": asked.action.value}
        if values["person"]:
            user = queries.person(self.actor, values["person"])
            found: list[who_can.Holder] = [who_can.of(self.actor, asked, user)]
            answer = None
        else:
            answer = who_can.answer(self.actor, asked, values["after"])
            found = list(answer.holders)
        reads.seen(self.actor, Action.PEOPLE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
        return Response(
            {
                "action": asked.action.value,
                "words": WORDS[asked.action],
                "model": asked.scope,
                "rule": who_can.sentence(asked),
                "unless": [ENTANGLED[relation] for relation in asked.rule.unless],
                "groups": sorted({str(g.group) for g in answer.groups}) if answer else [],
                "accounts": [presented(holder) for holder in found],
                "next": (answer.after if answer else "") or None,
            }
        )


class Policy(View):
    """The policy table: every action, who may, and which tokens reach it. For everyone who is signed in."""

    owner = Action.SESSION_OPEN

    @extend_schema(responses=shapes.PolicySerializer)
    def get(self, request: Request) -> Response:
        checked.note()
        if self.actor.account is None:
            raise Unauthenticated("Sign in to read the policy table.")
        return Response({"actions": [_row(action) for action in POLICY]})


def _row(action: Action) -> dict[str, Any]:
    rule = POLICY[action]
    return {
        "action": action.value,
        "words": WORDS[action],
        "roles": [role.value for role in Role if role in rule.roles],
        "anyone": rule.anyone,
        "own": rule.own,
        "system": rule.system,
        "unless": [relation.value for relation in rule.unless],
        "token_scopes": [scope.value for scope in TokenScope if scopes.reaches(scope, action)],
    }
