"""The chain of one object's events, and that what an auditor may take along needs no Django."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import chain
from audit.chain import Fault, Link

ROOT = Path(__file__).resolve().parents[2]


def leaf(number: int) -> bytes:
    return sha256(b"\x00%d" % number).digest()


def links(count: int) -> list[Link]:
    """Written out by hand, not with next_link: n from 1 on, prev the hex hash of the one before."""
    return [
        Link(n=number, prev=leaf(number - 1).hex() if number > 1 else None, leaf=leaf(number))
        for number in range(1, count + 1)
    ]


def test_the_first_event_counts_one_and_names_none() -> None:
    assert chain.next_link(None) == Link(n=1, prev=None, leaf=b"")


def test_the_next_event_counts_one_more_and_names_the_one_before() -> None:
    first = Link(n=1, prev=None).sealed(leaf(1))
    assert chain.next_link(first) == Link(n=2, prev="2215e8ac4e2b871c2a48189e79738c956c081e23ac2f2415bf77da199dfd920c")


def test_nothing_follows_an_event_whose_leaf_is_not_written() -> None:
    with pytest.raises(ValueError, match="has no leaf hash yet"):
        chain.next_link(Link(n=1, prev=None))
    with pytest.raises(ValueError, match="32 bytes long, not 31"):
        Link(n=1, prev=None).sealed(bytes(31))


@given(st.integers(0, 40))
def test_what_next_link_gives_passes_check(count: int) -> None:
    written: list[Link] = []
    for number in range(1, count + 1):
        written.append(chain.next_link(written[-1] if written else None).sealed(leaf(number)))
    assert written == links(count)
    assert chain.check(written) is None


@given(st.integers(1, 30), st.data())
def test_one_link_taken_out_is_named(count: int, choose: st.DataObject) -> None:
    place = choose.draw(st.integers(0, count - 1))
    cut = links(count)
    del cut[place]
    expected = Fault(place, f"Event {place + 1} is missing: event {place + 2} comes in its place.")
    assert chain.check(cut) == (expected if place < count - 1 else None)  # that the last is gone, no chain can show


@given(st.integers(1, 30), st.data())
def test_a_link_doubled_is_named(count: int, choose: st.DataObject) -> None:
    place = choose.draw(st.integers(0, count - 1))
    doubled = links(count)
    doubled.insert(place, doubled[place])
    assert chain.check(doubled) == Fault(place + 1, f"Event {place + 1} stands where event {place + 2} belongs.")


@given(st.integers(2, 30), st.data())
def test_an_event_rewritten_is_betrayed_by_the_one_after_it(count: int, choose: st.DataObject) -> None:
    place = choose.draw(st.integers(0, count - 2))
    changed = links(count)
    changed[place] = replace(changed[place], leaf=leaf(1000))
    assert chain.check(changed) == Fault(place + 1, f"Event {place + 2} does not name the event before it.")


def test_the_first_event_may_name_none() -> None:
    wrong = Link(n=1, prev="00" * 32, leaf=leaf(1))
    told = Fault(0, "Event 1 does not name the event before it.")
    assert chain.check([wrong]) == told
    assert chain.check([wrong], from_first=False) == told


def test_a_chain_that_begins_midway() -> None:
    tail = links(9)[4:]
    assert chain.check(tail) == Fault(0, "Event 1 is missing: event 5 comes in its place.")
    assert chain.check(tail, from_first=False) is None
    assert chain.check(tail, after=links(4)[-1]) is None
    assert chain.check(tail, after=links(3)[-1]) == Fault(0, "Event 4 is missing: event 5 comes in its place.")


def test_a_link_without_its_hash_is_a_fault() -> None:
    assert chain.check([Link(n=1, prev=None)]) == Fault(0, "Event 1 has no leaf hash.")


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("django", "psycopg", "celery"):
            raise ImportError(name + " is not for this module")

sys.meta_path.insert(0, Blocker())
import importlib
importlib.import_module("audit." + sys.argv[1])
assert not any(name.partition(".")[0] in ("django", "psycopg", "celery") for name in sys.modules)
"""


@pytest.mark.parametrize("module", ["canonical", "chain", "disclosure", "merkle", "note", "verify"])
def test_the_pure_modules_import_without_django(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, module], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_blocker_blocks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "models"], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert "django is not for this module" in done.stderr
