"""``manage.py doctor``: examine the trail and its protection, and say what was found, one line each.

Exit code: 0 sound, 1 tampered or unprotected, 2 incomplete, late or not witnessed, 3 the database cannot be read.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from audit import doctor
from audit.doctor import Report
from audit.events import LOGS
from audit.findings import Finding, Severity

UNREADABLE: Final = 3
_VERDICTS: Final = {
    0: "The trail is intact and protected.",
    1: "The trail was changed, or is open to change.",
    2: "Nothing was changed; what is marked OPEN is incomplete, late or not proven.",
}
_PROGRESS_EVERY: Final = 10.0


class Command(BaseCommand):
    """Reads only."""

    help = (
        "Examine the trail: its protection in the database, its entries, tree, checkpoints, and what is held outside."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quick", action="store_true", help="the protection and the newest entries only")
        parser.add_argument("--log", choices=LOGS, help="one log instead of both")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        said = _Progress(self) if options["verbosity"] and not options["json"] else None
        logs = (options["log"],) if options["log"] else LOGS
        try:
            report = doctor.examine(logs, quick=options["quick"], progress=said)
        except Error as error:
            self._cannot(str(error).strip().splitlines(), as_json=options["json"])
        if options["json"]:
            self.stdout.write(json.dumps(as_json(report), indent=1, ensure_ascii=False))
        else:
            self._tell(report)
        if report.exit_code:
            sys.exit(report.exit_code)

    def _tell(self, report: Report) -> None:
        found = report.findings.all()
        for area in report.areas:
            broken = report.findings.count(area.name, Severity.BROKEN)
            unproven = report.findings.count(area.name, Severity.OPEN)
            mark = "BROKEN" if broken else "OPEN" if unproven else "ok"
            counts = f" — {broken + unproven} findings" if broken + unproven else ""
            self.stdout.write(f"{mark:<7} {area.name}: {area.seen}{counts}")
        for each in found:
            self.stdout.write(line(each))
        self.stdout.write(_VERDICTS[report.exit_code])

    def _cannot(self, reason: list[str], *, as_json: bool) -> None:
        sentence = f"The database cannot be read: {(reason or ['no reason given'])[0]}"
        if as_json:
            self.stdout.write(json.dumps({"exit_code": UNREADABLE, "error": sentence}))
        else:
            self.stderr.write(sentence)
        sys.exit(UNREADABLE)


def line(found: Finding) -> str:
    """A finding in one line."""
    advice = f" → {found.advice}" if found.advice and found.severity is not Severity.NOTE else ""
    return f"{found.severity.value.upper():<7} {found.area} {found.code}: {found.sentence}{advice}"


def as_json(report: Report) -> dict[str, Any]:
    """The report for machines."""
    return {
        "exit_code": report.exit_code,
        "verdict": _VERDICTS[report.exit_code],
        "areas": [asdict(area) for area in report.areas],
        "findings": [asdict(each) for each in report.findings.all()],
    }


class _Progress:
    """A line on the error stream every ten seconds, so that a long run does not look dead."""

    def __init__(self, command: BaseCommand) -> None:
        self._command = command
        self._said = time.monotonic()

    def __call__(self, log: str, read: int, total: int) -> None:
        if time.monotonic() - self._said >= _PROGRESS_EVERY:
            self._said = time.monotonic()
            self._command.stderr.write(f"{log}: {read:,} of {total:,} entries")
