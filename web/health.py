"""``/healthz`` (the process lives) and ``/readyz`` (it can do its work), for supervisors and load balancers."""

from functools import cache

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from explain import sandbox
from web.routes import OPEN, route


@route(OPEN)
def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as requests are answered."""
    return JsonResponse({"status": "alive"})


@route(OPEN)
def ready(request: HttpRequest) -> JsonResponse:
    """200 when the database answers with the expected schema, else 503 and the name of what is missing.

    Without a sandbox the registry works and no model is loaded: that is 200 with the status "degraded" and the reason.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM audit_tree LIMIT 1")
    except DatabaseError:
        return JsonResponse({"status": "not ready", "missing": ["database"]}, status=503)
    reason = _sandbox_refusal()
    if reason:
        return JsonResponse({"status": "degraded", "missing": ["sandbox"], "reason": reason})
    return JsonResponse({"status": "ready", "missing": []})


@cache
def _sandbox_refusal() -> str | None:
    """Why no model can be loaded on this machine; asked once, since it takes a child process."""
    return sandbox.probe()
