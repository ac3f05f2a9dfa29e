"""The log over HTTP, as a monitor and as an auditor meet it: files, headers, permissions, what is recorded."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from access import actions
from access.roles import Role
from audit import merkle
from audit.actors import SYSTEM
from audit.models import Event
from audit.note import COSIGNATURE, SigningKey, Verifier, open_note, parse_checkpoint
from tests import factories
from tests.audit import grown_log
from tests.audit.grown_log import as_role, leaf_of

SIZES = (300, 600)


def client_of(*roles: Role) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=factories.account(*roles), name="test")
    return Client(headers={"Authorization": f"Bearer {secret}", "Host": "localhost"}, raise_request_exception=False)


@pytest.fixture
def key(fresh_database: str) -> SigningKey:
    """The key of a log of reads, signed at 300 and at 600 entries."""
    made = grown_log.a_key()
    grown_log.grow(made, *SIZES)
    return made


@pytest.fixture
def auditor(key: SigningKey) -> Client:
    return client_of(Role.AUDITOR)


def tree() -> merkle.MemoryTree:
    return merkle.MemoryTree([merkle.leaf_hash(leaf_of(number)) for number in range(SIZES[-1])])


def test_the_checkpoint_is_the_newest_signed_note_and_must_be_asked_for_again(auditor: Client, key: SigningKey) -> None:
    answer = auditor.get("/log/access/checkpoint")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer["Cache-Control"] == "private, no-cache"
    text, _ = open_note(answer.content, [Verifier.parse(key.verifier)])
    assert parse_checkpoint(text).size == 600
    assert parse_checkpoint(text).root == tree().root()
    older, _ = open_note(auditor.get("/log/access/checkpoint?size=300").content, [Verifier.parse(key.verifier)])
    assert parse_checkpoint(older).root == tree().root(300)
    assert auditor.get("/log/access/checkpoint?size=301").status_code == 404


def test_cosignatures_of_that_size_stand_under_the_checkpoint(auditor: Client, key: SigningKey) -> None:
    lines = [f"— witness{n}.example {base64.b64encode(bytes([n]) * 76).decode()}" for n in (2, 1)]
    with as_role(), connection.cursor() as cursor:
        for size, line in ((600, lines[0]), (600, lines[1] + "\n"), (300, "— other.example AAAAAAAA")):
            cursor.execute("INSERT INTO audit_cosignature (log, size, line) VALUES ('access', %s, %s)", [size, line])
    plain = auditor.get("/log/access/checkpoint").content.decode()
    assert plain.splitlines()[-2:] == [lines[1], lines[0]]
    assert plain.endswith("\n")
    assert open_note(plain, [Verifier.parse(key.verifier)])[1] == [key.name]
    assert "other.example" not in plain
    assert COSIGNATURE == 4


TILES = {
    "0/000": (0, 256),
    "0/001.p/44": (256, 300),
    "0/001": (256, 512),
    "0/002.p/88": (512, 600),
    "0/002.p/1": (512, 513),
}


def test_tiles_are_immutable_bytes_for_those_who_may_read(auditor: Client) -> None:
    for path, (first, last) in TILES.items():
        answer = auditor.get(f"/log/access/tile/{path}")
        assert answer.content == b"".join(merkle.leaf_hash(leaf_of(number)) for number in range(first, last))
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/octet-stream")
        assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
        assert {"Authorization", "Cookie"} <= set(answer["Vary"].split(", "))
        assert answer["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
    assert auditor.get("/log/access/tile/1/000.p/2").content == tree().node(8, 0) + tree().node(8, 1)


def test_an_entry_bundle_holds_the_leaves_and_is_compressed_for_who_can_read_that(auditor: Client) -> None:
    plain = auditor.get("/log/access/tile/entries/002.p/88", headers={"Accept-Encoding": "identity"})
    entries, rest = [], plain.content
    while rest:
        length = int.from_bytes(rest[:2], "big")
        entries.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    assert entries == [leaf_of(number) for number in range(512, 600)]
    packed = auditor.get("/log/access/tile/entries/002.p/88", headers={"Accept-Encoding": "br, gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert packed["ETag"] != plain["ETag"]
    assert "Accept-Encoding" in packed["Vary"]
    assert "Content-Encoding" not in plain.headers


def test_one_entry_is_its_leaf(auditor: Client) -> None:
    answer = auditor.get("/log/access/entry/599")
    assert answer.content == leaf_of(599)
    assert answer["Content-Type"] == "application/json"
    assert auditor.get("/log/access/entry/600").status_code == 404


def proof_parts(text: str) -> tuple[int, list[bytes], str]:
    """Index, hashes and checkpoint of a .tlog-proof."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("index ")
    return int(lines[1][6:]), [base64.b64decode(line) for line in lines[2:]], note


