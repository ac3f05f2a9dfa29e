"""Load on a running installation, and kills in it: for the kill test.

Writers set tags with keys that are never used twice, so that each change can be counted. ``Victims`` finds the parts of
an installation by their command lines and kills one without a word.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from deploy.run.stack import Stack

TAG = "/api/2.0/mlflow/registered-models/set-tag"
REGISTER = "/api/2.0/mlflow/registered-models/create"
# The supervisor gives up a part that dies three times within ten seconds of its start: its rule, not the test's.
APART = 11.0


@dataclass
class Load:
    """``threads`` writers. Half of them share one registered model, the others have one each."""

    url: str
    token: str
    threads: int
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    failures: Counter[int] = field(default_factory=Counter)  # by status, 0 for no answer at all
    refusals: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(self.threads):
            model = "shared" if number % 2 else f"own-{number}"
            if number < 2 or not number % 2:
                status, body = self._send(urllib3.PoolManager(), REGISTER, name=model)
                assert status == 200, body
            self._running.append(threading.Thread(target=self._write, args=(model, number), daemon=True))
        for thread in self._running:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(60)
            assert not thread.is_alive()

    def _write(self, model: str, number: int) -> None:
        pool = urllib3.PoolManager(maxsize=1)
        count = 0
        while not self._stop.is_set():
            count += 1
            key = f"k-{number}-{count}"  # never sent again, so an answer that was lost leaves one change or none
            try:
                status, body = self._send(pool, TAG, name=model, key=key, value=f"value of {key}")
            except (urllib3.exceptions.HTTPError, OSError):
                status, body = 0, ""
            if status == 200:
                self.acknowledged.add((model, key))
                continue
            self.failures[status] += 1
            if 300 <= status < 500:
                self.refusals.append(f"{status} {body[:200]}")
            self._stop.wait(0.1)

    def _send(self, pool: urllib3.PoolManager, path: str, **content: str) -> tuple[int, str]:
        sent = {"Authorization": f"Bearer {self.token}"}
        timeout = urllib3.Timeout(connect=5, read=20)
        answer = pool.request("POST", self.url + path, json=content, headers=sent, retries=False, timeout=timeout)
        return answer.status, answer.data.decode(errors="replace")


class Victims:
    """Who can be killed in an installation, and killing one of them."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self._stack = stack
        self._chance = chance
        self._killed_at: dict[str, float] = {}
        self.kinds: dict[str, Callable[[], list[int]]] = {
            "sequencer": lambda: self._below(stack.pid, b"sequencer"),
            "web server": lambda: self._below(stack.pid, b"gunicorn"),
            "web worker": lambda: [pid for master in self._below(stack.pid, b"gunicorn") for pid in _children(master)],
            "backend": lambda: [pid for pid in _children(self._postmaster()) if b"[local]" in _line(pid)],
            "postmaster": lambda: [self._postmaster()],
        }

    def kill(self, kind: str) -> bool:
        """Kill one of a kind, if there is one that may be killed now; the supervisor's own children not too often."""
        found = self.kinds[kind]()
        supervised = kind in ("sequencer", "web server", "postmaster")
        if not found or (supervised and time.monotonic() - self._killed_at.get(kind, -APART) < APART):
            return False
        try:
            os.kill(self._chance.choice(sorted(found)), signal.SIGKILL)
        except ProcessLookupError:
            return False
        self._killed_at[kind] = time.monotonic()
        return True

    def kill_one(self) -> str:
        """Kill whoever chance chooses; what kind it was."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            kind = self._chance.choice(sorted(self.kinds))
            if self.kill(kind):
                return kind
            time.sleep(0.05)
        raise AssertionError("There is nobody to kill: the installation does not come back.")

    def _postmaster(self) -> int:
        try:
            return int((self._stack.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def _below(self, parent: int, word: bytes) -> list[int]:
        return [pid for pid in _children(parent) if word in _line(pid)]


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] if pid else []
    except OSError:
        return []


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
