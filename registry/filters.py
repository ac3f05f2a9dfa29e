"""The search grammar of MLflow's registry: ``clause (AND clause)*``, read into clauses. Nothing here asks the database.

A clause compares an attribute or a tag with quoted text, a list of it, or (version_number) an integer. There is no OR.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from audit.errors import Invalid

MOST_FILTER: Final = 10_000
MOST_CLAUSES: Final = 50
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<quoted>`[^`]*`)
      | (?P<sign><=|>=|!=|=|<|>)
      | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
      | (?P<word>[A-Za-z_][\w]*)
      | (?P<mark>[.,()])
    )""",
    re.VERBOSE,
)
_EQUAL: Final = frozenset({"=", "!="})
_LIKE: Final = frozenset({"LIKE", "ILIKE"})
_IN: Final = frozenset({"IN", "NOT IN"})
_ORDER: Final = frozenset({"<", "<=", ">", ">="})
TEXT_LISTED: Final = _EQUAL | _LIKE | _IN
TEXT_ONLY: Final = _EQUAL | _LIKE
NUMBER: Final = _EQUAL | _ORDER


@dataclass(frozen=True)
class Clause:
    """One comparison. ``tag`` tells a tag's key from an attribute's name; ``value`` is text, a list of it or an int."""

    key: str
    operator: str
    value: str | int | tuple[str, ...]
    tag: bool


@dataclass(frozen=True)
class OrderKey:
    """One key of an ``order_by``."""

    key: str
    descending: bool


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def parse(text: str, attributes: Mapping[str, frozenset[str]]) -> list[Clause]:
    """The clauses of a filter; ``attributes`` says which operators each attribute takes. Raises Invalid."""
    if len(text) > MOST_FILTER:
        raise Invalid(f"The filter has {len(text)} characters; at most {MOST_FILTER} are read.", code="bad_filter")
    tokens = _tokens(text)
    clauses: list[Clause] = []
    while tokens.more():
        if clauses:
            tokens.word("AND")
        clauses.append(_clause(tokens, attributes))
        if len(clauses) > MOST_CLAUSES:
            raise Invalid(f"A filter has at most {MOST_CLAUSES} clauses.", code="bad_filter")
    return clauses


def parse_order(entries: Iterable[str], keys: Iterable[str]) -> list[OrderKey]:
    """The keys of an ``order_by`` list: each ``key``, ``key ASC`` or ``key DESC``. Raises Invalid."""
    valid = sorted(keys)
    found: list[OrderKey] = []
    for entry in entries:
        parts = entry.replace("`", "").replace('"', "").split()
        key = parts[0].removeprefix("attribute.").removeprefix("attributes.") if parts else ""
        direction = parts[1].upper() if len(parts) > 1 else "ASC"
        if len(parts) > 2 or direction not in {"ASC", "DESC"}:
            raise Invalid(f"Invalid order_by clause '{entry[:100]}'. Could not be parsed.", code="bad_order")
        if key not in valid:
            raise Invalid(f"Invalid order by key '{key[:100]}' specified. Valid keys are {valid}.", code="bad_order")
        if any(known.key == key for known in found):
            raise Invalid(f"`order_by` contains duplicate fields: {key}.", code="bad_order")
        found.append(OrderKey(key, direction == "DESC"))
    return found


class _Tokens:
    """The tokens of one filter, taken from the front."""

    def __init__(self, text: str, found: list[_Token]) -> None:
        self._text = text
        self._found = found
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._found)

    def peek(self) -> _Token:
        return self._found[self._at] if self.more() else _Token("end", "")

    def take(self, *kinds: str) -> _Token:
        token = self.peek()
        if token.kind not in kinds:
            raise self.unreadable(token)
        self._at += 1
        return token

    def word(self, wanted: str) -> None:
        if self.take("word").text.upper() != wanted:
            self._at -= 1
            raise self.unreadable(self.peek())

    def mark(self, wanted: str) -> bool:
        """Take the mark when it is next; whether it was."""
        if self.peek() == _Token("mark", wanted):
            self._at += 1
            return True
        return False

    def unreadable(self, token: _Token) -> Invalid:
        where = f"at '{token.text[:60]}'" if token.kind != "end" else "at its end"
        return Invalid(
            f"Invalid clause(s) in filter string: '{self._text[:200]}' cannot be read {where}. A filter is a list of"
            " comparisons such as name = 'churn' or tags.`team` LIKE 'risk%', joined by AND.",
            code="bad_filter",
        )


