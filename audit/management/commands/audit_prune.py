"""``manage.py audit_prune``: drop the months of a log that are older than its retention. Run as the owner."""

from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import retention
from audit.errors import DomainError
from audit.events import LOGS


class Command(BaseCommand):
    """The entry that announces the drop comes first; hashes and tiles stay."""

    help = "Drop entries older than a log's retention; their hashes stay. Run it with PLIMSOLL_ROLE=owner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--log", required=True, choices=LOGS, help="which log")
        parser.add_argument(
            "--before", help="drop months that end on or before this day (YYYY-MM-DD); default: all old"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be dropped, and drop nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        log_name, before = options["log"], _day(options["before"])
        if options["dry_run"]:
            last = min(filter(None, (before, retention.cutoff(log_name))))
            old = [f"{month.first:%Y-%m}" for month in retention.months(log_name) if month.end <= last]
            self.stdout.write(f"Would drop {len(old)} months of {log_name}: {', '.join(old) or 'none'}.")
            return
        if settings.PLIMSOLL_ROLE != "owner":
            raise CommandError("Only the owner of the tables can drop them: run this with PLIMSOLL_ROLE=owner.")
        try:
            done = retention.prune(log_name, before)
        except DomainError as refusal:
            raise CommandError(refusal.sentence) from None
        if done is None:
            self.stdout.write(f"The log {log_name} holds nothing older than its retention.")
        else:
            self.stdout.write(
                f"Dropped {done.entries} entries in {done.months} months of {log_name}; "
                f"entries are held from index {done.minimum_index} on, hashes from the first."
            )


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError("--before takes a day like 2026-01-01.") from None
