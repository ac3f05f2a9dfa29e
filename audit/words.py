"""The words of openings as keyed tokens, so that what is encrypted can be searched and forgotten.

A token is eight bytes of HMAC-SHA-256 under a key outside the database: whoever reads the table learns no word. The
tokens of what an event says about one person stand in one row of its openings (``audit_disclosure.words``) and are
deleted with it. Beside the
words stand marks for the other filters of a search, so that the index alone finds what matches all of them. Which
rows match is ``audit/hits.py``.
"""

import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from audit import keys
from audit.errors import Invalid

SHORTEST, LONGEST, MOST = 2, 40, 200
MOST_ASKED: Final = 12
_MOST_TEXT = 20_000  # characters of one opening that are read for words
_RUN = re.compile(r"\w+(?:[.:@/+\-]+\w+)*")
_PART = re.compile(r"\w+")
_DIACRITICS = re.compile("[\u0300-\u036f]")
_ADDRESS = re.compile(r"[0-9a-f:.%]*[:.][0-9a-f:.%]*")
_AROUND = "()[]<>,;'\"!?"


def fold(text: str) -> str:
    """Text as it is compared: compatibility forms, case and diacritics are gone (``Müller`` is ``muller``)."""
    plain = _DIACRITICS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFKC", plain.casefold())


def words(text: str) -> list[str]:
    """The words to index, each once. Addresses, e-mail addresses and names with hyphens count whole and in parts."""
    found: dict[str, None] = {}
    for chunk in fold(text[:_MOST_TEXT]).split():
        for whole in _wholes(chunk):
            for word in (whole, *_PART.findall(whole)):
                if _is_word(word):
                    found[word] = None
        if len(found) >= MOST:
            break
    return list(found)[:MOST]


def asked(text: str) -> list[str]:
    """The words of a question. What is written together is looked for together. Raises Invalid when there is none."""
    found: dict[str, None] = {}
    for chunk in fold(text[:_MOST_TEXT]).split():
        for whole in _wholes(chunk):
            found |= dict.fromkeys([whole] if _is_word(whole) else filter(_is_word, _PART.findall(whole)))
    if not found:
        raise Invalid(f"Search for whole words of {SHORTEST} to {LONGEST} letters or digits.", code="bad_filter")
    if len(found) > MOST_ASKED:
        raise Invalid(f"Search for at most {MOST_ASKED} words at once.", code="bad_filter")
    return list(found)


def _wholes(chunk: str) -> Iterator[str]:
    """What stands together in a piece of text without spaces: an address in its usual form, else runs of words."""
    bare = chunk.strip(_AROUND).rstrip(".")
    if _ADDRESS.fullmatch(bare):
        try:
            yield str(ipaddress.ip_address(bare))
        except ValueError:
            pass
        else:
            return
    yield from _RUN.findall(chunk)


def _is_word(text: str) -> bool:
    return SHORTEST <= len(text) <= LONGEST


# -- tokens ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Marks:
    """What else an event is found by, beside its words: the values of a search's other filters."""

    scope: str
    action: str
    outcome: str
    actor: str
    type: str
    object: str


def marks(
    *, log: str, recorded_at: datetime, action: str, outcome: str, actor: str, object_type: str, object_id: str
) -> Marks:
    """The marks of one event."""
    return Marks(scope(log, recorded_at), action, outcome, actor, object_type, object_id)


def scope(log: str, instant: datetime) -> str:
    """A log and a month (UTC). Every token belongs to one, so that a search touches one month after the other."""
    return f"{log} {instant:%Y-%m}"


@lru_cache(maxsize=16_384)
def token(within: str, kind: str, value: str) -> int:
    """The token of a word (``kind`` is ``word``) or of a mark (its field) within a scope."""
    digest = hmac.digest(keys.secret("search"), f"{within}\x1f{kind}\x1f{value}".encode(), "sha256")
    return int.from_bytes(digest[:8], "big", signed=True)


def of_event(values: Iterable[object], found_by: Marks) -> list[int]:
    """Every token an event is found by through its openings; none when they hold no word."""
    known = {word for value in values if isinstance(value, str) for word in words(value)}
    if not known:
        return []
    tokens = {token(found_by.scope, "word", word) for word in known}
    return sorted(tokens | {token(found_by.scope, kind, value) for kind, value in _values(found_by)})


def _values(found_by: Marks) -> Iterator[tuple[str, str]]:
    yield from ((kind, value) for kind, value in vars(found_by).items() if kind != "scope")