def _tokens(text: str) -> _Tokens:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _Tokens(text, []).unreadable(_Token("rest", text[at:].strip()))
        found.append(_Token(match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return _Tokens(text, found)


def _clause(tokens: _Tokens, attributes: Mapping[str, frozenset[str]]) -> Clause:
    key, tag = _identifier(tokens, attributes)
    operators = TEXT_ONLY if tag else attributes[key]
    operator = _operator(tokens)
    if operator not in operators:
        kind = "tag" if tag else f"attribute {key}"
        raise Invalid(
            f"Invalid comparator for {kind}: {operator}. Valid ones are {sorted(operators)}.", code="bad_filter"
        )
    if operator in _IN:
        return Clause(key, operator, _list(tokens), tag)
    if operators is NUMBER:
        return Clause(key, operator, _number(tokens, key), tag)
    if tokens.peek().kind != "text":
        got = tokens.peek().text[:60] or "nothing"
        raise Invalid(
            f"Expected a quoted string value for '{key}' (e.g. 'my-value'). Got value {got}.",
            code="bad_filter",
        )
    return Clause(key, operator, tokens.take("text").text[1:-1], tag)


def _identifier(tokens: _Tokens, attributes: Mapping[str, frozenset[str]]) -> tuple[str, bool]:
    first = tokens.take("word", "quoted").text.strip("`")
    if not tokens.mark("."):
        return _attribute(first, attributes), False
    if first in {"attribute", "attributes"}:
        return _attribute(tokens.take("word", "quoted").text.strip("`"), attributes), False
    if first not in {"tag", "tags"}:
        raise Invalid(
            f"Invalid entity type '{first[:60]}'. Valid entity types are ['attribute', 'tag', 'tags'].",
            code="bad_filter",
        )
    parts = [_key_part(tokens)]
    while tokens.mark("."):
        parts.append(_key_part(tokens))
    return ".".join(parts), True


def _key_part(tokens: _Tokens) -> str:
    token = tokens.take("word", "quoted", "text", "number")
    return token.text[1:-1] if token.kind in {"quoted", "text"} else token.text


def _attribute(key: str, attributes: Mapping[str, frozenset[str]]) -> str:
    if key not in attributes:
        raise Invalid(
            f"Invalid attribute key '{key[:60]}' specified. Valid keys are {sorted(attributes)}.", code="bad_filter"
        )
    return key


def _operator(tokens: _Tokens) -> str:
    token = tokens.take("sign", "word")
    if token.kind == "sign":
        return token.text
    if token.text.upper() == "NOT":
        tokens.word("IN")
        return "NOT IN"
    if token.text.upper() not in _LIKE | {"IN"}:
        raise tokens.unreadable(token)
    return token.text.upper()


def _list(tokens: _Tokens) -> tuple[str, ...]:
    if not tokens.mark("("):
        raise tokens.unreadable(tokens.peek())
    values = [tokens.take("text").text[1:-1]]
    while tokens.mark(","):
        values.append(tokens.take("text").text[1:-1])
    if not tokens.mark(")"):
        raise tokens.unreadable(tokens.peek())
    return tuple(values)


def _number(tokens: _Tokens, key: str) -> int:
    token = tokens.take("number", "text")
    text = token.text[1:-1] if token.kind == "text" else token.text
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise Invalid(f"Invalid value for numeric attribute '{key}': '{text[:40]}'.", code="bad_filter")
    # Numbers of versions are 32 bits wide in the database; beyond that every comparison comes out the same.
    return max(-1, min(int(text), 2**31 - 1))
