"""What may be said of a data set: its name, what its columns mean, and the sentences that refuse what does not fit.

Pure rules over values and a list of columns; reading the file is ``tabular.py``. A form sends every value as text, so a
value is brought to the kind of its column here, once, for every surface.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit.errors import Invalid

Scalar = str | int | float | bool

MOST_NAME: Final = 256
MOST_COLUMNS: Final = 5000
MOST_TEXT: Final = 200
MOST_ATTRIBUTES: Final = 6
MOST_VALUES: Final = 100
MOST_NUMBER: Final = 2**53 - 1  # what JSON readers that use doubles keep exact
OPERATORS: Final = ("in", ">", ">=", "<", "<=")
# What a column may hold that names a person; an erasure searches by these.
IDENTIFIER_KINDS: Final = ("email", "customer_id", "row_id", "string")

_NUMBERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True)
class Meaning:
    """What the columns of a data set mean, checked against them, as it is stored."""

    label: str
    favourable: Scalar | None
    protected: list[dict[str, Any]]
    identifiers: dict[str, str]
    excluded: list[str]


def data_set_name(name: str) -> str:
    """A data set's name in Unicode normal form C, or the sentence that refuses it."""
    normal = unicodedata.normalize("NFC", name)
    if not normal.strip():
        raise Invalid("Give the data set a name.", code="no_name")
    if len(normal) > MOST_NAME:
        raise Invalid(f"A data set's name has at most {MOST_NAME} characters, not {len(normal):,}.", code="too_long")
    if normal != normal.strip() or "/" in normal or ":" in normal or not _is_text(normal):
        raise Invalid(
            "A data set's name may not hold a slash, a colon or a control character, nor begin or end with a space.",
            code="bad_name",
        )
    return normal


def check_columns(columns: Sequence[Mapping[str, str]]) -> None:
    """Refuse a table whose columns cannot be told apart, stored or shown."""
    names = [column["name"] for column in columns]
    if len(names) > MOST_COLUMNS:
        raise Invalid(f"The file has {len(names):,} columns; at most {MOST_COLUMNS:,} are taken.", code="bad_columns")
    for name in names:
        if not name.strip() or len(name) > MOST_TEXT or not _is_text(name):
            raise Invalid(
                f"A column's name is 1 to {MOST_TEXT} characters without control characters; {name[:40]!r} is not.",
                code="bad_columns",
            )
        if names.count(name) > 1:
            raise Invalid(f"The file has several columns called “{name}”.", code="bad_columns")


def meaning(
    columns: Sequence[Mapping[str, str]],
    *,
    label: str,
    favourable: Scalar | None,
    protected: Sequence[Mapping[str, Any]],
    identifiers: Mapping[str, str],
    excluded: Sequence[str],
) -> Meaning:
    """Check what is said of the columns and bring values to the columns' kinds. Raises Invalid at the first fault."""
    kinds = {column["name"]: kind_of(column["type"]) for column in columns}
    if label:
        _require(kinds, label, "The label column")
    for column in excluded:
        _require(kinds, column, "The excluded column")
    return Meaning(
        label=label,
        favourable=_favourable(kinds, label, favourable),
        protected=_attributes(kinds, label, protected),
        identifiers=_identifiers(kinds, identifiers),
        excluded=list(dict.fromkeys(excluded)),
    )


def kind_of(type_name: str) -> str:
    """``text``, ``number``, ``boolean`` or ``other`` for one of DuckDB's names of types."""
    bare = type_name.upper().removeprefix("U")
    if bare.startswith(("VARCHAR", "ENUM")):
        return "text"
    if bare.startswith(_NUMBERS):
        return "number"
    return "boolean" if bare == "BOOLEAN" else "other"


def value_of(kind: str, value: object, what: str) -> Scalar:
    """``value`` as the kind of its column: a form's text becomes a number where the column holds numbers."""
    if isinstance(value, str):
        value = _parsed(kind, value, what)
    matches = {
        "text": isinstance(value, str),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
    }
    if not matches.get(kind, False) or not isinstance(value, str | int | float):
        raise Invalid(f"{what} {_shown(value)} does not fit its column, which holds {_WORDS[kind]}.", code="bad_value")
    if isinstance(value, str) and (len(value) > MOST_TEXT or not _is_text(value)):
        raise Invalid(f"{what} is longer than {MOST_TEXT} characters or holds a control character.", code="bad_value")
    # The comparison is false for NaN.
    if kind == "number" and not abs(value) <= MOST_NUMBER:  # type: ignore[arg-type] # a number, by the check above
        raise Invalid(f"{what} must be a finite number of ordinary size.", code="bad_value")
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WORDS: Final = {"text": "text", "number": "numbers", "boolean": "truth values", "other": "no simple values"}


