"""The command line against our own application over HTTP, run as a person runs it."""

import csv
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM
from registry import manifest
from tests import evidence_cases as cases
from tests import factories
from web.cli import files

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ada(served: str) -> User:
    user = actions.create_user(by=SYSTEM, username="ada", password=factories.PASSWORD)
    actions.grant_role(by=SYSTEM, user=user, role=Role.DATA_SCIENTIST)
    return user


@pytest.fixture
def run(served: str, ada: User, tmp_path: Path) -> Any:
    """``run("tokens", "list")``: the finished command, in a home of its own; the account is Ada's."""

    def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PLIMSOLL_")}
        kept |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(ROOT), **environment}
        return subprocess.run(
            [sys.executable, "-m", "web.cli", *words],
            cwd=tmp_path,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


@pytest.fixture
def logged_in(run: Any, served: str) -> Any:
    done = run("login", served, "--username", "ada", "--password", factories.PASSWORD, "--scope", "full")
    assert done.returncode == 0, done.stderr
    return run


def test_login_keeps_a_token_and_no_password(run: Any, served: str, tmp_path: Path) -> None:
    done = run("login", served, "--username", "ada", "--password", factories.PASSWORD, "--scope", "read")
    assert done.returncode == 0, done.stderr
    kept = tmp_path / "config" / "plimsoll" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    found = json.loads(kept.read_text())
    assert found["url"] == served
    assert factories.PASSWORD not in kept.read_text()
    assert found["token"] not in done.stdout
    told = json.loads(run("whoami", "--json").stdout)
    assert (told["username"], told["auth"], told["token_scope"]) == ("ada", "bearer", "read")
    assert run("tokens", "create", "more").returncode == 1  # a token that only reads makes no others
    assert run("logout").stdout == "The token is forgotten.\n"
    assert not kept.exists()


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("whoami",), 1, "Nobody is logged in here."),
        (("login", "ftp://x", "-u", "a", "--password", "b"), 1, "is not the address of a service"),
        (("login", "http://plimsoll.example", "-u", "a", "--password", "b"), 1, "Over plain http anyone"),
        (("login", "http://ada:pw@127.0.0.1:1", "-u", "a", "--password", "b"), 1, "is not the address"),
        (("login", "http://127.0.0.1:1", "-u", "a", "--password", "b"), 3, "does not answer"),
        (("versions", "show", "x"), 2, "Missing argument"),
    ],
)
def test_what_goes_wrong_is_one_sentence(run: Any, words: tuple[str, ...], status: int, sentence: str) -> None:
    done = run(*words)
    assert done.returncode == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_password_is_refused_with_the_services_sentence(run: Any, served: str, tmp_path: Path) -> None:
    done = run("login", served, "--username", "ada", "--password", "wrong")
    assert done.returncode == 1
    assert "(401)" in done.stderr
    assert not (tmp_path / "config").exists()


def test_tokens_are_made_listed_and_revoked(logged_in: Any, served: str) -> None:
    made = json.loads(logged_in("tokens", "create", "ci", "--scope", "read", "--json").stdout)
    as_ci = {"PLIMSOLL_URL": served, "PLIMSOLL_TOKEN": made["secret"]}
    assert "ada" in logged_in("whoami", **as_ci).stdout
    assert made["prefix"] in logged_in("tokens", "list").stdout
    assert made["secret"] not in logged_in("tokens", "list").stdout
    assert logged_in("tokens", "revoke", made["id"]).stdout == "It is revoked.\n"
    assert logged_in("whoami", **as_ci).returncode == 1


def test_a_data_set_is_registered_from_a_file(logged_in: Any, tmp_path: Path) -> None:
    with (tmp_path / "applicants.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "age", "sex", "good"])
        writer.writerows([[f"p{row}", 20 + row, "f" if row % 2 else "m", row % 3] for row in range(40)])
    words = ("applicants", "applicants.csv", "--role", "evaluation", "--label", "good", "--favourable", "1")
    done = logged_in("data-sets", "register", *words, "--identifier", "id=customer_id", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["version"], made["rows"], made["favourable"], made["identifiers"]) == (1, 40, 1, {"id": "customer_id"})
    assert made["digest"] in logged_in("data-sets", "list").stdout
    missing = logged_in("data-sets", "register", "x", "nowhere.csv", "--role", "training")
    assert (missing.returncode, missing.stderr) == (
        1,
        "Error: There is no file nowhere.csv. Give a file, or an address with its scheme.\n",
    )


def test_a_version_is_shown_and_its_files_verified(logged_in: Any, ada: User, tmp_path: Path, settings: Any) -> None:
    settings.PLIMSOLL_DATA = tmp_path / "store"
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "data" / "model.ubj").write_bytes(bytes(range(256)) * 100)
    version = cases.pin(cases.version(actor_of(ada, "session")), folder)
    assert version.artifact_manifest is not None
    digest = manifest.digest(version.artifact_manifest)
    named = (version.model.name, str(version.number))
    assert digest in logged_in("versions", "show", *named).stdout
    assert logged_in("versions", "verify", *named, "model").stdout.endswith(f"{digest}\n")
    (folder / "MLmodel").write_text("flavors: {x: 1}\n")
    (folder / "extra").write_text("")
    (folder / "data" / "model.ubj").unlink()
    done = logged_in("versions", "verify", *named, "model", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["differences"] == [
        {"path": "MLmodel", "is": "changed"},
        {"path": "data/model.ubj", "is": "missing"},
        {"path": "extra", "is": "not registered"},
    ]
    (folder / "link").symlink_to("/etc/passwd")
    assert "a manifest has no links" in logged_in("versions", "verify", *named, "model").stderr
    assert logged_in("versions", "lineage", *named).returncode == 0
    assert logged_in("versions", "check", *named).stdout.startswith("Asked for: job ")


def test_the_commands_digest_is_the_registrys(tmp_path: Path) -> None:
    for name in ("b", "a/é", "a/z", "A", "a.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    found = files.manifest_of(tmp_path)
    ours = manifest.of([manifest.File(each["path"], each["size"], each["sha256"]) for each in found["files"]])
    assert found == ours
    assert files.digest_of(found) == manifest.digest(ours)


def test_what_an_answer_holds_does_not_steer_the_terminal() -> None:
    from web.cli import tables

    assert tables.shown("credit\x1b[2J\n") == "credit\\x1b[2J\\x0a"
