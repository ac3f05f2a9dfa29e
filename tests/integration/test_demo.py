"""The demonstration, carried through on a fresh installation as ``make demo CHECK=1`` does it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("stack")

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("register", "compute", "request", "decide", "apply", "audit", "erase")
LEFT_OUT = ("PLIMSOLL_", "DATABASE_", "CELERY_", "MLFLOW_", "DJANGO_", "PORT")


def test_all_seven_steps_hold_on_a_fresh_installation() -> None:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    with tempfile.TemporaryDirectory(prefix="plimsoll-demo-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.run", "demo", "--check"],
            cwd=ROOT,
            env={**surroundings, "PLIMSOLL_DATA": folder, "PORT": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        left = [path.name for path in Path(folder).glob("run.env.json")]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line[:2] in {f"{n}." for n in range(1, 8)}]
    assert tuple(line.split()[1] for line in lines) == STEPS
    assert "token" not in done.stdout
    assert left == []