def test_a_proof_file_can_be_verified_alone(auditor: Client, key: SigningKey) -> None:
    for index, query, size in ((0, "", 600), (599, "", 600), (299, "?size=300", 300), (256, "", 600)):
        answer = auditor.get(f"/log/access/proof/{index}{query}")
        assert answer["Content-Disposition"] == f'attachment; filename="access-{index}.tlog-proof"'
        said, hashes, note = proof_parts(answer.content.decode())
        checkpoint = parse_checkpoint(open_note(note, [Verifier.parse(key.verifier)])[0])
        assert (said, checkpoint.size) == (index, size)
        assert merkle.verify_inclusion(merkle.leaf_hash(leaf_of(index)), index, size, hashes, checkpoint.root)


def test_two_sizes_of_the_log_are_consistent_signed_or_not(auditor: Client) -> None:
    for old, new in ((1, 600), (299, 301), (300, 600), (600, 600), (1, 1), (256, 512), (511, 513)):
        said = auditor.get(f"/log/access/consistency?from={old}&to={new}").json()
        assert (said["from"], said["to"]) == (old, new)
        hashes = [bytes.fromhex(each) for each in said["hashes"]]
        assert merkle.verify_consistency(old, new, tree().root(old), tree().root(new), hashes)
        rest = auditor.get(f"/api/v1/trail/logs/access/consistency/?from={old}&to={new}").json()
        assert rest == {"log": "access", **said}


def test_consistency_as_text_is_what_a_witness_takes(auditor: Client) -> None:
    asked = {"Accept": "text/plain"}
    signed = auditor.get("/log/access/consistency?from=300&to=600", headers=asked)
    assert signed["Content-Type"] == "text/plain; charset=utf-8"
    head, _, note = signed.content.decode().partition("\n\n")
    assert note == auditor.get("/log/access/checkpoint").content.decode()
    old, *hashes = head.split("\n")
    assert old == "old 300"
    hexed = auditor.get("/log/access/consistency?from=300&to=600").json()["hashes"]
    assert [base64.b64decode(each).hex() for each in hashes] == hexed
    unsigned = auditor.get("/log/access/consistency?from=300&to=599", headers=asked).content.decode()
    assert unsigned.startswith("old 300\n")
    assert "— " not in unsigned


def test_only_what_is_signed_is_served(auditor: Client) -> None:
    grown_log.insert(600, 700)
    with as_role():
        from audit import sequencer

        while sequencer.step("access"):
            pass
    for path in ("tile/0/002.p/89", "tile/entries/002.p/89", "entry/600", "proof/600"):
        assert auditor.get(f"/log/access/{path}").status_code == 404, path
    assert auditor.get("/log/access/consistency?from=600&to=601").status_code == 400
    assert parse_checkpoint(auditor.get("/log/access/checkpoint").content.decode().split("\n\n")[0] + "\n").size == 600


