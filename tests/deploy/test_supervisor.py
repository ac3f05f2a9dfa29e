"""Starting, minding and stopping, with stand-in parts. Tests that need the whole service start the real ones."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from deploy.run import children, environment
from deploy.run.stack import Stack
from tests.deploy.standin import COMMAND


def stack(tmp_path, plan, **more):
    return Stack(tmp_path, command=(*COMMAND, plan), **more)


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.status, reply.read()


def members(supervisor: int) -> set[int]:
    """The supervisor and everything below it."""
    found, seen = [supervisor], 0
    while seen < len(found):
        below = Path(f"/proc/{found[seen]}/task/{found[seen]}/children")
        if below.exists():
            found += [int(pid) for pid in below.read_text().split()]
        seen += 1
    return set(found)


def everyone(pages: Stack) -> set[int]:
    """Supervisor, guard, web, parent, and the parent's own child, once all five are there."""
    assert children.wait_until(lambda: len(members(pages.pid)) == 5, 10)
    return members(pages.pid)


def log_of(place: Path, name: str) -> str:
    log = place / "logs" / f"{name}.log"
    return log.read_text() if log.exists() else ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def all_gone(pids: set[int]) -> bool:
    return children.wait_until(lambda: not any(alive(pid) for pid in pids), 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_and_counts_as_success(tmp_path, number):
    running = stack(tmp_path, "pages")
    running.start()
    assert fetch(running.url) == (200, b"ok")
    pids = everyone(running)
    assert running.stop(number) == 0
    assert all_gone(pids)
    assert not (tmp_path / "run.env.json").exists()
    assert "Traceback" not in running.said
    with pytest.raises(urllib.error.URLError):
        fetch(running.url)


def test_a_second_ctrl_c_is_harmless(tmp_path):
    running = stack(tmp_path, "stubborn")
    running.start()
    assert children.wait_until(lambda: "I am deaf" in log_of(tmp_path, "deaf"), 10)
    pids = members(running.pid)
    os.kill(running.pid, signal.SIGINT)
    assert children.wait_until(lambda: "Stopping." in running.said, 5)
    assert running.stop(signal.SIGINT) == 0
    assert all_gone(pids)
    assert "Traceback" not in running.said


def test_a_part_that_will_not_end_is_killed(tmp_path):
    running = stack(tmp_path, "stubborn")
    running.start()
    assert children.wait_until(lambda: "I am deaf" in log_of(tmp_path, "deaf"), 10)
    pids = members(running.pid)
    assert running.stop() == 0
    assert all_gone(pids)
    assert "deaf did not end and was killed" in (tmp_path / "logs" / "supervisor.log").read_text()


def test_killing_the_supervisor_leaves_no_orphan(tmp_path):
    running = stack(tmp_path, "pages")
    running.start()
    pids = everyone(running)
    running.stop(signal.SIGKILL)
    assert all_gone(pids)


def test_killing_the_supervisor_shuts_the_database_down_cleanly_and_the_next_start_works(tmp_path):
    first = stack(tmp_path, "database")
    first.start()
    pids = members(first.pid)
    first.stop(signal.SIGKILL)
    with stack(tmp_path, "database") as second, psycopg.connect(second.environment["PLIMSOLL_DB_APP"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("plimsoll_app",)
    assert all_gone(pids)


def test_a_part_that_died_is_started_again_on_the_same_port(tmp_path):
    with stack(tmp_path, "pages") as running:
        web = sorted(members(running.pid) - {running.pid})[1]
        os.kill(web, signal.SIGKILL)
        assert fetch(running.url) == (200, b"ok")  # waits in the socket's queue until the new one serves
        assert children.wait_until(lambda: "“web” was ended by SIGKILL and is started again." in running.said, 5)


def test_a_step_that_fails_stops_the_start_and_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="The step “schema” ended with code 3") as refused:
        stack(tmp_path, "failing").start()
    assert "    no such table" in str(refused.value)


def run_standin(tmp_path, plan, **environ):
    surroundings = {**os.environ, "PLIMSOLL_DATA": str(tmp_path), "PORT": "0", **environ}
    return subprocess.run(
        [sys.executable, *COMMAND, plan],
        cwd=environment.ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_part_that_keeps_dying_stops_everything_and_says_why(tmp_path):
    outcome = run_standin(tmp_path, "dying")
    assert outcome.returncode == 1
    assert "“doomed” ended with code 7 and is started again." in outcome.stdout
    assert outcome.stderr.splitlines() == [
        "“doomed” ended with code 7, for the third time in a row.",
        *["    the last word"] * 3,
    ]


def test_a_taken_port_is_a_sentence_and_nothing_is_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = run_standin(tmp_path, "database", PORT=str(port))
    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"Port {port} on 127.0.0.1 is already in use. Choose another, for example PORT={port + 1}.\n"
    )
    assert not (tmp_path / "postgres").exists()


def test_an_address_of_another_machine_is_a_sentence(tmp_path):
    outcome = run_standin(tmp_path, "pages", PLIMSOLL_BIND="203.0.113.7")
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("This machine has no address 203.0.113.7.")


def test_two_supervisors_do_not_share_a_directory(tmp_path):
    with stack(tmp_path, "pages") as first:
        outcome = run_standin(tmp_path, "pages")
        assert outcome.returncode == 1
        assert outcome.stderr == (
            f"Another Plimsoll (process {first.pid}) is using {tmp_path}. "
            "Stop it, or set PLIMSOLL_DATA to another directory.\n"
        )
        assert fetch(first.url) == (200, b"ok")
        assert environment.read_record(tmp_path)["PLIMSOLL_PUBLIC_URL"] == first.url


def test_what_a_step_says_to_the_person_is_shown_but_its_secret_is_not_logged(tmp_path):
    with stack(tmp_path, "asking") as running:
        assert "Sign in at http://127.0.0.1/sign-in/0123456789abcdefghij" in running.said
        assert "0123456789abcdefghij" not in "".join(log.read_text() for log in (tmp_path / "logs").iterdir())


def test_passwords_of_the_surroundings_do_not_reach_a_log(tmp_path):
    with stack(tmp_path, "pages", environ={"DATABASE_URL": "postgresql://u:hunter22@127.0.0.1/d"}):
        assert children.wait_until(lambda: "serving" in log_of(tmp_path, "web"), 5)
        logged = (tmp_path / "logs" / "web.log").read_text()
    assert "postgresql://u:•••@127.0.0.1/d" in logged
    assert "hunter22" not in logged
    assert all(json.loads(line)["process"] == "web" for line in logged.splitlines())


@pytest.mark.parametrize(("name", "value"), [("PORT", "x"), ("PLIMSOLL_BIND", "nowhere")])
def test_the_command_line_refuses_wrong_values_with_a_sentence(tmp_path, name, value):
    outcome = subprocess.run(
        [sys.executable, "-m", "deploy.run", "run"],
        cwd=environment.ROOT,
        env={**os.environ, "PLIMSOLL_DATA": str(tmp_path / "new"), name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(name)
    assert len(outcome.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_env_says_where_the_installation_is_and_that_none_is(tmp_path):
    def ask():
        command = [sys.executable, "-m", "deploy.run", "env"]
        surroundings = {**os.environ, "PLIMSOLL_DATA": str(tmp_path)}
        return subprocess.run(
            command, cwd=environment.ROOT, env=surroundings, capture_output=True, text=True, check=False
        )

    with stack(tmp_path, "pages") as running:
        assert f"export PLIMSOLL_PUBLIC_URL={running.url}\n" in ask().stdout
    outcome = ask()
    assert (outcome.returncode, outcome.stderr) == (1, "No Plimsoll is running on this data directory.\n")
