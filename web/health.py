"""``/healthz`` (the process lives) and ``/readyz`` (it can do its work), for supervisors and load balancers."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from web.routes import OPEN, route


@route(OPEN)
def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as requests are answered."""
    return JsonResponse({"status": "alive"})


@route(OPEN)
def ready(request: HttpRequest) -> JsonResponse:
    """200 when the database answers with the expected schema, else 503 and the name of what is missing."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM audit_tree LIMIT 1")
    except DatabaseError:
        return JsonResponse({"status": "not ready", "missing": ["database"]}, status=503)
    return JsonResponse({"status": "ready", "missing": []})
