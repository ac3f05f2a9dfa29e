"""The one place that asks what time it is, so that every stored instant is aware and in UTC."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, timezone-aware, in UTC, with microseconds."""
    return datetime.now(UTC)


def rfc3339(instant: datetime) -> str:
    """``2026-11-22T14:11:35.000123Z``: RFC 3339, UTC, always six digits of microseconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
