"""What every page's view begins with: the owner of the address, a signed-in actor, the methods it answers to.

Not here: whether the actor may do or see something in particular; the queries and actions a view calls ask that.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from access import policy
from audit.actors import Actor
from audit.events import Action
from audit.subjects import INSTALLATION
from web.routes import OPEN, Open, route

View = Callable[..., HttpResponseBase]


def page(owner: Action | Open, *methods: str) -> Callable[[View], View]:
    """Mark a view with its owner; ``methods`` are what it answers to besides HEAD (GET unless said otherwise)."""
    allowed = methods or ("GET",)

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in allowed and not (request.method == "HEAD" and "GET" in allowed):
                return _wrong_method(request, allowed)
            if isinstance(owner, Action) and actor_of(request).account is None:
                policy.require(actor_of(request), owner, INSTALLATION)  # refuses strangers, in the policy's own words
            response = view(request, *args, **kwargs)
            # What one person may see must not wait in a cache for the next.
            response.headers.setdefault("Cache-Control", "private, no-cache")
            return response

        return route(owner)(guarded)

    return guard


def open_page(*methods: str) -> Callable[[View], View]:
    """``page`` for the few addresses that strangers may call."""
    return page(OPEN, *methods)


def actor_of(request: HttpRequest) -> Actor:
    """Who asks, as the middleware found out."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return actor


def _wrong_method(request: HttpRequest, allowed: tuple[str, ...]) -> HttpResponse:
    response = render(request, "errors/405.html", {"request_id": getattr(request, "request_id", "")}, status=405)
    response["Allow"] = ", ".join(allowed)
    return response
