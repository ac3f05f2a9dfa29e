"""What tests of a log at work share: the sequencer's process on the test's own database with keys of its own; a log's
first key; anchors and a notice board of the test's own. This file is read before there are settings.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

if TYPE_CHECKING:
    from audit.anchors import Anchor
    from audit.anchors.file import FileAnchor
    from audit.note import SigningKey

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sequencer_environment(fresh_database: str, tmp_path: Path) -> dict[str, str]:
    """What the process is told: the test's database, a key folder of its own."""
    parts = urlsplit(os.environ["PLIMSOLL_DB_SEQUENCER"])
    address = urlunsplit(parts._replace(path=f"/{fresh_database}"))
    if parts.netloc == "" or not address.startswith("postgresql://"):
        address = os.environ["PLIMSOLL_DB_SEQUENCER"].replace("/plimsoll?", f"/{fresh_database}?")
    told = {"PLIMSOLL_DB_SEQUENCER": address, "PLIMSOLL_ROLE": "sequencer", "PLIMSOLL_LOG_LEVEL": "ERROR"}
    return {**os.environ, **told, "PLIMSOLL_SIGNING_KEYS": str(tmp_path / "signing")}


@pytest.fixture
def signed_log(sequencer_environment: dict[str, str]) -> Callable[[], str]:
    """Sequence and sign what is there, as the process does; returns the verifier key of the log of changes."""

    from audit.models import LogKey  # this file is read before there are settings

    def sign() -> str:
        command = [sys.executable, "manage.py", "sequencer", "--skip-checks", "--once"]
        subprocess.run(command, cwd=ROOT, env=sequencer_environment, check=True, capture_output=True)
        return LogKey.objects.get(log="admin").verifier

    return sign


@pytest.fixture
def sign_in_background(sequencer_environment: dict[str, str]) -> Callable[[], object]:
    """The process itself, for as long as a block runs."""

    @contextmanager
    def running() -> Iterator[None]:
        command = [sys.executable, "manage.py", "sequencer", "--skip-checks"]
        process = subprocess.Popen(command, cwd=ROOT, env=sequencer_environment)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)

    return running


@pytest.fixture
def key(fresh_database: str) -> "SigningKey":
    """The first key of the log of reads, made and announced as the sequencer does."""
    from audit import publisher
    from tests.audit.signed_log import as_role

    with as_role():
        return publisher.signing_keys()["access"][0]


@pytest.fixture
def listed(tmp_path: Path, settings) -> Callable[[str], "tuple[Anchor, ...]"]:
    """Name these anchors in the file."""
    from audit import anchors

    def write(text: str) -> "tuple[Anchor, ...]":
        path = tmp_path / "anchors.toml"
        path.write_text(text)
        settings.PLIMSOLL_ANCHORS = path
        return anchors.configured()

    return write


@pytest.fixture
def file(tmp_path: Path) -> "FileAnchor":
    """A file as an anchor."""
    from audit.anchors.file import FileAnchor

    return FileAnchor("worm", ("access",), 0.0, tmp_path / "worm.ndjson")


@pytest.fixture
def notices(tmp_path: Path, settings) -> Iterator[None]:
    """A notice board of the test's own."""
    settings.PLIMSOLL_DATA, before = tmp_path / "data", settings.PLIMSOLL_DATA
    yield
    settings.PLIMSOLL_DATA = before
