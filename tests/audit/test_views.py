"""The views of entries: required attributes, one mapping in two ways, and nothing that a spreadsheet runs."""

import base64
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import canonical, merkle, views
from audit.step import Step
from audit.views import FILES, Views

ORIGIN = "plimsoll.example.org/audit/admin"


def leaf_of(**changes: Any) -> bytes:
    event = {
        "v": 1,
        "id": "018f0000-0000-7000-8000-000000000001",
        "log": "admin",
        "time": "2025-01-02T03:04:05.678901Z",
        "action": "model_version.create",
        "outcome": "success",
        "actor": {"type": "user", "ref": "p:0a1b", "auth": "session", "_sd": ["xyz"]},
        "object": {"type": "model_version", "id": "m-1", "n": 3, "prev": "ab" * 32},
        "request": {"id": "r1", "_sd": ["d"]},
        "change": {"after": {"stage": "Production"}},
        **changes,
    }
    return canonical.encode({name: value for name, value in event.items() if value is not None})


def step_of(leaves: list[bytes], start: int = 5, **more: Any) -> Step:
    hashes = b"".join(map(merkle.leaf_hash, leaves))
    return Step(range(start, start + len(leaves)), hashes, b"", b"".join(leaf + b"\n" for leaf in leaves), **more)


def written(*leaves: bytes, chosen: tuple[str, ...] = tuple(FILES), log: str = "admin") -> dict[str, bytes]:
    return Views(log, ORIGIN, chosen, "9.9").of(step_of(list(leaves)))


def table(*leaves: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written(*leaves)["events.csv"].decode(), newline="")))


def test_a_row_of_the_table() -> None:
    assert table(leaf_of()) == [
        [
            "5", "2025-01-02T03:04:05.678901Z", "admin", "018f0000-0000-7000-8000-000000000001", "model_version.create",
            "success", "user", "p:0a1b", "model_version", "m-1", "3", "", merkle.leaf_hash(leaf_of()).hex(), "no",
        ]
    ]  # fmt: skip
    assert len(views.COLUMNS) == 14


def test_an_event_in_ocsf() -> None:
    leaf = leaf_of(outcome="denied", reason_code="role_missing")
    assert json.loads(written(leaf)["events.ocsf.ndjson"]) == {
        "activity_id": 1,
        "actor": {"user": {"type": "user", "type_id": 1, "uid": "p:0a1b"}},
        "category_uid": 3,
        "class_uid": 3004,
        "entity": {"type": "model_version", "type_id": 99, "uid": "m-1"},
        "metadata": {
            "event_code": "model_version.create",
            "log_name": ORIGIN,
            "original_time": "2025-01-02T03:04:05.678901Z",
            "product": {"name": "Plimsoll", "vendor_name": "Plimsoll", "version": "9.9"},
            "sequence": 5,
            "uid": "018f0000-0000-7000-8000-000000000001",
            "version": "1.3.0",
        },
        "severity_id": 1,
        "status": "Failure",
        "status_code": "role_missing",
        "status_id": 2,
        "time": 1735787045678,
        "type_uid": 300401,
        "unmapped": {"authoritative": False, "leaf_hash": merkle.leaf_hash(leaf).hex()},
    }


@pytest.mark.parametrize(
    ("action", "activity"),
    [
        ("registered_model.create", 1), ("evidence.view", 2), ("trail.export", 2), ("alias.set", 3),
        ("model_version.transition_stage", 3), ("token.revoke", 4), ("privacy.erase", 4), ("promotion.decide", 99),
    ],
)  # fmt: skip
def test_the_activity_of_an_action(action: str, activity: int) -> None:
    event = json.loads(written(leaf_of(action=action))["events.ocsf.ndjson"])
    assert (event["activity_id"], event["type_uid"]) == (activity, 300400 + activity)
    assert event.get("activity_name") == (action if activity == 99 else None)


def test_a_cloud_event_holds_the_leaf_byte_for_byte() -> None:
    line = written(leaf_of())["events.cloudevents.ndjson"]
    assert line.endswith(b',"data":' + leaf_of() + b"}\n")
    event = json.loads(line)
    assert event.pop("data") == json.loads(leaf_of())
    assert event == {
        "specversion": "1.0",
        "id": "018f0000-0000-7000-8000-000000000001",
        "source": ORIGIN,
        "type": "org.plimsoll.audit.model_version.create",
        "subject": "model_version/m-1",
        "time": "2025-01-02T03:04:05.678901Z",
        "datacontenttype": "application/json",
        "authoritative": False,
        "leafhash": merkle.leaf_hash(leaf_of()).hex(),
        "sequence": "0000000000000005",
    }


