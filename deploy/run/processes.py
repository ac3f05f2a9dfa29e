"""The parts of an installation as a table: what each runs, in which order they start, how each is asked to end.

Order of the plan is order of start; stopping goes backwards, stage by stage. How a plan is carried out:
`supervisor.py`.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.run.account import Account
from deploy.run.environment import ROOT, Choices
from deploy.run.postgres import Embedded

Ladder = tuple[tuple[signal.Signals, float], ...]
"""Signals to send, each with the seconds to wait for the end before the next. SIGKILL to the whole group follows the
last.
"""

POLITE: Ladder = ((signal.SIGTERM, 2.0),)


@dataclass(frozen=True)
class Process:
    """One long-running part."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    listening: str | None = None
    """The environment variable in which the number of its listening socket is handed down."""
    probe: str | None = None
    """Path that answers 200 on that socket once it can serve."""
    ready: Callable[[], bool] | None = None
    """How readiness shows when it does not listen on a socket of ours."""
    awaited: bool = False
    """Whether the next item of the plan must wait until it is ready."""
    before: Callable[[], None] | None = None
    """Called before each start."""
    account: Account | None = None
    orphan_signal: signal.Signals = signal.SIGKILL
    stop: Ladder = POLITE
    stage: int = 1
    """Processes of a higher stage end before those of a lower one are asked to."""


@dataclass(frozen=True)
class Step:
    """One program that runs to its end before the plan goes on."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    echo: bool = False
    """Whether what it prints is for the person at the console."""


Plan = Sequence[Process | Step]


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def _manage(command: str, *arguments: str) -> tuple[str, ...]:
    # Django's checks load every page; they belong to `make check`, not to every start.
    return _python("manage.py", command, "--skip-checks", *arguments)


def postgres(server: Embedded) -> Process:
    """The embedded database. Told to shut down cleanly even when its parent was killed."""
    return Process(
        name="postgres",
        argv=tuple(server.argv),
        before=server.arrange,
        ready=server.is_ready,
        awaited=True,
        account=server.account,
        orphan_signal=signal.SIGINT,
        stop=((signal.SIGINT, 1.5), (signal.SIGQUIT, 0.5)),
        stage=0,
    )


def databases(server: Embedded | None) -> Step:
    """Roles and databases."""
    asked = {"PLIMSOLL_ADMIN_CONNINFO": server.admin_conninfo} if server else {}
    return Step("databases", _python("-m", "deploy.run.databases"), environ=asked)


def tracking(data: Path) -> Process:
    """MLflow's tracking server, on loopback."""
    return Process(
        name="tracking",
        argv=_python("-m", "deploy.run.tracking"),
        environ={
            "PLIMSOLL_TRACKING_FILES": str(data / "tracking" / "artifacts"),
            # where MLflow finds the description of our refusing registry
            "PYTHONPATH": f"{ROOT}:{ROOT / 'deploy' / 'tracking'}",
        },
        listening="PLIMSOLL_TRACKING_FD",
        probe="/health",
    )


MIGRATE = Step("schema", _manage("migrate", "--no-input", "--verbosity", "0"))
BOOTSTRAP = Step("bootstrap", _manage("bootstrap"), echo=True)

WEB = Process(
    name="web",
    argv=_python("-m", "gunicorn", "--config", "python:deploy.run.server", "web.wsgi:application"),
    listening="PLIMSOLL_WEB_FD",
    probe="/readyz",
    awaited=True,  # pages first: what follows competes for the same two cores
    stop=((signal.SIGTERM, 4.5),),  # a little more than gunicorn's own graceful_timeout
    stage=2,
)
WORKER = Process(
    name="worker",
    argv=_python(
        *("-m", "celery", "--app", "web.celery", "worker", "--pool", "prefork", "--concurrency", "2"),
        *("--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel", "INFO"),
        # A report loads pandas, AIF360 or SHAP into the child that computes it; a larger child is replaced after its
        # task.
        *("--max-memory-per-child", "200000"),
    ),
    # Celery takes seconds to end even when idle. A task still running after them is given up, and taken again after the
    # restart because its lease runs out.
    stop=((signal.SIGTERM, 5.5),),
    stage=2,
)


def scheduler(data: Path) -> Process:
    """What runs at set times."""
    schedule = data / "scheduler" / "schedule"
    return Process(
        name="scheduler",
        argv=_python(
            *("-m", "celery", "--app", "web.celery", "beat", "--loglevel", "INFO"),
            *(
                "--schedule",
                str(schedule),
                "--pidfile",
                "",
            ),  # the lock on the data directory already keeps a second one out
        ),
        before=lambda: schedule.parent.mkdir(parents=True, exist_ok=True),
        stage=2,
    )


SEQUENCER = Process(name="sequencer", argv=_manage("sequencer"))


def installation(chosen: Choices) -> Plan:
    """Everything. Tracking starts early because it takes longest and needs only its database.

    Requests to it wait on its socket until it serves.
    """
    server = None if chosen.database_url else Embedded(chosen.data)
    return (
        *database_only(chosen, server),
        *(() if chosen.upstream else (tracking(chosen.data),)),
        MIGRATE,
        BOOTSTRAP,
        WEB,
        SEQUENCER,
        WORKER,
        scheduler(chosen.data),
    )


def database_only(chosen: Choices, server: Embedded | None = None) -> Plan:
    """The database with its roles, and nothing that uses it."""
    server = server or (None if chosen.database_url else Embedded(chosen.data))
    return (*((postgres(server),) if server else ()), databases(server))


def listen(address: str, port: int) -> socket.socket:
    """Take a port. Raises OSError when it is taken or not ours to take."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind((address, port))
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening
