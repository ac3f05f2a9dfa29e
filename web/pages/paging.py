"""Keyset pages of a list: the next page begins after the last row shown, so rows that arrive meanwhile move nothing."""

import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from audit.errors import Invalid

Row = TypeVar("Row", bound=Model)
SIZE = 30


@dataclass(frozen=True)
class Slice(Generic[Row]):
    """One page of rows, and the ``after`` of the next one (empty on the last)."""

    rows: list[Row]
    after: str


def page_of(rows: QuerySet[Row], keys: tuple[str, ...], after: str, size: int = SIZE) -> Slice[Row]:
    """The page of ``rows`` after ``after``, ordered by ``keys`` ("-name" descends), which are unique together.

    Raises Invalid for an ``after`` that no page of this list ends with.
    """
    ordered = rows.order_by(*keys)
    if after:
        ordered = ordered.filter(_beyond(rows.model, keys, after))
    found = list(ordered[: size + 1])
    more = len(found) > size
    found = found[:size]
    values = [getattr(found[-1], key.removeprefix("-")) for key in keys] if more else []
    return Slice(rows=found, after=json.dumps(values, cls=DjangoJSONEncoder) if more else "")


def _beyond(model: type[Model], keys: tuple[str, ...], after: str) -> Q:
    wrong = Invalid("This page does not exist; start again from the first.", code="bad_page")
    try:
        sent = json.loads(after)
        if not isinstance(sent, list) or len(sent) != len(keys):
            raise wrong
        fields = {field.name: field for field in model._meta.concrete_fields}
        values = [fields[key.removeprefix("-")].to_python(value) for key, value in zip(keys, sent, strict=True)]
    except (ValueError, TypeError, ValidationError, RecursionError):
        raise wrong from None
    if any(value is None or (isinstance(value, str) and "\x00" in value) for value in values):
        raise wrong
    found, same = Q(pk__in=[]), Q()
    for key, value in zip(keys, values, strict=True):
        name = key.removeprefix("-")
        found |= same & Q(**{f"{name}__{'lt' if key.startswith('-') else 'gt'}": value})
        same &= Q(**{name: value})
    return found


def links(request: HttpRequest, summary: str, after: str) -> dict[str, Any]:
    """What parts/pagination.html needs: to the first page, and to the next. Other parameters are kept."""
    first, following = request.GET.copy(), request.GET.copy()
    first.pop("after", None)
    following["after"] = after
    return {
        "summary": summary,
        "previous_url": f"?{first.urlencode()}" if "after" in request.GET else "",
        "previous_label": "First page",
        "next_url": f"?{following.urlencode()}" if after else "",
        "next_label": "Next page",
    }
