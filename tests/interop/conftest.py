"""What the verifiers of this folder are given: the downloaded log, and the programs, built or installed once."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.interop.served import Served

HERE = Path(__file__).resolve().parent
GO_SOURCES = Path("/usr/share/gocode")  # where Debian's golang-golang-x-mod-dev puts its packages


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker) -> "Served":
    from tests.interop.served import Served, download  # models cannot be imported before the settings are there

    folder = tmp_path_factory.mktemp("log")
    with django_db_blocker.unblock():
        return Served(folder, download(folder))


@pytest.fixture(scope="session")
def tlog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go verifier, built from Debian's packages without the module proxy."""
    program = tmp_path_factory.mktemp("go") / "tlog"
    here = {"GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOFLAGS": "", "GOCACHE": str(_cache() / "go")}
    command = ["go", "build", "-o", str(program), "./tests/interop/tlog"]
    done = subprocess.run(
        command, cwd=HERE.parents[1], env={**os.environ, **here}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="session")
def packages() -> Path:
    """A folder with the npm packages of package.json, installed once per version."""
    wanted = (HERE / "package.json").read_bytes()
    folder = _cache() / f"npm-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        making.mkdir(parents=True)
        (making / "package.json").write_bytes(wanted)
        _install(making)
        try:
            making.rename(folder)
        except OSError:  # another run was first
            shutil.rmtree(making)
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    for attempt in range(1, 4):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(attempt * 2)
    shutil.rmtree(folder)
    pytest.fail(f"npm could not install what tests/interop/package.json names: {done.stderr[-500:]}")


def _cache() -> Path:
    """Outside of the repository, so that nothing here is ever scanned or committed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plimsoll-tests"
