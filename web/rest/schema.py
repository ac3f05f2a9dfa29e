"""How the OpenAPI document describes signing in."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


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
