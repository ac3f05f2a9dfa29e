"""What the sequencer's process wants the pages to know and the database does not hold: why a log is not signed, and
what went wrong with an anchor last. One small file in the data folder, replaced as a whole.

No secret and nothing that must last is in it; without the file nothing is known of these things, and nothing breaks.
"""

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.conf import settings

from audit import clock


@dataclass(frozen=True)
class Notice:
    """What an anchor last did about one log: when it answered, when and why it failed after that."""

    answered_at: str = ""
    error: str = ""
    error_at: str = ""


@dataclass
class Notices:
    """The whole board: refusals by log, notices by anchor and log."""

    refused: dict[str, str] = field(default_factory=dict)
    anchors: dict[str, dict[str, Notice]] = field(default_factory=dict)


def path() -> Path:
    """Where the board hangs."""
    return Path(settings.PLIMSOLL_DATA) / "signing.json"


def read() -> Notices:
    """The board as it hangs; an empty one when there is none, or none that can be read."""
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
        anchors = {
            name: {log: Notice(**notice) for log, notice in logs.items()} for name, logs in found["anchors"].items()
        }
        return Notices(refused=dict(found["refused"]), anchors=anchors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Notices()


class Noticeboard:
    """The sequencer's side: begins with an empty board, and hangs up every change."""

    def __init__(self) -> None:
        self._notices = Notices()
        self._lock = threading.Lock()
        with self._lock:
            self._hang()

    def refused(self, log_name: str, sentence: str) -> None:
        with self._lock:
            self._notices.refused.pop(log_name, None)
            if sentence:
                self._notices.refused[log_name] = sentence
            self._hang()

    def failed(self, anchor: str, log_name: str, sentence: str) -> None:
        before = self._before(anchor, log_name)
        self._put(anchor, log_name, Notice(before.answered_at, sentence, clock.rfc3339(clock.now())))

    def answered(self, anchor: str, log_name: str) -> None:
        self._put(anchor, log_name, Notice(answered_at=clock.rfc3339(clock.now())))

    def _before(self, anchor: str, log_name: str) -> Notice:
        return self._notices.anchors.get(anchor, {}).get(log_name, Notice())

    def _put(self, anchor: str, log_name: str, notice: Notice) -> None:
        with self._lock:
            self._notices.anchors.setdefault(anchor, {})[log_name] = notice
            self._hang()

    def _hang(self) -> None:
        temporary = path().with_suffix(f".{os.getpid()}")
        try:
            path().parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(asdict(self._notices), indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(path())
        except OSError:
            temporary.unlink(missing_ok=True)  # a full disk must not stop the signing