def _parsed(kind: str, text: str, what: str) -> Scalar:
    if kind == "boolean" and text.strip().lower() in _TRUTH:
        return _TRUTH[text.strip().lower()]
    if kind != "number":
        return text
    try:
        return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except ValueError:
        raise Invalid(f"{what} {_shown(text)} is no number, and its column holds numbers.", code="bad_value") from None


def _favourable(kinds: Mapping[str, str], label: str, value: Scalar | None) -> Scalar | None:
    if value is None or value == "":
        return None
    if not label:
        raise Invalid("A favourable value needs a label column that it is a value of.", code="no_label")
    return value_of(kinds[label], value, "The favourable value")


def _attributes(kinds: Mapping[str, str], label: str, protected: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if len(protected) > MOST_ATTRIBUTES:
        raise Invalid(f"At most {MOST_ATTRIBUTES} protected attributes are taken.", code="too_many_attributes")
    found = [_attribute(kinds, label, entry) for entry in protected]
    names = [entry["name"] for entry in found]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(
                f"Two protected attributes are called “{name}”; give each its own name.", code="bad_attribute"
            )
    return found


def _attribute(kinds: Mapping[str, str], label: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(entry) - {"name", "column", "privileged"}
    if unknown or not isinstance(entry.get("column"), str) or not isinstance(entry.get("privileged"), Mapping):
        raise Invalid(
            'A protected attribute is {"name", "column", "privileged": {"op", "value"}}.', code="bad_attribute"
        )
    column, rule = entry["column"], entry["privileged"]
    _require(kinds, column, "The protected column")
    if column == label:
        raise Invalid(f"The label column “{label}” cannot be a protected attribute as well.", code="bad_attribute")
    name = entry.get("name") or column
    if not isinstance(name, str) or len(name) > MOST_TEXT or not _is_text(name):
        raise Invalid(f"A protected attribute's name is text of at most {MOST_TEXT} characters.", code="bad_attribute")
    return {"name": name, "column": column, "privileged": _rule(kinds[column], rule, name)}


def _rule(kind: str, rule: Mapping[str, Any], name: str) -> dict[str, Any]:
    operator, value = rule.get("op"), rule.get("value")
    if set(rule) != {"op", "value"} or operator not in OPERATORS:
        raise Invalid(
            f"The privileged rule of “{name}” needs “op”, one of {', '.join(OPERATORS)}, and “value”.", code="bad_rule"
        )
    what = f"The privileged value of “{name}”"
    if operator != "in":
        if kind != "number":
            raise Invalid(f"“{name}” is compared by {operator}, which takes a column of numbers.", code="bad_rule")
        return {"op": operator, "value": value_of(kind, value, what)}
    values = value if isinstance(value, list | tuple) else [value]
    if not 0 < len(values) <= MOST_VALUES:
        raise Invalid(f"{what} is a list of 1 to {MOST_VALUES} values.", code="bad_rule")
    return {"op": operator, "value": [value_of(kind, item, what) for item in values]}


def _identifiers(kinds: Mapping[str, str], identifiers: Mapping[str, str]) -> dict[str, str]:
    for column, kind in identifiers.items():
        _require(kinds, column, "The identifier column")
        if kind not in IDENTIFIER_KINDS:
            raise Invalid(
                f"The identifier in “{column}” is of no known kind; the kinds are {', '.join(IDENTIFIER_KINDS)}.",
                code="bad_identifier",
            )
    return dict(identifiers)


def _require(kinds: Mapping[str, str], column: str, what: str) -> None:
    if column not in kinds:
        raise Invalid(f"{what} “{column[:MOST_TEXT]}” is not in the file.", code="unknown_column")


def _is_text(text: str) -> bool:
    return not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text)


def _shown(value: object) -> str:
    return f"“{str(value)[:40]}”"
