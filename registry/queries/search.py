"""Searching models and versions: a filter, an order and a page, over what the asker may see.

Pages are keyset pages: the token holds the sort values of the last row, so a deep page costs what the first one does
and rows that come and go meanwhile neither repeat nor hide others. The grammar is ``registry/filters.py``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.db.models import (
    BooleanField,
    CharField,
    Exists,
    ExpressionWrapper,
    F,
    Lookup,
    Model,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.functions import MD5, Coalesce

from audit.actors import Actor
from audit.errors import Invalid
from registry import filters
from registry.filters import Clause
from registry.models import ModelTag, ModelVersion, RegisteredModel, VersionTag
from registry.queries import page_tokens, visible
from registry.states import PROMPT_TAG

Row = TypeVar("Row", bound=Model)

_MODEL_ATTRIBUTES: Final = {"name": filters.TEXT_LISTED}
_VERSION_ATTRIBUTES: Final = {
    "name": filters.TEXT_LISTED,
    "run_id": filters.TEXT_LISTED,
    "source_path": filters.TEXT_ONLY,
    "version_number": filters.NUMBER,
}
_MODEL_COLUMNS: Final = {
    "name": "name",
    "timestamp": "updated_at",
    "last_updated_timestamp": "updated_at",
}
_VERSION_COLUMNS: Final = {
    "name": "model__name",
    "run_id": "run_id",
    "source_path": "source",
    "version_number": "number",
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
}
_VERSION_ORDER: Final = ("name", "version_number", "creation_timestamp", "last_updated_timestamp")
_RECENT: Final = ("last_updated_timestamp DESC",)
_MOMENTS: Final = frozenset({"created_at", "updated_at"})


class _Like(Lookup):
    """SQL's LIKE with its wildcards, which Django's own lookups escape. A backslash stands for itself."""

    lookup_name = "like"
    word = "LIKE"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        left, left_parameters = self.process_lhs(compiler, connection)
        right, right_parameters = self.process_rhs(compiler, connection)
        return f"{left} {self.word} {right} ESCAPE ''", (*left_parameters, *right_parameters)


class _ILike(_Like):
    lookup_name = "ilike"
    word = "ILIKE"


for _field in (CharField, TextField):
    _field.register_lookup(_Like)
    _field.register_lookup(_ILike)

_LOOKUPS: Final = {
    "=": "exact",
    "!=": "exact",
    "LIKE": "like",
    "ILIKE": "ilike",
    "IN": "in",
    "NOT IN": "in",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
}
_NEGATED: Final = frozenset({"!=", "NOT IN"})


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows in order, and the token with which the next ones are asked for; empty on the last page."""

    rows: list[Row]
    next_token: str


def models(
    by: Actor, *, filter_text: str = "", order_by: Sequence[str] = (), most: int, token: str = ""
) -> Page[RegisteredModel]:
    """Registered models by filter; by name unless ordered otherwise. Raises Invalid for a filter, order or token."""
    clauses = filters.parse(filter_text, _MODEL_ATTRIBUTES)
    order = [(_MODEL_COLUMNS[entry.key], entry.descending) for entry in filters.parse_order(order_by, _MODEL_COLUMNS)]
    if len({column for column, _ in order}) < len(order):
        raise Invalid("`order_by` contains duplicate fields.", code="bad_order")
    rows = visible.models(by).filter(_attributes(clauses, _MODEL_COLUMNS))
    rows = _tagged(rows, clauses, ModelTag.objects.all(), "model")
    return _page(rows, _completed(order, [("name", False)]), most, token)


def versions(
    by: Actor, *, filter_text: str = "", order_by: Sequence[str] = (), most: int, token: str = ""
) -> Page[ModelVersion]:
    """Versions by filter; those touched last come first unless ordered otherwise. Raises as ``models``.

    Two models touched in one microsecond stand in the order of their keys: MLflow would sort them by name, which no
    index could hold together with the time.
    """
    clauses = filters.parse(filter_text, _VERSION_ATTRIBUTES)
    keys = filters.parse_order(order_by or _RECENT, _VERSION_ORDER, named="attribute key")
    order = [(_VERSION_COLUMNS[entry.key], entry.descending) for entry in keys]
    ties = [("model_id", False)] if order[0][0] in _MOMENTS else [("model__name", False)]
    order = _completed(order, [*ties, ("number", True)])
    if any(not clause.tag and (clause.key, clause.operator) == ("name", "=") for clause in clauses):
        order = [key for key in order if key[0] not in {"model__name", "model_id"}]  # they are of one model
    rows = visible.versions(by).filter(_attributes(clauses, _VERSION_COLUMNS)).defer("artifact_manifest")
    rows = _tagged(rows, clauses, VersionTag.objects.all(), "version")
    return _page(rows, order, most, token)


