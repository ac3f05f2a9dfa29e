"""One installation from lock to unlock: takes the directory and the ports, carries out the plan, serves, stops.

Standard library only, so that the process that outlives all others stays small. What the parts are: `processes.py`. How
they are minded: `crew.py`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from deploy.run import addresses, environment, processes
from deploy.run.crew import Crew, PartFailedError, StopAskedError, Voice
from deploy.run.environment import Choices, StartRefusedError
from deploy.run.logs import Log, Mask, secrets_in
from deploy.run.postgres import Embedded
from deploy.run.processes import Plan, Process, Step
from deploy.run.running import reachable
from deploy.run.stack import Stack

__all__ = ["Stack", "Supervisor"]

WEB_SOCKET = "PLIMSOLL_WEB_FD"
# Which address is told to everyone for a socket that is handed down under this name.
TOLD_AS = {WEB_SOCKET: "PLIMSOLL_PUBLIC_URL", "PLIMSOLL_TRACKING_FD": "PLIMSOLL_TRACKING_URL"}


class Supervisor:
    """Carries out one plan in one data directory."""

    def __init__(
        self,
        chosen: Choices,
        plan: Callable[[Choices], Plan] = processes.installation,
        *,
        environ: Mapping[str, str],
        after_ready: Step | None = None,
        serve: bool = True,
    ) -> None:
        """`after_ready` runs once everything can serve; without `serve` the installation stops when it is done."""
        mask = Mask(secrets_in(environ))
        self._chosen = chosen
        self._make_plan = plan
        self._environ = dict(environ)
        self._after_ready = after_ready
        self._serve = serve
        self._own_log = Log(chosen.data / "logs", "supervisor", mask)
        self._voice = Voice(self._own_log)
        self._crew = Crew(chosen.data / "logs", mask, self._voice)
        self._lock: IO[str] | None = None
        self._sockets: dict[str, socket.socket] = {}

    def run(self) -> int:
        """Start, serve until a signal asks to stop, stop. Returns the exit code: 0 also after a signal."""
        outcome = 0
        try:
            self._crew.mind_signals()
            self._lock = take_lock(self._chosen.data)
            outcome = self._live()
        except StopAskedError:
            self._voice.say("Stopping.")
        except StartRefusedError as refusal:
            outcome = self._fail(str(refusal))
        except PartFailedError as failure:
            outcome = self._fail(failure.sentence, failure.tail)
        except OSError as error:
            outcome = self._fail(f"The operating system refused: {error}.")
        finally:
            self._stop()
        return outcome

    def _live(self) -> int:
        plan = self._make_plan(self._chosen)
        told = self._addresses() | self._take_ports(plan)
        environ = {**self._environ, **told, **_surroundings(self._environ)}
        for item in plan:
            if isinstance(item, Process):
                self._crew.add(item, environ, self._sockets.get(item.name))
                self._announce(item, told)
            else:
                self._crew.require(item, environ)
        self._crew.wait_ready()
        environment.write_record(self._chosen.data, told, supervisor=os.getpid())
        self._voice.note("everything is ready", seconds=round(self._voice.seconds(), 2))
        outcome = self._crew.run(self._after_ready, environ) if self._after_ready else 0
        if outcome or not self._serve:
            return outcome
        self._voice.say(self._welcome(told))
        while True:
            self._crew.turn(1.0)

    def _announce(self, item: Process, told: Mapping[str, str]) -> None:
        if item.awaited and item.listening == WEB_SOCKET:
            self._voice.say(f"Pages are served at {told['PLIMSOLL_PUBLIC_URL']} ({self._voice.seconds():.1f} s).")

    def _welcome(self, told: Mapping[str, str]) -> str:
        where = f"Plimsoll is ready at {told['PLIMSOLL_PUBLIC_URL']}" if self._sockets else "The database is ready"
        return f"{where} ({self._voice.seconds():.1f} s). Stop it with Ctrl-C."

    def _addresses(self) -> dict[str, str]:
        chosen = self._chosen
        told = {"PLIMSOLL_DATA": str(chosen.data)}
        if chosen.database_url:
            told |= addresses.on_server(chosen.database_url, chosen.owner_url)
        else:
            told |= addresses.embedded(Embedded(chosen.data).socket_directory)
        if chosen.broker_url:
            told["CELERY_BROKER_URL"] = chosen.broker_url
        if chosen.upstream:
            told["PLIMSOLL_TRACKING_URL"] = chosen.upstream
        return told

    def _take_ports(self, plan: Plan) -> dict[str, str]:
        """Take every port before anything starts. Sockets are handed down to the processes and survive their
        restarts.
        """
        told: dict[str, str] = {}
        for item in plan:
            if not isinstance(item, Process) or not item.listening:
                continue
            wanted = (self._chosen.bind, self._chosen.port) if item.listening == WEB_SOCKET else ("127.0.0.1", 0)
            try:
                self._sockets[item.name] = processes.listen(*wanted)
            except OSError as error:
                raise StartRefusedError(why_no_port(*wanted, error)) from None
            host, port = reachable(self._sockets[item.name])
            told[TOLD_AS[item.listening]] = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if self._chosen.public_url:
            told["PLIMSOLL_PUBLIC_URL"] = self._chosen.public_url
        return told

    def _fail(self, sentence: str, tail: Sequence[str] = ()) -> int:
        self._voice.complain(sentence, tail)
        return 1

    def _stop(self) -> None:
        if self._lock is not None:
            environment.forget_record(self._chosen.data)
        self._crew.end_all()
        for listening in self._sockets.values():
            listening.close()
        if self._lock is not None:
            self._voice.note("everything has ended")
            self._lock.close()
        self._own_log.close()


def take_lock(data: Path) -> IO[str]:
    """Make sure that no other supervisor uses this directory for as long as the file returned is open."""
    path = data / "lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "of unknown number"
        lock.close()
        raise StartRefusedError(
            f"Another Plimsoll (process {holder}) is using {path.parent}. "
            "Stop it, or set PLIMSOLL_DATA to another directory."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def why_no_port(address: str, port: int, error: OSError) -> str:
    """The sentence for a port that cannot be taken."""
    if isinstance(error, PermissionError):
        return f"Port {port} needs special rights. Choose one from 1024 on, for example PORT=8000."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {address}. Set PLIMSOLL_BIND to one it has, or to 0.0.0.0 for all."
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8000
        return f"Port {port} on {address} is already in use. Choose another, for example PORT={other}."
    return f"Port {port} on {address} cannot be taken: {error.strerror}."


def _surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(environment.ROOT), environ.get("PYTHONPATH")))),
        # glibc's arenas per thread keep tens of megabytes in every process with threads
        "MALLOC_ARENA_MAX": environ.get("MALLOC_ARENA_MAX", "2"),
    }
