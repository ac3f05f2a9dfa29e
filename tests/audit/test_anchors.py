"""Parties outside that keep what was signed: how they are configured, told and asked. These tests commit."""

import json
import subprocess
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from audit import anchoring, anchors, merkle, noticeboard, publisher
from audit.anchors import Anchor, AnchorError, Head, OtherHistory, Receipt, Statement
from audit.anchors.file import FileAnchor
from audit.anchors.git import GitAnchor
from audit.anchors.webhook import WebhookAnchor
from audit.models import AnchorReceipt
from audit.note import SigningKey
from audit.rounds import Rounds
from audit.standing import standing
from tests.audit.grown_log import leaf_of
from tests.audit.signed_log import as_role, copy_of, grow, insert, sequence, use

LOG = "access"


def root(size: int) -> bytes:
    return merkle.MemoryTree([merkle.leaf_hash(leaf_of(number)) for number in range(size)]).root()


@pytest.fixture
def key(fresh_database: str) -> SigningKey:
    with as_role():
        return publisher.signing_keys()[LOG][0]


def newest() -> Statement:
    found = anchoring.statement(LOG, "")
    assert found is not None
    return found


# -- configuration ---------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path: Path, settings):
    """Name these anchors in the file."""

    def write(text: str) -> tuple[Anchor, ...]:
        path = tmp_path / "anchors.toml"
        path.write_text(text)
        settings.PLIMSOLL_ANCHORS = path
        return anchors.configured()

    return write


def a_verifier() -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from audit.note import Verifier

    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    return Verifier("witness.example/w1", 4, public).vkey


def test_no_file_means_no_anchors(settings) -> None:
    settings.PLIMSOLL_ANCHORS = None
    assert anchors.configured() == ()


def test_every_kind_is_read(listed) -> None:
    found = listed(f"""
        [[anchor]]
        name = "worm"
        kind = "file"
        path = "/srv/worm/plimsoll.ndjson"
        [[anchor]]
        name = "auditor"
        kind = "webhook"
        url = "https://auditor.example/plimsoll"
        head_url = "https://auditor.example/plimsoll/newest"
        bearer_file = "/run/secrets/auditor"
        logs = ["admin"]
        min_interval = 5
        [[anchor]]
        name = "w1"
        kind = "witness"
        url = "https://witness.example/w1/"
        verifier = "{a_verifier()}"
        [[anchor]]
        name = "history"
        kind = "git"
        directory = "/srv/history"
        remote = "origin"
    """)
    assert [(each.name, each.kind, each.logs, each.min_interval) for each in found] == [
        ("worm", "file", ("admin", "access"), 60.0),
        ("auditor", "webhook", ("admin",), 5.0),
        ("w1", "witness", ("admin", "access"), 60.0),
        ("history", "git", ("admin", "access"), 60.0),
    ]
    assert [each.verifier for each in found] == ["", "", a_verifier(), ""]


