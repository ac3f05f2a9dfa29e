"""A real server on a database of its own, and Chromium in front of it. A missing browser fails, it does not skip."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST_START = 60.0


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, from ``CHROMIUM`` or the path."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"There is no browser: set CHROMIUM, or install one of {', '.join(NAMES)}.")
    with sync_playwright() as playwright:
        # Playwright's loop marks this thread as asynchronous; the tests use the database from it all the same.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def server(fresh_database: str) -> Iterator[str]:
    """The web server on a free port, with the test's own database; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environ = {
            **os.environ,
            "PLIMSOLL_DB_APP": os.environ["PLIMSOLL_DB_APP"].replace("/plimsoll?", f"/{fresh_database}?"),
            "PLIMSOLL_PUBLIC_URL": address,
        }
        bind = f"fd://{listener.fileno()}"
        command = [sys.executable, "-m", "gunicorn", "web.wsgi:application", "--bind", bind, "--threads", "4"]
        command += ["--no-control-socket", "--log-level", "error"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            _wait(f"{address}/healthz", process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Until it answers. The listener queues the call, so this is one request and not a poll of a closed port."""
    deadline = time.monotonic() + LONGEST_START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=LONGEST_START) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    pytest.fail("The web server did not start.")
