"""What each kind of anchor is told and makes of it: a file, a webhook, a git repository. These tests commit."""

import json
import subprocess
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from audit.anchors import AnchorError, Head, OtherHistory
from audit.anchors.file import FileAnchor
from audit.anchors.git import GitAnchor
from audit.anchors.webhook import WebhookAnchor
from audit.note import SigningKey
from tests.audit.signed_log import grow, newest, root

LOG = "access"


# -- a file ----------------------------------------------------------------------------------------------------------


def test_a_file_grows_by_a_line_for_each_size(key: SigningKey, file: FileAnchor) -> None:
    grow([key], 3)
    assert file.head(newest()) is None
    file.submit(newest())
    file.submit(newest())  # again, as after a crash
    grow([key], 300)
    file.submit(newest())
    lines = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [(line["log"], line["size"], line["root"]) for line in lines] == [
        (LOG, 3, root(3).hex()),
        (LOG, 300, root(300).hex()),
    ]
    assert lines[1]["note"] == newest().note
    assert file.head(newest()) == Head(300, root(300))


def test_half_a_line_from_a_crash_is_passed_over(key: SigningKey, file: FileAnchor) -> None:
    grow([key], 3)
    file.submit(newest())
    with file.path.open("a") as appended:
        appended.write('{"log": "access", "si')
    assert file.head(newest()) == Head(3, root(3))
    grow([key], 4)
    file.submit(newest())
    assert file.head(newest()) == Head(4, root(4))
    assert file.path.read_text().count("\n") == 3


def test_a_file_of_both_logs_tells_them_apart(key: SigningKey, file: FileAnchor) -> None:
    grow([key], 3)
    file.submit(newest())
    with file.path.open("a") as appended:
        for size in range(9_000):
            appended.write(json.dumps({"log": "admin", "size": size, "note": "x" * 60}) + "\n")
    assert file.head(newest()) == Head(3, root(3))


def test_a_line_that_this_log_did_not_sign_is_an_error(key: SigningKey, file: FileAnchor) -> None:
    grow([key], 3)
    file.submit(newest())
    first = file.path.read_text()
    grow([key], 5)
    file.submit(newest())
    second = file.path.read_text().removeprefix(first)
    for content, match in (
        (first.replace("audit/access\\n3", "audit/access\\n4") + second, "Line 1"),
        (second + first, "Line 2"),
        (first + first, "Line 2"),
    ):
        file.path.write_text(content)
        asked = FileAnchor("worm", (LOG,), 0.0, file.path)
        with pytest.raises(AnchorError, match=f"{match} of the file worm.ndjson is not one that this log signed"):
            asked.head(newest())


def test_a_file_from_which_lines_were_cut_is_an_error(key: SigningKey, file: FileAnchor) -> None:
    grow([key], 3)
    file.submit(newest())
    first = file.path.read_text()
    grow([key], 5)
    file.submit(newest())
    file.head(newest())
    file.path.write_text(first)
    with pytest.raises(AnchorError, match="has become shorter"):
        file.head(newest())


def test_a_file_that_holds_more_refuses_less(key: SigningKey, file: FileAnchor, fresh_database: str) -> None:
    grow([key], 3)
    older = newest()
    grow([key], 5)
    file.submit(newest())
    with pytest.raises(OtherHistory, match="It holds size 5"):
        file.submit(older)


def test_a_file_that_cannot_be_written_is_an_error(key: SigningKey, tmp_path: Path) -> None:
    grow([key], 3)
    with pytest.raises(AnchorError, match="cannot be written: No such file or directory"):
        FileAnchor("worm", (LOG,), 0.0, tmp_path / "none" / "worm").submit(newest())
    with pytest.raises(AnchorError, match="cannot be read: Is a directory"):
        FileAnchor("worm", (LOG,), 0.0, tmp_path).head(newest())


# -- a webhook -------------------------------------------------------------------------------------------------------


class Auditor(BaseHTTPRequestHandler):
    """Somebody's server: keeps what it is sent, and answers what it is told to."""

    def do_POST(self) -> None:
        self.server.got.append((dict(self.headers), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self._answer(*self.server.answer)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self._answer(*self.server.answer)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def auditor() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Auditor)
    server.got, server.asked, server.answer = [], [], (201, b"kept as 17")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def hook(server: HTTPServer, **more) -> WebhookAnchor:
    address = f"http://127.0.0.1:{server.server_address[1]}"
    return WebhookAnchor("auditor", (LOG,), 0.0, f"{address}/sent", head_url=f"{address}/newest", **more)


def test_a_webhook_is_sent_size_root_and_note(key: SigningKey, auditor: HTTPServer, tmp_path: Path) -> None:
    grow([key], 3)
    bearer = tmp_path / "bearer"
    bearer.write_text("s3cret-of-the-auditor\n")
    receipt = hook(auditor, bearer_file=bearer).submit(newest())
    ((headers, body),) = auditor.got
    assert body == {
        "log": LOG,
        "origin": "plimsoll.local/audit/access",
        "size": 3,
        "root": root(3).hex(),
        "note": newest().note,
    }
    assert headers["Authorization"] == "Bearer s3cret-of-the-auditor"
    assert receipt.text == f"201 sha256:{sha256(b'kept as 17').hexdigest()} kept as 17"


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ((302, b"", {"Location": "http://127.0.0.1:1/"}), "answered 302, not 2xx"),
        ((500, b"no\x1b[31m disk"), r"answered 500, not 2xx: no\[31m disk"),
        ((200, b"x" * 70_000), "more than 65536 bytes"),
    ],
)
def test_what_a_webhook_must_not_answer(key: SigningKey, auditor: HTTPServer, answer, match: str) -> None:
    grow([key], 3)
    auditor.answer = answer
    with pytest.raises(AnchorError, match=match):
        hook(auditor).submit(newest())
    assert len(auditor.got) == 1