TEXT = st.one_of(
    st.sampled_from(["m-1", "a b", "=1+1", "-x", "@SUM(A1)", "a,b", 'say "no"', "back\\slash", "tab\tx", "\rx", "é", "",
                     '","log":"admin', "x\u2028y", "'x"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
)  # fmt: skip


def nfc(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)


@settings(deadline=None, max_examples=150)
@given(TEXT.map(nfc), TEXT.map(nfc), st.sampled_from(["admin", "access"]), TEXT.map(nfc), st.booleans())
def test_cutting_and_parsing_give_the_same_lines(
    object_id: str, label: str, log: str, reason: str, first: bool
) -> None:
    chain = {} if log == "access" else {"n": 1, "prev": None} if first else {"n": 2, "prev": "cd" * 32}
    leaf = leaf_of(
        log=log,
        object={"type": "model_version", "id": object_id, **chain},
        change={"on": label, "after": {"id": "x", "log": "admin", "object": {"id": "y"}, "note": label}},
        reason_code=reason or None,
        _sd=["q"] if first else None,
        policy={"id": "p", "rev": 3} if first else None,
        request={"id": "r"} if first else {"id": "r", "_sd": ["a", "b"]},
    )
    usual = Views(log, ORIGIN, FILES, "9.9").of(step_of([leaf]))
    mark = merkle.leaf_hash(leaf).hex()
    parsed = {
        FILES[name]: Views(log, ORIGIN, FILES, "9.9")._parsed(name, 5, mark, leaf, json.loads(leaf)) for name in FILES
    }
    assert usual == parsed
    (row,) = csv.reader(io.StringIO(usual["events.csv"].decode(), newline=""))
    assert not row[9].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert row[9].removeprefix("'") == object_id or row[9] == object_id


def test_usual_leaves_are_not_parsed() -> None:
    usual = [
        leaf_of(),
        leaf_of(_sd=["x"]),
        leaf_of(object={"type": "t", "id": "m", "n": 1, "prev": None}),
        leaf_of(policy={"id": "p", "rev": 1}, reason_code="x"),
    ]
    assert len(Views("admin", ORIGIN, FILES, "")._usual(step_of(usual), ["ab"] * 4) or []) == 4
    assert Views("admin", ORIGIN, FILES, "")._usual(step_of([*usual, leaf_of(outcome="a,b")]), ["ab"] * 5) is None


def test_one_unusual_entry_changes_nothing_in_the_others() -> None:
    odd = leaf_of(object={"type": "model_version", "id": "=cmd()", "n": 1, "prev": None})
    together = written(leaf_of(), odd, leaf_of())
    assert [row[9] for row in table(leaf_of(), odd, leaf_of())] == ["m-1", "'=cmd()", "m-1"]
    for file, lines in together.items():
        assert lines.count(b"\n") == 3, file
        assert lines.startswith(written(leaf_of())[file])


def test_a_leaf_that_is_damaged_or_gone() -> None:
    good = leaf_of()
    damaged = [b"\xff not json", good.replace(b"success", b"denied!")]
    hashes = b"".join(map(merkle.leaf_hash, [good, good, good, good]))
    step = Step(
        range(4), hashes, b"", b"".join(leaf + b"\n" for leaf in [good, *damaged]), frozenset({1}), frozenset({2, 3})
    )
    found = Views("admin", ORIGIN, FILES, "9.9").of(step)
    rows = list(csv.reader(io.StringIO(found["events.csv"].decode(), newline="")))
    assert [(row[0], row[5], row[12]) for row in rows] == [
        ("0", "success", hashes[:32].hex()), ("2", "", hashes[:32].hex()), ("3", "denied!", hashes[:32].hex()),
    ]  # fmt: skip
    events = [json.loads(line) for line in found["events.cloudevents.ndjson"].splitlines()]
    assert base64.b64decode(events[1]["data_base64"]) == damaged[0]
    assert events[1]["datacontenttype"] == "application/octet-stream"
    assert events[2]["data"]["outcome"] == "denied!"
    assert len(found["events.ocsf.ndjson"].splitlines()) == 3


def test_only_the_chosen_views() -> None:
    assert written(leaf_of(), chosen=()) == {}
    assert list(written(leaf_of(), chosen=("csv",))) == ["events.csv"]
