"""Whether a permission check ran during this request. The middleware turns a success without one into a denial."""

from contextvars import ContextVar

_ran: ContextVar[bool] = ContextVar("plimsoll_check_ran", default=False)


def begin() -> None:
    """Forget earlier checks: a new request starts."""
    _ran.set(False)


def note() -> None:
    """A check ran."""
    _ran.set(True)


def ran() -> bool:
    """Whether one did."""
    return _ran.get()
