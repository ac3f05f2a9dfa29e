"""Ticks: one an hour in each log, also when nothing happens, each saying what was signed. These tests commit."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from audit import clock, merkle, publisher, sequencer, ticks
from audit.events import LOGS
from audit.models import Event
from audit.note import parse_checkpoint, parse_note
from tests.audit.signed_log import as_role, grow, newest_note

NOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch):
    """Set the one clock."""

    def set_to(instant: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: instant)

    set_to(NOON)
    return set_to


def leaves(log: str) -> list[dict]:
    rows = Event.objects.filter(log=log, action="audit.tick").order_by("recorded_at")
    return [json.loads(bytes(row.leaf_data)) for row in rows]


def test_the_first_round_ticks_in_each_log_and_the_next_ones_wait_for_the_hour(fresh_database: str, at) -> None:
    hours = ticks.Hours()
    with as_role():
        struck = []
        for minutes in (0, 1, 59, 60, 61, 119, 120, 400):
            at(NOON + timedelta(minutes=minutes))
            struck.append((minutes, hours.strike()))
    both = ["admin", "access"]
    assert struck == [(0, both), (1, []), (59, []), (60, both), (61, []), (119, []), (120, both), (400, both)]
    assert {log: len(leaves(log)) for log in LOGS} == {"admin": 4, "access": 4}


def test_asking_between_ticks_costs_no_query(fresh_database: str, at, django_assert_num_queries) -> None:
    hours = ticks.Hours()
    with as_role():
        hours.strike()
        at(NOON + timedelta(minutes=59))
        with django_assert_num_queries(0):
            assert hours.strike() == []


def test_a_new_process_does_not_tick_again_within_the_hour(fresh_database: str, at) -> None:
    with as_role():
        assert ticks.Hours().strike() == ["admin", "access"]
        at(NOON + timedelta(minutes=40))
        restarted = ticks.Hours()
        assert restarted.strike() == []
        at(NOON + timedelta(minutes=60))
        assert restarted.strike() == ["admin", "access"]
        at(NOON + timedelta(minutes=180))
        assert ticks.Hours().strike() == ["admin", "access"]


def test_a_clock_that_was_ahead_does_not_silence_the_ticks_for_long(fresh_database: str, at) -> None:
    with as_role():
        at(NOON + timedelta(days=30))
        ticks.Hours().strike()
        at(NOON)
        hours = ticks.Hours()
        assert hours.strike() == []
        assert all(due <= NOON + timedelta(hours=1) for due in hours._next.values())


def test_what_a_tick_says(fresh_database: str, at) -> None:
    with as_role():
        keys = publisher.signing_keys()
        ticks.tick("access")
        assert sequencer.step("access") == 1
    grow(keys["access"], 7)
    at(NOON + timedelta(hours=1))
    with as_role():
        ticks.tick("access")
        ticks.tick("admin")
    signed = parse_checkpoint(parse_note(newest_note("access"))[0])
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing
    first, second = leaves("access")
    assert first["change"] == {"after": {"signed_size": 0, "root": empty}}
    assert second["change"] == {"after": {"signed_size": 7, "root": signed.root.hex()}}
    assert second["time"] == clock.rfc3339(NOON + timedelta(hours=1))
    for leaf, log in ((second, "access"), (leaves("admin")[0], "admin")):
        assert leaf["log"] == log
        assert leaf["actor"] == {"type": "system", "ref": "system", "auth": "system"}
        assert (leaf["object"]["type"], leaf["object"]["id"]) == ("log", log)
        assert (leaf["action"], leaf["outcome"]) == ("audit.tick", "success")
    assert "n" not in second["object"]  # the log of reads keeps no chains
    assert leaves("admin")[0]["object"]["n"] == 1


def test_ticks_are_entries_like_all_others(fresh_database: str, at) -> None:
    """They are chained in the log of changes, sequenced and signed."""
    with as_role():
        for hour in range(3):
            at(NOON + timedelta(hours=hour))
            ticks.tick("admin")
        while sequencer.step("admin"):
            pass
        assert publisher.publish("admin", publisher.signing_keys()["admin"]) == 3
    rows = list(Event.objects.filter(log="admin").order_by("object_n"))
    told = [json.loads(bytes(row.leaf_data)) for row in rows]
    assert [leaf["object"]["n"] for leaf in told] == [1, 2, 3]
    for (before, _), (_, leaf) in pairwise(zip(rows, told, strict=True)):
        assert leaf["object"]["prev"] == merkle.leaf_hash(bytes(before.leaf_data)).hex()
