"""How the OpenAPI document describes signing in."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from web.rest.views import NamesItsMethods


class ActorScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # its base registers untyped
    """Bearer token, HTTP Basic, or the browser's session cookie."""

    target_class = "web.rest.authentication.ActorAuthentication"
    name = ["bearer", "basic", "session"]  # noqa: RUF012 - the base class declares it so

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer"},
            {"type": "http", "scheme": "basic"},
            {"type": "apiKey", "in": "cookie", "name": "plimsoll_session"},
        ]


class Document(NamesItsMethods, SpectacularAPIView):
    """The OpenAPI document, for anyone. Its refusals are JSON like all others, whatever form was asked for."""

    def handle_exception(self, exc: Exception) -> Response:
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().handle_exception(exc)
