"""A second, tiny process that clears up when the supervisor is killed outright.

The kernel tells each child that its parent died (`children.py`), but not the child's own children: a pool's workers,
say. They stay in their parent's process group, so whoever remembers the groups can end them. That must be someone who
outlives the supervisor.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial

from deploy.run import children

GRACE = 8.0  # seconds for a leader that was told to end cleanly


class Guard:
    """Remembers process groups, and ends them if this process dies without saying goodbye."""

    def __init__(self) -> None:
        """Fork it. Call before taking locks, sockets or threads, which it would otherwise hold as well."""
        heard, self._tell = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._tell)
            _stand_guard(heard)
        os.close(heard)

    def started(self, leader: int, *, clean: bool) -> None:
        """A group has come. `clean` ones get time to end by themselves before they are killed."""
        self._say(f"+{leader} {int(clean)}")

    def ended(self, leader: int) -> None:
        """A group has gone."""
        self._say(f"-{leader}")

    def dismiss(self) -> None:
        """Everything has ended in order."""
        self._say("done")
        os.close(self._tell)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):
            os.write(self._tell, line.encode("ascii") + b"\n")


def _stand_guard(heard: int) -> None:
    """The second process. Never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        _end_groups(_groups_left(heard))
    finally:
        os._exit(0)


def _groups_left(heard: int) -> dict[int, bool]:
    """Wait until the supervisor is gone; return what it left behind."""
    left: dict[int, bool] = {}
    with os.fdopen(heard, encoding="ascii") as lines:
        for line in lines:
            word = line.strip()
            if word == "done":
                return {}
            if word.startswith("+"):
                leader, clean = word[1:].split()
                left[int(leader)] = clean == "1"
            else:
                left.pop(int(word[1:]), None)
    return left


def _end_groups(left: dict[int, bool]) -> None:
    for leader, clean in left.items():
        if not clean:
            children.signal_group(leader, signal.SIGKILL)
    for leader, clean in left.items():
        if clean and not children.wait_until(partial(children.group_is_gone, leader), GRACE):
            children.signal_group(leader, signal.SIGKILL)
