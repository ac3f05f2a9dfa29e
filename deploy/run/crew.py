"""The parts that are running and the one loop that minds them: output, readiness, deaths, restarts, signals, the end.

Knows nothing of Plimsoll. What runs: `processes.py`. When and in what surroundings: `supervisor.py`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from types import FrameType

from deploy.run import children
from deploy.run.guard import Guard
from deploy.run.logs import Log, Mask
from deploy.run.processes import Process, Step
from deploy.run.running import Output, Running, describe_end

LONGEST_START = 180.0  # seconds until the last part must be ready
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAskedError(Exception):
    """A signal asked for the end."""


@dataclass
class PartFailedError(Exception):
    """A part cannot be kept running. `tail` is what it said last."""

    sentence: str
    tail: Sequence[str] = ()


class Voice:
    """Short lines for the person at the console, and the same as entries in the supervisor's own log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def note(self, message: str, level: str = "info", **more: object) -> None:
        """For the log only."""
        self._log.write(json.dumps({"level": level, "message": message, **more}, ensure_ascii=False))

    def say(self, message: str) -> None:
        """For both. A console that is gone is no reason to fail."""
        self.note(message)
        self.show(message)

    def show(self, line: str) -> None:
        """For the console only: what is meant for this person's eyes and must not be kept."""
        with suppress(OSError):
            print(line, flush=True)

    def complain(self, sentence: str, tail: Sequence[str] = ()) -> None:
        """Why it did not work, with the last words of the part that failed."""
        self.note(sentence, "error")
        with suppress(OSError):
            print(sentence, *(f"    {line}" for line in tail), sep="\n", file=sys.stderr, flush=True)