def _completed(order: list[tuple[str, bool]], ties: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    named = {column for column, _ in order}
    if "model__name" in named:
        named.add("model_id")
    return order + [tie for tie in ties if tie[0] not in named]


def _attributes(clauses: list[Clause], columns: Mapping[str, str]) -> Q:
    found = Q()
    for clause in clauses:
        if not clause.tag:
            found &= _compared(columns[clause.key], clause)
    return found


def _compared(column: str, clause: Clause) -> Q:
    if column == "model__name" and clause.operator == "=":
        # The one model of that name, found first: then an index of versions by model has the order, too.
        return Q(model_id=RegisteredModel.objects.filter(name=clause.value).values("pk")[:1])
    compared = Q(**{f"{column}__{_LOOKUPS[clause.operator]}": clause.value})
    return ~compared if clause.operator in _NEGATED else compared


def _tagged(rows: QuerySet[Row], clauses: list[Clause], tags: QuerySet[Any], owner: str) -> QuerySet[Row]:
    """Every tag clause needs the tag to be there, ``!=`` too. Prompts are left out unless a clause asks for them."""
    tags = tags.filter(**{owner: OuterRef("pk")})
    by_key: dict[str, list[Clause]] = {}
    for clause in clauses:
        if clause.tag:
            by_key.setdefault(clause.key, []).append(clause)
    if not _asks_for_prompts(by_key.get(PROMPT_TAG, [])):
        by_key.pop(PROMPT_TAG, None)
        rows = rows.filter(~Exists(tags.filter(key=PROMPT_TAG, value="true")))
    for key, same in by_key.items():
        found = tags.filter(key=key)
        for clause in same:
            found = (
                _valued(found, str(clause.value))
                if clause.operator == "="
                else found.filter(_compared("value", clause))
            )
        rows = rows.filter(Exists(found))
    return rows


def _valued(tags: QuerySet[Any], value: str) -> QuerySet[Any]:
    """Tags with this value: by the hash that is in the index, then by the value itself. That is wrapped, or the planner
    would take the two for independent and expect far too few.
    """
    same = ExpressionWrapper(Q(value=value), output_field=BooleanField())
    hashed: QuerySet[Any] = tags.alias(hashed=MD5("value"))
    return hashed.filter(Coalesce(same, False), hashed=MD5(Value(value)))


def _asks_for_prompts(clauses: list[Clause]) -> bool:
    asked = {("=", "true"), ("!=", "false")}
    return bool(clauses) and (clauses[0].operator, str(clauses[0].value).lower()) in asked


def _page(rows: QuerySet[Row], order: list[tuple[str, bool]], most: int, token: str) -> Page[Row]:
    if token:
        rows = rows.filter(_after(order, _read_token(token, order)))
    sorted_rows = rows.order_by(*(F(column).desc() if descending else F(column).asc() for column, descending in order))
    found = list(sorted_rows[: most + 1])
    if len(found) <= most:
        return Page(found, "")
    return Page(found[:most], _token(order, found[most - 1]))


def _after(order: list[tuple[str, bool]], values: list[Any]) -> Q:
    """Rows behind the one with these sort values: later in the first key, or equal there and later in the next, …"""
    found, equal = Q(pk__in=[]), Q()
    for (column, descending), value in zip(order, values, strict=True):
        found |= equal & Q(**{f"{column}__{'lt' if descending else 'gt'}": value})
        equal &= Q(**{column: value})
    # Said once more of the first key alone: this is where an index begins to read.
    column, descending = order[0]
    return found & Q(**{f"{column}__{'lte' if descending else 'gte'}": values[0]})


def _shape(order: list[tuple[str, bool]]) -> list[str]:
    return [f"-{column}" if descending else column for column, descending in order]


def _token(order: list[tuple[str, bool]], row: Model) -> str:
    values = []
    for column, _ in order:
        value: Any = row
        for name in column.split("__"):
            value = getattr(value, name)
        values.append(
            value.isoformat() if isinstance(value, datetime) else str(value) if column == "model_id" else value
        )
    body = json.dumps({"after": values, "order": _shape(order)}, separators=(",", ":"))
    return page_tokens.encoded(body.encode())


def _read_token(token: str, order: list[tuple[str, bool]]) -> list[Any]:
    decoded = page_tokens.decoded(token)
    wrong = page_tokens.wrong(decoded)
    try:
        body = json.loads(decoded)
        shape, values = body["order"], body["after"]
        if shape != _shape(order) or len(values) != len(order):
            raise wrong
        return [_value(column, value, wrong) for (column, _), value in zip(order, values, strict=True)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise wrong from None


def _value(column: str, value: object, wrong: Invalid) -> datetime | int | str | UUID:
    if column == "number":
        if isinstance(value, int) and 0 <= value < 2**31:
            return value
    elif column == "model_id" and isinstance(value, str):
        return UUID(value)
    elif isinstance(value, str) and "\x00" not in value:
        moment = datetime.fromisoformat(value) if column in _MOMENTS else None
        if moment is None:
            return value
        if moment.tzinfo is not None:
            return moment
    raise wrong
