"""Public holidays as far as deadlines need them.

Belongs here: one table per country of what falls when, nation-wide days only. Does not belong here: the counting of
deadlines.

A country without a table counts weekends alone, and `Calendar.known` says so; guessing a holiday would move a deadline
backwards out of sight. To add a country, add a row to `CALENDARS` and its dates to the tests. The days are those of the
Member State's law (Regulation 1182/71, article 2); a holiday that falls on a Sunday is not moved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

Rule = Callable[[int], date]


def easter_sunday(year: int) -> date:
    """Easter of the Gregorian calendar, by the anonymous algorithm of 1876 (Meeus, Astronomical Algorithms, ch. 8)."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - century // 4 - correction + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (in_century // 4) - epact - in_century % 4) % 7
    shift = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def _fixed(month: int, day: int) -> Rule:
    return lambda year: date(year, month, day)


def _easter(offset: int) -> Rule:
    return lambda year: easter_sunday(year) + timedelta(days=offset)


def _first_monday(month: int) -> Rule:
    def first(year: int) -> date:
        start = date(year, month, 1)
        return start + timedelta(days=-start.weekday() % 7)

    return first


def _last_monday_of_october(year: int) -> date:
    end = date(year, 10, 31)
    return end - timedelta(days=end.weekday())


def _saint_brigid(year: int) -> date:
    """Since 2023: the first Monday of February, or the first of February when that is a Friday."""
    first = date(year, 2, 1)
    return first if first.weekday() == 4 else _first_monday(2)(year)


_NEW_YEAR, _LABOUR, _CHRISTMAS, _STEPHEN = _fixed(1, 1), _fixed(5, 1), _fixed(12, 25), _fixed(12, 26)
_GOOD_FRIDAY, _EASTER_MONDAY, _ASCENSION, _WHIT_MONDAY = _easter(-2), _easter(1), _easter(39), _easter(50)

CALENDARS: Final[dict[str, tuple[Rule, ...]]] = {
    "DE": (
        _NEW_YEAR,
        _GOOD_FRIDAY,
        _EASTER_MONDAY,
        _LABOUR,
        _ASCENSION,
        _WHIT_MONDAY,
        _fixed(10, 3),
        _CHRISTMAS,
        _STEPHEN,
    ),
    "FR": (
        *(_NEW_YEAR, _EASTER_MONDAY, _LABOUR, _fixed(5, 8), _ASCENSION, _WHIT_MONDAY, _fixed(7, 14)),
        *(_fixed(8, 15), _fixed(11, 1), _fixed(11, 11), _CHRISTMAS),
    ),
    "IE": (
        *(_NEW_YEAR, _saint_brigid, _fixed(3, 17), _EASTER_MONDAY, _first_monday(5), _first_monday(6)),
        *(_first_monday(8), _last_monday_of_october, _CHRISTMAS, _STEPHEN),
    ),
}


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working days of one country. `known` is False when only weekends, or only nation-wide days, could be counted."""

    country: str
    subdivision: str
    known: bool

    def is_working_day(self, day: date) -> bool:
        if day.weekday() >= 5:
            return False
        return all(rule(day.year) != day for rule in CALENDARS.get(self.country, ()))

    def next_working_day(self, day: date) -> date:
        """`day` itself when it is a working day, else the first one after it."""
        while not self.is_working_day(day):
            day += timedelta(days=1)
        return day


def calendar_of(country: str, subdivision: str = "") -> Calendar:
    """The calendar of a country (ISO 3166 alpha-2). Holidays of a subdivision are not in the tables."""
    code = country.strip().upper()
    return Calendar(code, subdivision, known=code in CALENDARS and not subdivision)
