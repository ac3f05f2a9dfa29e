"""Every route says which action guards it. ``route(Action.X)`` on a view is that statement; ``OPEN`` marks the few
addresses anyone may call. A test enumerates all URLs and fails for one without an owner.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.http import HttpRequest

from audit.events import Action

View = TypeVar("View", bound=Callable[..., Any])


class Open:
    """Marks a route that needs no permission: sign-in, health, static files."""


OPEN: Final = Open()


def route(owner: Action | Open) -> Callable[[View], View]:
    """Declare the action that guards a view (function or class-based ``as_view()``)."""

    def mark(view: View) -> View:
        view.owner = owner  # type: ignore[attr-defined]
        return view

    return mark


def owner_of(view: Callable[..., Any]) -> Action | Open | None:
    """What the view, or the class behind it, declares."""
    found = getattr(view, "owner", None) or getattr(getattr(view, "view_class", None), "owner", None)
    return found or getattr(getattr(view, "cls", None), "owner", None)


def is_open(request: HttpRequest) -> bool:
    """Whether the request went to an open route (or to none: a redirect or a static file from a middleware)."""
    match = request.resolver_match
    return match is None or isinstance(owner_of(match.func), Open)
