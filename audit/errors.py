"""What can be refused, whatever the surface: each error is one sentence for people and one code for machines.

``web/errors.py`` maps these classes to HTTP statuses; nothing else may.
"""

from collections.abc import Mapping


class DomainError(Exception):
    """A refusal that explains itself.

    ``sentence`` is shown to people unchanged on every surface; ``code`` is stable and goes into the trail as
    ``reason_code``; ``details`` is JSON-able and never holds personal data.
    """

    code = "refused"

    def __init__(self, sentence: str, *, code: str | None = None, details: Mapping[str, object] | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or type(self).code
        self.details = dict(details or {})


class Invalid(DomainError):
    """The request itself is wrong: a value is missing, too long, of the wrong kind."""

    code = "invalid"


class Duplicate(DomainError):
    """The thing to be made is already there."""

    code = "duplicate"


class NotFound(DomainError):
    """There is no such thing, or it is not visible to this actor; the two are not told apart."""

    code = "not_found"


class Gone(NotFound):
    """It was here, and was removed for good under a rule that everyone can read."""

    code = "gone"


class Unauthenticated(DomainError):
    """Nobody, or nobody we know, is asking."""

    code = "unauthenticated"


class Denied(DomainError):
    """This actor may not do this to this subject."""

    code = "denied"


class Conflict(DomainError):
    """It may not be done now: the state does not allow it."""

    code = "conflict"


class Stale(Conflict):
    """What was judged is not what stands there any more."""

    code = "stale_digest"


class TooLarge(DomainError):
    """More than the service accepts in one piece."""

    code = "too_large"


class TooMany(DomainError):
    """Too many attempts in a short time."""

    code = "too_many_attempts"


class Unavailable(DomainError):
    """Something this needs does not answer right now; trying again later is right."""

    code = "unavailable"


class NotBuilt(DomainError):
    """The address is known and what it stands for is not built yet."""

    code = "not_implemented"
