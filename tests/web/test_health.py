"""What supervisors and load balancers are told."""

import pytest
from django.test import Client

from explain import sandbox
from web import health

HOST = {"Host": "localhost"}


@pytest.fixture(autouse=True)
def _asked_anew():
    health._sandbox_refusal.cache_clear()
    yield
    health._sandbox_refusal.cache_clear()


def test_a_living_process_says_so_without_a_database() -> None:
    assert Client().get("/healthz", headers=HOST).json() == {"status": "alive"}


@pytest.mark.django_db
def test_a_ready_installation_can_load_models() -> None:
    assert Client().get("/readyz", headers=HOST).json() == {"status": "ready", "missing": []}


@pytest.mark.django_db
def test_without_a_sandbox_it_is_not_green_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: "This machine lets nobody make a sandbox.")
    answer = Client().get("/readyz", headers=HOST)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "missing": ["sandbox"],
        "reason": "This machine lets nobody make a sandbox.",
    }


@pytest.mark.parametrize("address", ["/metrics", "/opendsr/discovery"])
def test_what_is_not_built_says_501(address: str) -> None:
    answer = Client().get(address, headers=HOST)
    assert answer.status_code == 501
    assert b"not built yet" in answer.content
