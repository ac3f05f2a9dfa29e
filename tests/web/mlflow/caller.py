"""A caller of the wire: an account with a role and a token; and what the registry holds."""

import json
from typing import Any

from django.test import Client

from access import actions
from access.authenticate import actor_of
from access.roles import Role
from audit.actors import SYSTEM
from registry.models import Alias, Job, ModelTag, ModelVersion, RegisteredModel, VersionTag
from tests import factories


class Caller:
    """An account with a token, calling the wire as MLflow's client does."""

    def __init__(self, *roles: Role, pattern: str = "*") -> None:
        user = factories.account(*roles, pattern=pattern)
        self.username = user.username
        self.actor = actor_of(user, "bearer", request_id="test")
        _, token = actions.create_token(by=SYSTEM, user=user, name="test")
        self._client = Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)

    def send(self, method: str, path: str, raw: bytes | None = None, **headers: str) -> Any:
        """A request with exactly this path and body."""
        kind = headers.pop("content_type", "application/json")
        response = self._client.generic(method, path, raw or b"", content_type=kind, headers=headers)
        response.body = b"".join(response)  # also gives the connection to tracking back, as a web server would
        return response

    def call(self, method: str, call: str, api: str = "/api", **given: Any) -> tuple[int, dict]:
        """One call of the registry: its status and its answer."""
        path = f"{api}/2.0/mlflow/{call}"
        if method == "GET":
            response = self._client.get(path, given)
        else:
            response = self.send(method, path, json.dumps(given).encode())
        return response.status_code, json.loads(b"".join(response))

    def ok(self, method: str, call: str, **given: Any) -> dict:
        """The answer of a call that must succeed."""
        status, body = self.call(method, call, **given)
        assert status == 200, body
        return body

    def refused(self, method: str, call: str, **given: Any) -> tuple[int, str, str]:
        """Status, error code and message of a call that must not succeed."""
        status, body = self.call(method, call, **given)
        assert status >= 400, body
        return status, body["error_code"], body["message"]


def state() -> list[object]:
    """Everything of the registry that a refused call must leave as it was."""
    tables = (RegisteredModel, ModelVersion, ModelTag, VersionTag, Alias, Job)
    return [list(table.objects.order_by("pk").values()) for table in tables]