def test_a_proof_that_does_not_lead_to_the_signed_root_is_not_given_out(auditor: Client) -> None:
    with as_role("PLIMSOLL_DB_OWNER"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_tile DISABLE TRIGGER audit_append_only")
        cursor.execute("UPDATE audit_tile SET hashes = set_byte(hashes, 5, 255 - get_byte(hashes, 5)) WHERE idx = 0")
    for address in ("/log/access/proof/9", "/log/access/proof/0?size=300"):
        answer = auditor.get(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_damaged")


def test_a_log_without_a_signature_says_so(auditor: Client) -> None:
    for path in ("checkpoint", "tile/0/000.p/1", "entry/0", "proof/0", "consistency?from=1&to=1"):
        answer = auditor.get(f"/log/admin/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "nothing_signed")
    assert auditor.get("/log/admin/minimum-index").content == b"0\n"


def test_dropped_entries_are_gone_with_the_index_from_which_on_there_are_some(auditor: Client) -> None:
    with as_role("PLIMSOLL_DB_OWNER"), connection.cursor() as cursor:
        insert = "INSERT INTO audit_minimum (log, minimum_index, event_id) VALUES ('access', 256, %s)"
        cursor.execute(insert, [grown_log.id_of(0)])
        cursor.execute("SELECT relid::regclass::text FROM pg_partition_tree('audit_event') WHERE isleaf")
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER audit_append_only")
        cursor.execute("DELETE FROM audit_event WHERE log = 'access' AND id < %s", [grown_log.id_of(256)])
    assert auditor.get("/log/access/minimum-index").content == b"256\n"
    for path in ("tile/entries/000", "tile/entries/000.p/9", "entry/0", "entry/255"):
        answer = auditor.get(f"/log/access/{path}")
        assert answer.status_code == 410
        assert answer.json()["error"]["details"] == {"minimum_index": 256}
    for path in ("tile/0/000", "proof/0", "entry/256", "tile/entries/001"):
        assert auditor.get(f"/log/access/{path}").status_code == 200


# -- who --------------------------------------------------------------------------------------------------------------

ADDRESSES = (
    "/log/access/checkpoint", "/log/access/minimum-index", "/log/access/tile/0/000", "/log/access/tile/entries/000",
    "/log/access/entry/0", "/log/access/proof/0", "/log/access/consistency?from=1&to=2",
    "/api/v1/trail/logs/access/consistency/?from=1&to=2",
)  # fmt: skip


def test_only_readers_of_the_trail_get_any_of_it(auditor: Client) -> None:
    for role, status in (
        (Role.AUDITOR, 200), (Role.COMPLIANCE_OFFICER, 200), (Role.ADMINISTRATOR, 200), (Role.VIEWER, 403),
        (Role.DATA_SCIENTIST, 403), (Role.REVIEWER, 403), (Role.RISK_OWNER, 403), (Role.SERVICE, 403),
    ):  # fmt: skip
        client = client_of(role)
        assert {address: client.get(address).status_code for address in ADDRESSES} == dict.fromkeys(ADDRESSES, status)
    stranger = Client(headers={"Host": "localhost"})
    for address in ADDRESSES:
        answer = stranger.get(address)
        assert (answer.status_code, answer["WWW-Authenticate"][:5]) == (401, "Basic")
        assert answer.json()["error"]["sentence"] == "Sign in to read the trail."


def test_basic_and_a_session_open_it_too(key: SigningKey) -> None:
    user = actions.create_user(by=SYSTEM, username="ada", password=factories.PASSWORD)
    actions.grant_role(by=SYSTEM, user=user, role=Role.AUDITOR)
    basic = base64.b64encode(f"ada:{factories.PASSWORD}".encode()).decode()
    assert Client().get("/log/access/checkpoint", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    browser = Client(headers={"Host": "localhost"})
    assert browser.post("/sign-in/", {"username": "ada", "password": factories.PASSWORD}).status_code == 302
    assert browser.get("/log/access/checkpoint").status_code == 200


def reads_recorded() -> list[dict[str, Any]]:
    events = Event.objects.filter(action="trail.view", outcome="success").order_by("recorded_at")
    return [json.loads(bytes(event.leaf_data)) for event in events]


def test_reading_entries_is_recorded_once_an_hour_and_hashes_are_not(auditor: Client) -> None:
    for path in ("checkpoint", "tile/0/000", "proof/0", "consistency?from=1&to=2", "minimum-index", "entry/9999"):
        auditor.get(f"/log/access/{path}")
    assert reads_recorded() == []
    for path in ("tile/entries/000", "tile/entries/001", "entry/5", "tile/entries/000"):
        assert auditor.get(f"/log/access/{path}").status_code == 200
    (leaf,) = reads_recorded()
    assert leaf["object"] == {"type": "trail", "id": "access"}
    assert client_of(Role.AUDITOR).get("/log/access/entry/5").status_code == 200
    assert len(reads_recorded()) == 2


def test_an_entry_is_not_given_out_when_the_reading_cannot_be_recorded(auditor: Client, monkeypatch) -> None:
    from audit import trail

    monkeypatch.setattr(trail, "append", lambda draft: 1 / 0)
    for path in ("tile/entries/000", "entry/0"):
        answer = auditor.get(f"/log/access/{path}")
        assert answer.status_code == 500
        assert leaf_of(0) not in answer.content


# -- what hostile callers send ----------------------------------------------------------------------------------------

NUMBERS = (
    "", "-1", "+1", "01", "00", "1.0", "1e3", "0x1", " 1", "1 ", "1%0A", "%D9%A1", "%EF%BC%91", "%C2%B2", "9" * 19,
    "9223372036854775808", "9" * 5000, "one", "null", "NaN", "1_000", "1,000", "%00", "%FF", "%ED%A0%80", "1;2",
    "..", "%2e%2e", "'", "%F0%9F%92%A5",
)  # fmt: skip
PATHS = (
    "/log/", "/log/access", "/log/access/", "/log//checkpoint", "/log/nosuch/checkpoint",
    "/log/ACCESS/checkpoint", "/log/access%20/checkpoint", "/log/access%00/checkpoint", "/log/%D0%B0ccess/checkpoint",
    "/log/access/checkpoint/", "/log/access/../admin/checkpoint", "/log/access%2F..%2Fadmin/checkpoint",
    "/log/access/%2e%2e/checkpoint", "/log/access/checkpoint%2F", "/log/access/checkpoint.txt", "/log/checkpoint",
    "/log/access/tile", "/log/access/tile/", "/log/access/tile/0", "/log/access/tile/0/", "/log/access/tile/0/0",
    "/log/access/tile/0/000/", "/log/access/tile/64/000", "/log/access/tile/-1/000", "/log/access/tile/0/-01",
    "/log/access/tile/00/000", "/log/access/tile/0/x000/000", "/log/access/tile/0/000.p", "/log/access/tile/0/000.p/",
    "/log/access/tile/0/000.p/0", "/log/access/tile/0/000.p/256", "/log/access/tile/0/000.p/%D9%A1",
    "/log/access/tile/0/%D9%A0%D9%A0%D9%A0", "/log/access/tile/0/..%2f000", "/log/access/tile/0/../0/000",
    "/log/access/tile/0//000", "/log/access/tile//0/000", "/log/access/tile/0/003.p/1", "/log/access/tile/0/002",
    "/log/access/tile/63/000.p/1", "/log/access/tile/0/" + "x999/" * 6 + "999", "/log/access/tile/0/" + "x999/" * 400,
    "/log/access/tile/0/" + "9" * 6000, "/log/access/tile/entries", "/log/access/tile/entries/",
    "/log/access/tile/entries/0", "/log/access/tile/entries/003.p/1", "/log/access/tile/entries/000.p/0",
    "/log/access/tile/entries/000%0A", "/log/access/tile/data/000", "/log/access/tile/0/000%00", "/log/access/entry",
    "/log/access/entry/", "/log/access/entry/0/", "/log/access/entry/600", "/log/access/proof", "/log/access/proof/0/",
    "/log/access/proof/600", "/log/access/consistency/", "/log/access/%FF", "/log/access/tile/%FF/000",
)  # fmt: skip
QUERIES = (
    "checkpoint?size", "checkpoint?size=", "checkpoint?size=0&size=300", "checkpoint?sise=300", "checkpoint?%00=1",
    "proof/0?to=1", "tile/0/000?x=1", "entry/0?size=300", "consistency", "consistency?from=1", "consistency?to=1",
    "consistency?from=0&to=1", "consistency?from=0&to=0", "consistency?from=2&to=1", "consistency?from=1&to=601",
    "consistency?from=601&to=601", "consistency?from=1&to=2&from=1", "consistency?from=1&to=2&log=admin",
    "consistency?FROM=1&TO=2",
)  # fmt: skip


def hostile() -> Iterator[str]:
    yield from PATHS
    for query in QUERIES:
        yield f"/log/access/{query}"
    for text in NUMBERS:
        yield f"/log/access/checkpoint?size={text}"
        yield f"/log/access/proof/0?size={text}"
        yield f"/log/access/consistency?from={text}&to=600"
        yield f"/log/access/consistency?from=1&to={text}"
        yield f"/api/v1/trail/logs/access/consistency/?from={text}&to=600"
        if text:
            yield f"/log/access/proof/{text}"
            yield f"/log/access/entry/{text}"


def test_nothing_hostile_gets_in_or_breaks_anything(auditor: Client) -> None:
    wrong = []
    for address in hostile():
        answer = auditor.get(address)
        said = answer.json().get("error", {}) if answer["Content-Type"].startswith("application/json") else {}
        if answer.status_code not in (400, 404) or not said.get("sentence", "").endswith((".", "!")):
            wrong.append((address[:90], answer.status_code, answer.content[:80]))
    assert wrong == []
    assert len(list(hostile())) > 250


def test_a_log_answers_to_get_and_head_only(auditor: Client) -> None:
    browser = Client(enforce_csrf_checks=True, headers={"Host": "localhost"})
    for address in ADDRESSES[:7]:
        for client in (auditor, browser):
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
                answer = client.generic(method, address)
                assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD"), (method, address)
                assert answer.json()["error"]["code"] == "method_not_allowed"
        head, full = auditor.head(address), auditor.get(address)
        assert (head.status_code, head.content) == (200, b"")
        assert head["ETag"] == full["ETag"]


CONDITIONS = ("*", '"x"', 'W/"x"', "x" * 9000, '"', "\u00e9", ", ,", '"a", "b"')


def test_conditional_requests_of_every_kind(auditor: Client) -> None:
    for address in ADDRESSES[:7]:
        etag = auditor.get(address)["ETag"]
        for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = auditor.get(address, headers={"If-None-Match": given})
            assert (answer.status_code, answer.content) == (304, b""), (address, given)
            assert answer["ETag"] == etag
    for address in ADDRESSES[2:4]:
        for name in ("If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"):
            for given in CONDITIONS:
                assert auditor.get(address, headers={name: given}).status_code in (200, 304, 412), (name, given)
