"""A writer that expects where a chain ends and who the actor is: right or wrong, the trail comes out the same."""

import json
import threading
from collections.abc import Iterator

import pytest
from django.db import connection, connections, transaction

from access.authenticate import actor_of
from access.erasing import LegalBasis, erase_person
from access.roles import Role
from audit import chain, door, expected, rows
from audit.actors import SYSTEM, Actor
from audit.events import Action
from audit.expected import End
from audit.models import Disclosure, Event, Pseudonym
from audit.subjects import Subject
from tests import factories

CREDIT = Subject(type="registered_model", id="credit")


@pytest.fixture(autouse=True)
def own_database(fresh_database: str) -> Iterator[None]:
    expected.forget()
    yield
    expected.forget()
    connections["eraser"].close()


def write(number: int = 0, by: Actor = SYSTEM) -> None:
    with door.open(by, Action.JOB_FAIL, on=CREDIT) as entry:
        entry.record(after={"number": number})


def faults() -> chain.Fault | None:
    """Whether the chain holds, computed from the leaves alone."""
    events = Event.objects.filter(object_type=CREDIT.type, object_id=CREDIT.id).order_by("object_n")
    said = [(json.loads(bytes(event.leaf_data))["object"], bytes(event.leaf_hash)) for event in events]
    return chain.check(chain.Link(n=each["n"], prev=each["prev"], leaf=leaf) for each, leaf in said)


def count() -> int:
    return Event.objects.filter(object_id=CREDIT.id).count()


def test_the_second_append_expects_the_first() -> None:
    assert rows.likely("admin", CREDIT, SYSTEM) is None
    write()
    likely = rows.likely("admin", CREDIT, SYSTEM)
    first = Event.objects.get(object_id=CREDIT.id)
    assert likely is not None
    assert (likely.n, likely.prev, likely.last) == (
        2,
        bytes(first.leaf_hash).hex(),
        End(1, bytes(first.leaf_hash)),
    )
    write()
    assert (count(), faults()) == (2, None)


@pytest.mark.parametrize("stale", [End(1, b"\x01" * 32), End(2, b"\x01" * 32), End(9, b"\x01" * 32)])
def test_a_chain_that_ends_elsewhere_is_continued_where_it_ends(stale: End) -> None:
    write()
    write()
    expected.keep_end(CREDIT, stale)
    write()
    assert (count(), faults()) == (3, None)


def test_what_was_rolled_back_is_expected_in_vain() -> None:
    write()
    with transaction.atomic():
        door.trail.append(door.trail.Draft(SYSTEM, Action.JOB_FAIL, "success", CREDIT, {"after": {"n": 1}}))
        transaction.set_rollback(True)
    likely = rows.likely("admin", CREDIT, SYSTEM)
    assert likely is not None
    assert likely.n == 3
    write()
    assert (count(), faults()) == (2, None)


def test_threads_on_one_object_make_one_chain() -> None:
    def many() -> None:
        for number in range(12):
            write(number)
        connection.close()

    threads = [threading.Thread(target=many) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (count(), faults()) == (72, None)


def test_an_erased_person_is_not_met_again_under_the_old_key() -> None:
    ada = factories.account(Role.DATA_SCIENTIST, username="ada")
    by = actor_of(ada, "session", ip="192.0.2.7")
    write_as(by)
    write_as(by)
    person = expected.person(by)
    assert person is not None
    assert person.ref == Pseudonym.objects.get(account=str(ada.pk)).ref
    erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.NO_LONGER_NECESSARY)
    write_as(by)  # a request that was under way while the person was erased
    assert not Disclosure.objects.filter(subject_id=person.ref).exists()
    newest = Event.objects.filter(object_id=CREDIT.id).latest("object_n")
    assert newest.actor_ref != person.ref
    assert faults() is None


def write_as(by: Actor) -> None:
    with transaction.atomic():
        door.trail.append(
            door.trail.Draft(by, Action.JOB_FAIL, "success", CREDIT, {"after": {"n": 1}}, reason="Ada was here")
        )
