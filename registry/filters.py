"""The search grammar of MLflow's registry: ``clause (AND clause)*``, read into clauses. Nothing here asks the database.

A clause compares an attribute or a tag with quoted text, a list of it, or (version_number) an integer. There is no OR.
Quotes inside quoted text stay as they are written. What refuses a filter is worded as MLflow's clients know it.
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
        (?P<text>'(?:''|[^'])*'|"(?:""|[^"])*")
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


def parse_order(entries: Iterable[str], keys: Iterable[str], *, named: str = "order by key") -> list[OrderKey]:
    """The keys of an ``order_by`` list: each ``key``, ``key ASC`` or ``key DESC``. Raises Invalid, which calls a key
    ``named``.
    """
    valid = sorted(keys)
    found: list[OrderKey] = []
    for entry in entries:
        parts = entry.replace("`", "").replace('"', "").split()
        if not 1 <= len(parts) <= 2:
            raise Invalid(f"Invalid order_by clause '{entry[:100]}'. Could not be parsed.", code="bad_order")
        key = parts[0].removeprefix("attribute.")
        direction = parts[1].upper() if len(parts) > 1 else "ASC"
        if direction not in {"ASC", "DESC"}:
            raise Invalid(f"Invalid ordering key in order_by clause '{entry[:100]}'.", code="bad_order")
        if key not in valid:
            raise Invalid(f"Invalid {named} '{key[:100]}' specified. Valid keys are {valid}.", code="bad_order")
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
    """Read a whole comparison, then ask whether it makes sense: what is no comparison is said to be none."""
    names = _names(tokens)
    operator = _operator(tokens)
    value = _listed(tokens) if operator in _IN else tokens.take("text", "number", "word", "quoted")
    if isinstance(value, _Token) and value.kind == "word" and value.text.upper() in {"TRUE", "FALSE", "NULL"}:
        raise tokens.unreadable(value)
    key, tag = _identified(names, attributes)
    operators = TEXT_ONLY if tag else attributes[key]
    if operator not in operators:
        kind = "tag" if tag else f"attribute {key}" if operators is NUMBER else "attribute"
        raise Invalid(f"Invalid comparator for {kind}: {operator}", code="bad_filter")
    if isinstance(value, tuple):
        return Clause(key, operator, value, tag)
    if operators is NUMBER:
        return Clause(key, operator, _number(value, key), tag)
    return Clause(key, operator, _quoted(value, tag=tag), tag)


def _names(tokens: _Tokens) -> list[str]:
    """The parts of what is compared, as far as dots join them."""
    found = [tokens.take("word", "quoted").text.strip("`")]
    while tokens.mark("."):
        part = tokens.take("word", "quoted", "text", "number")
        found.append(part.text[1:-1] if part.kind in {"quoted", "text"} else part.text)
    return found


def _identified(names: list[str], attributes: Mapping[str, frozenset[str]]) -> tuple[str, bool]:
    entity, key = names[0] if len(names) > 1 else "attribute", ".".join(names[1:] or names)
    if entity not in {"attribute", "tag", "tags"}:
        raise Invalid(
            f"Invalid entity type '{entity[:60]}'. Valid entity types are ('attribute', 'tag', 'tags')",
            code="bad_filter",
        )
    if entity != "attribute":
        return key, True
    if key not in attributes:
        raise Invalid(
            f"Invalid attribute key '{key[:60]}' specified. Valid keys are {sorted(attributes)}.", code="bad_filter"
        )
    return key, False


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


def _listed(tokens: _Tokens) -> tuple[str, ...]:
    """A list in parentheses, which has to be closed before it is looked at."""
    if not tokens.mark("("):
        raise tokens.unreadable(tokens.peek())
    inside: list[_Token] = []
    while not tokens.mark(")"):
        inside.append(tokens.take("text", "number", "word", "quoted", "sign", "mark"))
    values, commas = inside[::2], inside[1::2]
    fault = ""
    if not inside:
        fault = "expected a non-empty list of string values, but got empty list"
    elif any(token.kind == "number" for token in values):
        fault = "expected string value, punctuation, or whitespace, but got different type in list"
    elif any(token.kind != "text" for token in values) or any(token != _Token("mark", ",") for token in commas):
        fault = "expected a non-empty list of string values, but got ill-formed list"
    if fault:
        raise Invalid(f"While parsing a list in the query, {fault}.", code="bad_filter")
    return tuple(token.text[1:-1] for token in values)


def _quoted(value: _Token, *, tag: bool) -> str:
    if value.kind == "text":
        return value.text[1:-1]
    if value.kind == "number":
        kind = "tag (e.g. 'my-value')" if tag else "attributes"
        more = "" if tag else " or a list of quoted string values"
        raise Invalid(
            f"Expected a quoted string value{more} for {kind}. Got value {value.text[:60]}", code="bad_filter"
        )
    raise Invalid(
        "Parameter value is either not quoted or unidentified quote types used for string value"
        f" {value.text[:60]}. Use either single or double quotes.",
        code="bad_filter",
    )


def _number(token: _Token, key: str) -> int:
    text = token.text[1:-1] if token.kind == "text" else token.text
    if token.kind not in {"number", "text"} or not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise Invalid(f"Invalid value for numeric attribute '{key}': '{text[:40]}'", code="bad_filter")
    # Numbers of versions are 32 bits wide in the database; beyond that every comparison comes out the same.
    return max(-1, min(int(text), 2**31 - 1))