def test_nobody_there_is_a_sentence(key: SigningKey) -> None:
    grow([key], 3)
    with pytest.raises(AnchorError, match=r"^127.0.0.1 does not answer \(NewConnectionError\)\.$"):
        WebhookAnchor("auditor", (LOG,), 0.0, "http://127.0.0.1:9/").submit(newest())


@pytest.mark.parametrize(
    ("answer", "head"),
    [
        ((200, b'{"size": 3}'), Head(3, None)),
        ((200, b'{"size": 4, "root": "' + b"ab" * 32 + b'"}'), Head(4, bytes.fromhex("ab" * 32))),
        ((404, b"nothing yet"), None),
        ((200, b"[]"), "The newest size is told as"),
        ((200, b'{"size": "3"}'), "The newest size is told as"),
        ((200, b'{"size": true}'), "The newest size is told as"),
        ((200, b'{"size": -1}'), "The newest size is told as"),
        ((200, b'{"size": 3, "root": "ab"}'), "The newest size is told as"),
        ((500, b""), "answered 500"),
    ],
)
def test_a_webhook_is_asked_for_its_newest_size(key: SigningKey, auditor: HTTPServer, answer, head) -> None:
    grow([key], 3)
    auditor.answer = answer
    if isinstance(head, str):
        with pytest.raises(AnchorError, match=head):
            hook(auditor).head(newest())
    else:
        assert hook(auditor).head(newest()) == head
    assert auditor.asked == ["/newest?log=access&origin=plimsoll.local%2Faudit%2Faccess"]


@pytest.mark.parametrize("content", [None, "", "two words", "é"])
def test_a_bearer_that_is_none_is_a_sentence(key: SigningKey, auditor: HTTPServer, tmp_path: Path, content) -> None:
    grow([key], 3)
    bearer = tmp_path / "bearer"
    if content is not None:
        bearer.write_text(content)
    with pytest.raises(AnchorError, match=r"^The file bearer "):
        hook(auditor, bearer_file=bearer).submit(newest())
    assert auditor.got == []


# -- git -------------------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> GitAnchor:
    remote, directory = tmp_path / "remote.git", tmp_path / "history"
    for folder in (remote, directory):
        folder.mkdir()
    git(remote, "init", "--quiet", "--bare", "--initial-branch=main")
    git(directory, "init", "--quiet", "--initial-branch=main")
    git(directory, "remote", "add", "origin", str(remote))
    return GitAnchor("history", (LOG,), 0.0, directory, remote="origin")


def test_each_statement_is_a_commit_that_is_pushed(key: SigningKey, repository: GitAnchor, tmp_path: Path) -> None:
    grow([key], 3)
    assert repository.head(newest()) is None
    repository.submit(newest())
    grow([key], 8)
    receipt = repository.submit(newest())
    assert repository.submit(newest()) == receipt
    for folder in (repository.directory, tmp_path / "remote.git"):
        assert git(folder, "log", "--format=%s", "main").splitlines() == [
            "plimsoll.local/audit/access 8",
            "plimsoll.local/audit/access 3",
        ]
        assert git(folder, "show", "main:access/checkpoint") == newest().note
    assert receipt.text == f"commit {git(tmp_path / 'remote.git', 'rev-parse', 'main').strip()}"
    assert repository.head(newest()) == Head(8, root(8))


def test_the_remote_is_asked_too(key: SigningKey, repository: GitAnchor, tmp_path: Path) -> None:
    """The data folder was restored along with the database; the remote was not."""
    grow([key], 3)
    repository.submit(newest())
    grow([key], 8)
    repository.submit(newest())
    git(repository.directory, "reset", "--quiet", "--hard", "HEAD~1")
    assert repository.head(newest()) == Head(8, root(8))


def test_what_git_refuses_is_a_sentence(key: SigningKey, repository: GitAnchor, tmp_path: Path) -> None:
    grow([key], 3)
    git(repository.directory, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    with pytest.raises(AnchorError, match=r"^git push failed: "):
        repository.submit(newest())
    with pytest.raises(AnchorError, match="is no git repository"):
        GitAnchor("history", (LOG,), 0.0, tmp_path / "nowhere").submit(newest())


def test_a_committed_note_of_somebody_else_is_an_error(key: SigningKey, repository: GitAnchor) -> None:
    grow([key], 3)
    repository.submit(newest())
    (repository.directory / LOG / "checkpoint").write_text("other\n3\nAA==\n\n— other AAAAAAAA\n")
    git(repository.directory, "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "--all", "--message", "x")
    with pytest.raises(AnchorError, match="not one that this log signed"):
        repository.head(newest())
