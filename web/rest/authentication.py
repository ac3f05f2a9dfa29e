"""DRF's view of the actor that the middleware has found. Session callers must send the CSRF token."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from audit.actors import Actor
from audit.errors import Denied


class ActorAuthentication(BaseAuthentication):
    """Hand ``request.user`` the actor; anonymous callers are refused by the policy, with its sentence."""

    def authenticate(self, request: Request) -> tuple[Actor, None]:
        actor: Actor = request._request.actor  # type: ignore[attr-defined]
        if actor.auth == "session":
            self._require_csrf_token(request)
        return actor, None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="Plimsoll", charset="UTF-8"'

    def _require_csrf_token(self, request: Request) -> None:
        def unused(_: Any) -> Any:
            return None

        check = CSRFCheck(unused)
        check.process_request(request._request)
        reason = check.process_view(request._request, unused, (), {})
        if reason:
            raise Denied("Requests with a session cookie need the CSRF token in X-CSRFToken.", code="csrf")
