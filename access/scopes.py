"""What a token may be used for: a table of scopes, each naming the kinds of acts it reaches.

A scope only narrows: whatever it says, the account behind the token must hold a role that allows the act
(``access/policy.py``). A kind of act that nobody put here is out of reach of every scope but the widest.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from audit.events import ACCESS_LOG, Action


class TokenScope(StrEnum):
    """One scope; its value is what the API takes and the row keeps."""

    READ = "read"
    REGISTRY = "registry"
    FULL = "full"


@dataclass(frozen=True)
class Words:
    """A scope for people. ``reach`` follows "this token may only"."""

    label: str
    reach: str


SCOPES: Final[dict[TokenScope, Words]] = {
    TokenScope.READ: Words("read only", "read"),
    TokenScope.REGISTRY: Words("registry", "work with models, data sets, runs and promotion requests"),
    TokenScope.FULL: Words("everything the account may", "do what its account may"),
}

# The first part of an action's name ("model_version" of "model_version.create").
_REGISTRY_KINDS: Final = frozenset(
    {
        "alias",
        "artifact",
        "data_set",
        "evidence",
        "model_version",
        "promotion",
        "registered_model",
        "registry",
        "tracking",
    }
)
# A pipeline asks for promotion and applies what was approved; who decides is a person who signed in, or says so.
_NOT_REGISTRY: Final = frozenset({Action.PROMOTION_DECIDE})


def reaches(scope: TokenScope, action: Action) -> bool:
    """Whether a token of this scope may be used for ``action`` at all."""
    if scope is TokenScope.FULL:
        return True
    if scope is TokenScope.READ:
        return action in ACCESS_LOG
    return action.value.partition(".")[0] in _REGISTRY_KINDS and action not in _NOT_REGISTRY
