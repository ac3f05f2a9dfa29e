"""What every page's template is given: who looks, and where they can go."""

from typing import Any

from django.http import HttpRequest


def page(request: HttpRequest) -> dict[str, Any]:
    """The context processor behind ``base.html``."""
    return {"actor": getattr(request, "actor", None), "request_id": getattr(request, "request_id", "")}
