"""Parties outside: how they are configured, and how the sequencer deals with them. These tests commit."""

import json
import threading
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from audit import anchoring, anchors, clock, noticeboard, publisher
from audit.anchors import Anchor, AnchorError, Head, Receipt, Statement
from audit.anchors.file import FileAnchor
from audit.models import AnchorReceipt
from audit.note import SigningKey
from audit.rounds import Rounds
from audit.standing import standing
from tests.audit.signed_log import as_role, copy_of, grow, insert, newest, root, sequence, until, use

LOG = "access"


# -- configuration ---------------------------------------------------------------------------------------------------


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


def run(*configured: Anchor) -> Rounds:
    """Rounds as the sequencer's process makes them, without the waiting."""
    return Rounds(configured, patience=0.5)


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


def test_a_confirmation_of_another_root_is_none(key: SigningKey, listed, notices) -> None:
    """A receipt that a restored database brought along, or that somebody wrote into it."""
    listed('[[anchor]]\nname = "worm"\nkind = "file"\npath = "/srv/worm"\n')
    grow([key], 3, 5)
    rows = {"log": LOG, "anchor": "worm", "receipt": "", "made_at": clock.now()}
    with as_role():
        AnchorReceipt.objects.bulk_create([AnchorReceipt(kind="file", size=5, root=bytes(32), **rows)])
        assert not standing(LOG).witnessed
        AnchorReceipt.objects.bulk_create([AnchorReceipt(kind="git", size=4, root=root(4), **rows)])
        assert not standing(LOG).witnessed
        AnchorReceipt.objects.bulk_create([AnchorReceipt(kind="file", size=3, root=root(3), **rows)])
    assert [each.size for each in standing(LOG).confirmations] == [3]


def test_a_tick_is_handed_over_at_once(key: SigningKey, notices, monkeypatch: pytest.MonkeyPatch) -> None:
    with as_role():
        rounds = run()
        offered: list[tuple[str, int, bool]] = []
        monkeypatch.setattr(rounds.anchoring, "offer", lambda log, size, *, flush: offered.append((log, size, flush)))
        rounds.turn()
        insert(1, 3)
        rounds.turn()
    assert offered == [("admin", 1, True), ("access", 1, True), ("access", 3, False)]


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
