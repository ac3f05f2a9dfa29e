"""What this installation protects: the shipped set of policies, or with ``PLIMSOLL_POLICIES=open`` nothing at all.

The shipped set is written in ``registry/states.py``; what a protected stage asks for is ``registry/rules.py``. Reading
the setting belongs here and nowhere else, so that one word turns all of it off.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from django.conf import settings

from registry.states import OPEN_TAGS, PROTECTED_ALIASES, PROTECTED_STAGES, PolicySet, Stage


def is_open() -> bool:
    """Whether no stage and no alias is protected."""
    return bool(settings.PLIMSOLL_POLICIES == PolicySet.OPEN)


def stages() -> frozenset[Stage]:
    """The stages that are entered and left by promotion only."""
    return frozenset() if is_open() else PROTECTED_STAGES


def aliases() -> Mapping[str, Stage]:
    """The aliases, in lower case, that move only with a promotion into the stage they belong to."""
    return {} if is_open() else PROTECTED_ALIASES


def tag_stays_open(key: str) -> bool:
    """Whether this tag may still be changed on a version that is frozen."""
    return any(fnmatchcase(key, pattern) for pattern in OPEN_TAGS)
