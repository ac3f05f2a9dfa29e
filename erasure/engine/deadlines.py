"""When an erasure request is due.

Belongs here: the counting of GDPR article 12(3) by Regulation 1182/71. Does not belong here: the holidays themselves,
the clock, alarms, and whether identity checks stop the clock (they are recorded as evidence and do not move a date
here).

The day of receipt is not counted; one month ends on the day with the same number, or on the month's last day when there
is none. Weekends and public holidays move the legal date to the next working day. The extension counts three months
from receipt, not from the moved date. Whoever watches a request should be alarmed on the nominal date, which is never
later than the legal one.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from erasure.engine.errors import EngineError
from erasure.engine.holidays import calendar_of

_MONTHS: Final = 1
_MONTHS_EXTENDED: Final = 3


@dataclass(frozen=True, slots=True)
class Deadlines:
    """All dates are the last day on which an answer is in time. `holidays_known` False: only weekends were counted for
    sure.
    """

    received_on: date
    nominal: date
    legal: date
    extended_nominal: date
    extended: date
    country: str
    subdivision: str
    holidays_known: bool


def deadlines(received_on: date, country: str, subdivision: str = "") -> Deadlines:
    """The dates for a request received on a local date of the controller."""
    if isinstance(received_on, datetime):
        raise EngineError("date_expected", "Deadlines count from a local date, not from a point in time.")
    calendar = calendar_of(country, subdivision)
    nominal = add_months(received_on, _MONTHS)
    extended_nominal = add_months(received_on, _MONTHS_EXTENDED)
    return Deadlines(
        received_on=received_on,
        nominal=nominal,
        legal=calendar.next_working_day(nominal),
        extended_nominal=extended_nominal,
        extended=calendar.next_working_day(extended_nominal),
        country=calendar.country,
        subdivision=calendar.subdivision,
        holidays_known=calendar.known,
    )


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later, or that month's last day."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def received_on(received_at: datetime, zone: str) -> date:
    """The local date of receipt in the controller's time zone (IANA name)."""
    if received_at.tzinfo is None:
        raise EngineError("time_naive", "The time of receipt must say its time zone.")
    try:
        return received_at.astimezone(ZoneInfo(zone)).date()
    except (KeyError, ValueError, OSError):
        raise EngineError(
            "zone_unknown", "The controller's time zone is not known; use a name such as Europe/Berlin."
        ) from None
