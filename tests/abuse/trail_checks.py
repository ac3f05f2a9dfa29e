"""What must hold of the trail and the registry whatever happened, and a way to make things happen at once."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from django.db import connection, connections
from django.db.models import Count

from audit.errors import DomainError
from audit.models import Event
from registry.models import Alias, Decision, Grant, ModelVersion, PromotionRequest
from registry.states import LIVE, RequestState

Act = Callable[[], Any]


def together(*acts: Act) -> list[Any]:
    """Do all at once, each in a thread with a connection of its own: their values, or the refusals they ended with.

    Anything else that is raised is an accident, and fails the test.
    """
    start = threading.Barrier(len(acts))
    found: list[Any] = [None] * len(acts)

    def work(place: int) -> None:
        try:
            connection.ensure_connection()
            start.wait()
            found[place] = acts[place]()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            found[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accidents = [one for one in found if isinstance(one, Exception) and not isinstance(one, DomainError)]
    assert not accidents, [f"{type(one).__name__}: {one}" for one in accidents]
    return found


def in_background(act: Act) -> Callable[[], Any]:
    """Start ``act`` in a thread of its own; calling the result waits for what comes of it."""
    found: list[Any] = []

    def work() -> None:
        found.extend(together(act))

    thread = threading.Thread(target=work)
    thread.start()

    def outcome() -> Any:
        thread.join()
        return found[0]

    return outcome


def wait_until_blocked(count: int = 1) -> None:
    """Until so many connections to this database wait for a lock."""
    for _ in range(1_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the first answer for ever
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] >= count:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits for a lock.")


def refusals(found: list[Any]) -> list[str]:
    """The codes of those that were refused."""
    return sorted(one.code for one in found if isinstance(one, DomainError))


def assert_sound() -> None:
    """Every object's chain is whole and unforked, and promotions, grants, stages and aliases agree."""
    _chains_are_whole()
    assert not Event.objects.filter(outcome="error").exists()
    live = PromotionRequest.objects.filter(state__in=[state.value for state in LIVE])
    assert not live.values("model", "target_stage").annotate(n=Count("pk")).filter(n__gt=1).exists()
    applied = set(PromotionRequest.objects.filter(state=RequestState.APPLIED.value).values_list("pk", flat=True))
    assert set(Grant.objects.values_list("request_id", flat=True)) == applied
    champions = dict(Alias.objects.filter(name="champion").values_list("model_id", "version_id"))
    assert dict(ModelVersion.objects.filter(stage="Production").values_list("model_id", "pk")) == champions
    decided = Event.objects.filter(action="promotion.decide", outcome="success").count()
    assert decided == Decision.objects.count()


def _chains_are_whole() -> None:
    chains: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in Event.objects.filter(log="admin").order_by("object_n"):
        chains[event.object_type, event.object_id].append(event)
    for name, events in chains.items():
        assert [event.object_n for event in events] == list(range(1, len(events) + 1)), name
        previous = None
        for event in events:
            placed = json.loads(bytes(event.leaf_data))["object"]
            assert (placed["n"], placed["prev"]) == (event.object_n, previous), name
            previous = bytes(event.leaf_hash).hex()
