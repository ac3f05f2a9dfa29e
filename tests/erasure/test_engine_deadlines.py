"""Counting days: the published cases, exactly, and what is said when holidays are not known."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from dateutil.easter import easter

from erasure.engine.deadlines import add_months, deadlines, received_on
from erasure.engine.errors import EngineError
from erasure.engine.holidays import calendar_of, easter_sunday

CASES = json.loads((Path(__file__).parent.parent / "vectors" / "erasure" / "deadlines.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['country']}-{case['received']}")
def test_published_case(case: dict[str, str]) -> None:
    due = deadlines(date.fromisoformat(case["received"]), case["country"])
    found = (due.nominal, due.legal, due.extended_nominal, due.extended)
    assert found == tuple(date.fromisoformat(case[name]) for name in ("nominal_1m", "due_1m", "nominal_3m", "due_3m"))
    assert due.holidays_known


def test_easter_agrees_with_another_implementation_for_three_centuries() -> None:
    assert [easter_sunday(year) for year in range(1900, 2200)] == [easter(year) for year in range(1900, 2200)]


@pytest.mark.parametrize(
    ("country", "year", "expected"),
    [
        ("DE", 2026, "01-01 04-03 04-06 05-01 05-14 05-25 10-03 12-25 12-26"),
        ("FR", 2026, "01-01 04-06 05-01 05-08 05-14 05-25 07-14 08-15 11-01 11-11 12-25"),
        ("IE", 2026, "01-01 02-02 03-17 04-06 05-04 06-01 08-03 10-26 12-25 12-26"),
        ("IE", 2030, "01-01 02-01 03-17 04-22 05-06 06-03 08-05 10-28 12-25 12-26"),
    ],
)
def test_holidays_of_a_year(country: str, year: int, expected: str) -> None:
    from erasure.engine.holidays import CALENDARS

    assert sorted(rule(year).strftime("%m-%d") for rule in CALENDARS[country]) == expected.split()


def test_an_unknown_country_counts_weekends_only_and_says_so() -> None:
    due = deadlines(date(2026, 11, 25), "ZZ")
    assert (due.nominal, due.legal, due.holidays_known) == (date(2026, 12, 25), date(2026, 12, 25), False)
    assert not calendar_of("DE", "BY").known
    assert calendar_of(" de ").known


def test_a_month_without_that_day_ends_on_its_last_day() -> None:
    assert add_months(date(2027, 12, 31), 2) == date(2028, 2, 29)
    assert add_months(date(2026, 2, 28), 1) == date(2026, 3, 28)


def test_the_day_of_receipt_is_the_local_one() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert received_on(late, "Europe/Berlin") == date(2026, 3, 2)
    assert received_on(late, "America/New_York") == date(2026, 3, 1)
    with pytest.raises(EngineError, match="time zone"):
        received_on(late.replace(tzinfo=None), "Europe/Berlin")
    with pytest.raises(EngineError, match="Europe/Berlin"):
        received_on(late, "Middle/Earth")
    with pytest.raises(EngineError, match="local date"):
        deadlines(late, "DE")