class Crew:
    """Starts parts, minds them, ends them. One thread; every wait goes through `turn`."""

    def __init__(self, logs: Path, mask: Mask, voice: Voice) -> None:
        self._logs_directory = logs
        self._mask = mask
        self._voice = voice
        self._logs: dict[str, Log] = {}
        self._parts: list[Running] = []
        self._selector = selectors.DefaultSelector()
        self._stop_asked = False
        self._ending = False
        self._echoed: set[str] = set()
        self._guard: Guard | None = None

    # -- signals

    def mind_signals(self) -> None:
        """From here on a signal ends the next `turn` with StopAskedError, once. Further ones change nothing."""
        self._guard = Guard()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        for number in ENDING:
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked = True

    # -- starting

    def add(self, what: Process, environ: Mapping[str, str], listening: socket | None) -> None:
        """Start a process and keep it running from now on."""
        part = Running(what, environ, self._log(what.name), listening)
        self._parts.append(part)
        self._start(part)
        if what.awaited:
            self.wait_ready([part])

    def run(self, step: Step, environ: Mapping[str, str]) -> int:
        """Run one program to its end, everything else going on meanwhile. Returns its exit code."""
        began = time.monotonic()
        part = Running(step, environ, self._log(step.name), None)
        if step.echo:
            self._echoed.add(step.name)
        self._parts.append(part)
        self._start(part)
        while (code := self._ended(part)) is None:
            self.turn(0.5)
        self._part_with(part)
        self._voice.note(f"{step.name} {describe_end(code)}", seconds=round(time.monotonic() - began, 2))
        return code

    def require(self, step: Step, environ: Mapping[str, str]) -> None:
        """Run one program that has to succeed."""
        if code := self.run(step, environ):
            raise PartFailedError(f"The step “{step.name}” {describe_end(code)}.", self._told_already(step.name))

    def wait_ready(self, parts: Sequence[Running] | None = None) -> None:
        """Go on when these parts (or all) can serve."""
        deadline = time.monotonic() + LONGEST_START
        while waiting := [part for part in (self._parts if parts is None else parts) if not part.is_ready]:
            if time.monotonic() > deadline:
                part = waiting[0]
                answer = f" It answered: {part.last_answer}." if part.last_answer else ""
                raise PartFailedError(
                    f"“{part.name}” was not ready after {LONGEST_START:.0f} seconds.{answer}", tuple(part.log.tail)
                )
            self.turn(0.05)

    def _start(self, part: Running) -> None:
        output = part.start()
        if self._guard is not None and part.popen is not None:
            # only the database is told to end cleanly when its parent dies; the rest is killed
            clean = isinstance(part.what, Process) and part.what.orphan_signal != signal.SIGKILL
            self._guard.started(part.popen.pid, clean=clean)
        self._selector.register(output, selectors.EVENT_READ, part)

    def _log(self, name: str) -> Log:
        if name not in self._logs:
            self._logs[name] = Log(self._logs_directory, name, self._mask)
        return self._logs[name]

    def _told_already(self, name: str) -> Sequence[str]:
        return () if name in self._echoed else tuple(self._log(name).tail)

    # -- the loop

    def turn(self, seconds: float) -> None:
        """One round: read what was printed, see who is ready and who died. Raises StopAskedError or PartFailedError."""
        self._hear(seconds)
        if self._stop_asked and not self._ending:
            raise StopAskedError
        now = time.monotonic()
        for part in list(self._parts):
            if part.becomes_ready():
                self._voice.note(f"{part.name} is ready", seconds=round(now - part.started_at, 2))
            if isinstance(part.what, Process):
                self._mind(part, now)

    def _hear(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(self._wake_read, 512)
            elif isinstance(key.fileobj, Output):
                self._take(key.data, key.fileobj)

    def _take(self, part: Running, output: Output) -> bool:
        """Read once. Returns whether there may be more."""
        lines = output.take()
        if lines is None:
            self._selector.unregister(output)
            part.forget_output()
            return False
        if isinstance(part.what, Step) and part.what.echo:
            for line in lines:
                self._voice.show(line)
        return bool(lines)

    def _mind(self, part: Running, now: float) -> None:
        if (code := self._ended(part)) is not None:
            self._finish_output(part)
            if not part.note_death():
                raise PartFailedError(
                    f"“{part.name}” {describe_end(code)}, for the third time in a row.", tuple(part.log.tail)
                )
            self._voice.say(f"“{part.name}” {describe_end(code)} and is started again.")
        if part.restart_at is not None and now >= part.restart_at:
            self._start(part)

    def _ended(self, part: Running) -> int | None:
        code = part.ended()
        if code is not None and self._guard is not None:
            self._guard.ended(part.last_pid)
        return code

    def _finish_output(self, part: Running) -> None:
        while part.output is not None and self._take(part, part.output):
            pass
        if part.output is not None:  # someone outside the group still holds the other end
            self._selector.unregister(part.output)
            part.forget_output()

    def _part_with(self, part: Running) -> None:
        self._finish_output(part)
        self._parts.remove(part)
        part.close()

    # -- the end

    def end_all(self) -> None:
        """End everything, the highest stage first. Signals that arrive meanwhile change nothing."""
        self._ending = True
        for part in self._parts:
            part.restart_at = None
        stages = sorted({_stage(part) for part in self._parts}, reverse=True)
        for stage in stages:
            self._end([part for part in self._parts if _stage(part) == stage])
        for part in list(self._parts):
            self._part_with(part)
        for log in self._logs.values():
            log.close()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def _end(self, parts: list[Running]) -> None:
        ladders = {id(part): list(part.what.stop if isinstance(part.what, Process) else _STEP) for part in parts}
        due = dict.fromkeys(ladders, 0.0)
        for part in parts:
            if part.listening is not None:
                part.listening.close()  # so that newcomers are refused and not kept waiting
        while left := [part for part in parts if part.popen is not None and self._ended(part) is None]:
            for part in left:
                self._press(part, ladders[id(part)], due)
            self._hear(0.05)

    def _press(self, part: Running, ladder: list[tuple[signal.Signals, float]], due: dict[int, float]) -> None:
        now = time.monotonic()
        if part.popen is None or now < due[id(part)]:
            return
        if not ladder:
            self._voice.note(f"{part.name} did not end and was killed", "warning")
            children.signal_group(part.popen.pid, signal.SIGKILL)
            due[id(part)] = now + 1.0
            return
        number, seconds = ladder.pop(0)
        # To the leader alone: it ends its own children in the right order.
        with suppress(ProcessLookupError):
            part.popen.send_signal(number)
        due[id(part)] = now + seconds


_STEP = ((signal.SIGTERM, 2.0),)


def _stage(part: Running) -> int:
    return part.what.stage if isinstance(part.what, Process) else 3