FILE = '[[anchor]]\nname = "a"\nkind = "file"\npath = "/srv/a"\n'
HOOK = '[[anchor]]\nname = "a"\nkind = "webhook"\n'


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[[anchor", "is not TOML"),
        ("[anchors]\n", "holds [[anchor]] tables and nothing else"),
        ("anchor = 3", "holds [[anchor]] tables and nothing else"),
        ('[[anchor]]\nkind = "file"', "Anchor number 1 needs a name"),
        ('[[anchor]]\nname = "A b"', "Anchor number 1 needs a name"),
        ('[[anchor]]\nname = "a"', "needs a kind: one of file, webhook, witness, git"),
        ('[[anchor]]\nname = "a"\nkind = "ftp"', "needs a kind"),
        ('[[anchor]]\nname = "a"\nkind = ["file"]', "needs a kind"),
        ('[[anchor]]\nname = "a"\nkind = "file"', "needs path, as text"),
        ('[[anchor]]\nname = "a"\nkind = "file"\npath = "a"', "path must be a whole path"),
        (FILE + 'pth = "x"', "has a field 'pth'; a file anchor knows kind, logs, min_interval, name, path"),
        (FILE + "logs = []", "logs is a list of some of admin, access"),
        (FILE + 'logs = ["other"]', "logs is a list of some of admin, access"),
        (FILE + 'logs = "admin"', "logs is a list of some of admin, access"),
        (FILE + "min_interval = -1", "min_interval is a number of seconds"),
        (FILE + "min_interval = true", "min_interval is a number of seconds"),
        (FILE + FILE, "Two anchors are named 'a'"),
        (HOOK, "needs url, as text"),
        (HOOK + 'url = "ftp://x"', "url must be an http or https address"),
        (HOOK + 'url = "http://[::1"', "url is not an address"),
        (HOOK + 'url = "http://auditor.example/"', "url must be https"),
        (HOOK + 'url = "http://auditor.example/"\ninsecure = "yes"', "insecure is true or false"),
        (HOOK + 'url = "https://u:p@auditor.example/"', "url must not hold a password"),
        (HOOK + 'url = "https://x/"\nhead_url = "http://x/"', "head_url must be https"),
        (
            '[[anchor]]\nname = "a"\nkind = "witness"\nurl = "https://x"\nverifier = "x"',
            "verifier is not a verifier key",
        ),
        ('[[anchor]]\nname = "a"\nkind = "git"\ndirectory = "/x"\nbranch = "--force"', "branch is the name of one"),
    ],
)
def test_a_mistake_is_a_sentence(listed, text: str, match: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        listed(text)
    assert match in str(refusal.value)


def test_a_log_key_is_no_witness(listed) -> None:
    verifier = SigningKey.generate("plimsoll.local/audit/admin").verifier
    with pytest.raises(ImproperlyConfigured, match="a log's key, not a witness's"):
        listed(f'[[anchor]]\nname = "a"\nkind = "witness"\nurl = "https://x"\nverifier = "{verifier}"')


def test_a_file_that_is_not_there_stops_the_start(settings, tmp_path: Path) -> None:
    settings.PLIMSOLL_ANCHORS = tmp_path / "none.toml"
    with pytest.raises(ImproperlyConfigured, match="cannot be read: No such file"):
        anchors.configured()


def test_http_is_allowed_to_this_machine_and_when_said_so(listed) -> None:
    assert listed(HOOK + 'url = "http://127.0.0.1:9/"')[0].name == "a"
    assert listed(HOOK + 'url = "http://auditor.example/"\ninsecure = true')[0].name == "a"


# -- a file ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> FileAnchor:
    return FileAnchor("worm", (LOG,), 0.0, tmp_path / "worm.ndjson")


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


# -- all together ----------------------------------------------------------------------------------------------------


class Hanging:
    """An anchor that never answers until the test is over."""

    name, kind, logs, min_interval, verifier = "hanging", "file", (LOG,), 0.0, ""

    def __init__(self) -> None:
        self.over, self.reached = threading.Event(), threading.Event()

    def head(self, newest: Statement) -> Head | None:
        self.reached.set()
        self.over.wait(60)
        raise AnchorError("It hung.")

    submit = head


@pytest.fixture
def notices(tmp_path: Path, settings) -> None:
    """A notice board of the test's own."""
    settings.PLIMSOLL_DATA, data = tmp_path / "data", settings.PLIMSOLL_DATA
    yield
    settings.PLIMSOLL_DATA = data


def run(*configured: Anchor) -> Rounds:
    """Rounds as the sequencer's process makes them, without the waiting."""
    return Rounds(configured, patience=0.5)


def until(condition) -> None:
    """Wait for a thread; a bound for a test that would otherwise never end."""
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("It never came about.")


def test_a_hanging_anchor_delays_neither_signatures_nor_the_others(
    key: SigningKey, file: FileAnchor, notices, settings, listed
) -> None:
    hanging = Hanging()
    with as_role():
        rounds = run(hanging, file)
        for start, end in ((0, 5), (5, 9), (9, 12)):
            insert(start, end)
            rounds.turn()
            assert publisher.unsigned() == []
        assert hanging.reached.is_set()
        until(lambda: AnchorReceipt.objects.filter(anchor="worm").exists())
        assert not hanging.over.is_set()
        hanging.over.set()
        rounds.anchoring.stop()


def test_what_an_anchor_confirmed_makes_the_log_witnessed(key: SigningKey, file: FileAnchor, notices, listed) -> None:
    listed(f'[[anchor]]\nname = "worm"\nkind = "file"\npath = "{file.path}"\n')
    grow([key], 5)
    assert standing(LOG).anchors == [("worm", "file")]
    assert not standing(LOG).witnessed  # being configured is not having confirmed
    with as_role():
        rounds = run(file)
        rounds.turn()
        until(lambda: AnchorReceipt.objects.filter(anchor="worm", log=LOG).exists())
        rounds.anchoring.stop()
    (confirmed,) = standing(LOG).confirmations
    held = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert (confirmed.anchor, confirmed.kind) == ("worm", "file")
    assert {(confirmed.size, confirmed.root)} <= {(line["size"], line["root"]) for line in held}
    listed("")
    assert not standing(LOG).witnessed  # nor is having been configured once


def test_an_error_is_told_on_the_board_and_goes_when_it_is_over(key: SigningKey, notices, tmp_path: Path) -> None:
    grow([key], 5)
    away = FileAnchor("away", (LOG,), 0.0, tmp_path / "share" / "worm")
    with as_role():
        rounds = run(away)
        until(lambda: noticeboard.read().anchors.get("away", {}).get(LOG, noticeboard.Notice()).error)
        notice = noticeboard.read().anchors["away"][LOG]
        assert notice.error == "The file worm cannot be written: No such file or directory."
        away.path.parent.mkdir()
        for worker in rounds.anchoring._workers:
            worker.dealings[LOG].submit_at = 0.0
        rounds.anchoring.offer(LOG, 5)
        until(lambda: noticeboard.read().anchors["away"][LOG].error == "")
        rounds.anchoring.stop()
    assert AnchorReceipt.objects.get(anchor="away").size == 5


def test_the_interval_is_kept_and_a_tick_goes_at_once(key: SigningKey, notices, tmp_path: Path) -> None:
    sent: list[int] = []

    class Slow(Hanging):
        min_interval = 3_600.0

        def head(self, newest: Statement) -> Head | None:
            return None

        def submit(self, statement: Statement) -> Receipt:
            sent.append(statement.size)
            return Receipt("")

    grow([key], 2)
    with as_role():
        worker = anchoring.Anchoring([Slow()], {})
        worker.start(5.0)
        until(lambda: sent == [2])
    grow([key], 3)
    worker.offer(LOG, 3)
    grow([key], 4)
    worker.offer(LOG, 4)
    assert sent == [2]
    worker.offer(LOG, 4, flush=True)
    until(lambda: sent == [2, 4])
    worker.stop()


def test_after_a_restore_an_anchor_that_holds_more_stops_the_signing(
    key: SigningKey, file: FileAnchor, fresh_database: str, notices, signing_keys: Path
) -> None:
    grow([key], 5)
    with copy_of(fresh_database) as older:
        grow([key], 9)
        file.submit(newest())
        use(older)
        for mark in signing_keys.glob("*.signed"):
            mark.unlink()  # the folder of the keys was restored as well
        insert(5, 7)
        with as_role():
            rounds = run(file)
            rounds.turn()
            assert publisher.unsigned() == [LOG]
            sentence = standing(LOG).refusal
            rounds.anchoring.stop()
        assert sentence.startswith(
            "The anchor worm (file) holds another history of the log access. It holds size 9, and"
        )
        assert "After a restore" in sentence
        assert standing(LOG).overdue
        assert newest().size == 5


def test_after_a_restore_an_anchor_with_another_root_stops_the_signing(
    key: SigningKey, file: FileAnchor, fresh_database: str, notices, signing_keys: Path
) -> None:
    """The restored database has meanwhile grown past what the anchor holds."""
    grow([key], 5)
    with copy_of(fresh_database) as older:
        grow([key], 9)
        file.submit(newest())
        use(older)
        for mark in signing_keys.glob("*.signed"):
            mark.unlink()
        insert(5_000, 5_004)
        with as_role():
            assert sequence() == 9
        grow([key], 12)  # somebody has it signed with the file out of reach
        with as_role():
            rounds = run(file)
            rounds.turn()
            assert publisher.unsigned() == [LOG]
            assert "It holds another root at size 9 than the database." in standing(LOG).refusal
            rounds.anchoring.stop()


def test_the_mark_beside_the_key_stops_it_even_without_anchors(key: SigningKey, fresh_database: str, notices) -> None:
    with as_role():
        run().turn()  # its tick is the first entry
    with copy_of(fresh_database) as older:
        grow([key], 9)
        use(older)
        with as_role():
            rounds = run()
            rounds.turn()
            assert publisher.unsigned() == []  # there is nothing to sign, and it is noticed all the same
            assert "signed up to size 9, and the database holds only 1" in standing(LOG).refusal
        use(fresh_database)
        with as_role():
            rounds._due["examine"] = 0.0
            rounds.turn()
        assert standing(LOG).refusal == ""
