"""``python -m demo``: prepare the demonstration; with ``--check`` carry all seven steps through and stop at the first
that fails. ``PLIMSOLL_PUBLIC_URL`` says where Plimsoll answers.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo import registering
from demo.accounts import PEOPLE
from demo.auditing import audit
from demo.case import Case, Step
from demo.client import Person, StepFailedError
from demo.deciding import apply, decide
from demo.erasing import erase

PREPARATION: tuple[Step, ...] = (
    ("register", registering.register),
    ("compute", registering.compute),
    ("request", registering.request_promotion),
)
COMPLETION: tuple[Step, ...] = (("decide", decide), ("apply", apply), ("audit", audit), ("erase", erase))


def _people(url: str) -> dict[str, Person]:
    done = subprocess.run(
        [sys.executable, "-m", "demo.accounts"], capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode != 0:
        raise StepFailedError(f"The accounts could not be made: {done.stderr[-1500:]}")
    known = json.loads(done.stdout)
    return {name: Person(url=url, name=name, **known[name]) for name, *_ in PEOPLE}


def _prepare(url: str, people: dict[str, Person]) -> None:
    """Steps 1 to 3, unless an earlier start has done them; then the accounts and what waits for each."""
    if not registering.is_prepared(people):
        with tempfile.TemporaryDirectory() as folder:
            Case(people, Path(folder)).run(PREPARATION)
    print(f"\nPlimsoll is ready on {url} — sign in as one of:\n")
    for name, shown, role, waits in PEOPLE:
        print(f"  {name:<10} {people[name].password:<24} {shown}, {role.replace('_', ' ')}: {waits}")
    print(f"\n  MLflow clients: MLFLOW_TRACKING_URI={url} with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    print("\nCtrl-C stops everything.", flush=True)


def main() -> int:
    """Run; 0 when every step held."""
    url = os.environ.get("PLIMSOLL_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
    started = time.monotonic()
    try:
        people = _people(url)
        if "--check" in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as folder:
                Case(people, Path(folder)).run(PREPARATION + COMPLETION)
            print(f"all seven steps held in {time.monotonic() - started:.0f} s", flush=True)
        else:
            _prepare(url, people)
    except StepFailedError as error:
        print(f"FAILED {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
