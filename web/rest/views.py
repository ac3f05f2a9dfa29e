"""What every REST view builds on: the actor, JSON bodies, and the declaration of the guarding action."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from access import checked
from audit.actors import Actor
from audit.errors import Invalid
from audit.events import Action
from web.rest.parsing import StrictJSONParser


class NamesItsMethods(APIView):
    """OPTIONS names the methods in ``Allow`` and nothing else. The open schema says the same, so anyone may ask."""

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override] # as DRF has it
        checked.note()
        return Response(status=204)


class View(NamesItsMethods):
    """A view on one noun. ``owner`` is the action that guards it (a test asks every URL for one)."""

    owner: Action
    parser_classes = (StrictJSONParser,)

    @property
    def actor(self) -> Actor:
        found: Actor = self.request._request.actor  # type: ignore[attr-defined] # set by web.middleware
        return found


def body(shape: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, checked against a serializer; raises Invalid with the first complaint."""
    if not isinstance(request.data, dict):
        raise Invalid("The body must be a JSON object.", code="bad_body")
    unknown = sorted(set(request.data) - set(shape().fields))
    if unknown:
        known = ", ".join(shape().fields)
        raise Invalid(f"There is no field {unknown[0][:60]!r} here; the fields are {known}.", code="unknown_field")
    checked = shape(data=request.data)
    checked.is_valid(raise_exception=True)
    found: dict[str, Any] = checked.validated_data
    return found
