"""`python -m deploy.run`: serve, demonstrate, run the database alone, or show where a running installation is."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable

from deploy.run import environment, processes
from deploy.run.environment import StartRefusedError
from deploy.run.processes import Step
from deploy.run.supervisor import Supervisor


def run(_arguments: argparse.Namespace) -> int:
    """Serve without demonstration data."""
    return Supervisor(environment.choices(os.environ), environ=os.environ).run()


def demo(arguments: argparse.Namespace) -> int:
    """Serve with the demonstration, or carry it through and stop."""
    step = Step("demo", (sys.executable, "-m", "demo", *(("--check",) if arguments.check else ())), echo=True)
    return Supervisor(
        environment.choices(os.environ), environ=os.environ, after_ready=step, serve=not arguments.check
    ).run()


def postgres(_arguments: argparse.Namespace) -> int:
    """The database alone, for development."""
    return Supervisor(environment.choices(os.environ), processes.database_only, environ=os.environ).run()


def env(_arguments: argparse.Namespace) -> int:
    """Where the installation running on this data directory is, in a shell's words."""
    told = environment.read_record(environment.data_directory(os.environ))
    if not told:
        print("No Plimsoll is running on this data directory.", file=sys.stderr)
        return 1
    for name, value in sorted(told.items()):
        print(f"export {name}={shlex.quote(value)}")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"run": run, "demo": demo, "postgres": postgres, "env": env}


def main(argv: list[str] | None = None) -> int:
    """Parse, run one command, return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.run", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, help=command.__doc__)
        if name == "demo":
            added.add_argument("--check", action="store_true", help="carry the demonstration through, then stop")
    arguments = parser.parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments)
    except StartRefusedError as refusal:
        print(refusal, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
