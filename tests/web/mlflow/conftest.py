"""Callers of the wire, and a stand-in for the tracking server. Imports wait until Django is set up."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.web.mlflow import standin


@pytest.fixture
def caller(db: None) -> Callable[..., Any]:
    from tests.web.mlflow.caller import Caller

    return Caller


@pytest.fixture
def scientist(caller: Callable[..., Any]) -> Any:
    from access.roles import Role

    return caller(Role.DATA_SCIENTIST)


@pytest.fixture
def tracking(settings) -> Iterator[standin.Tracking]:  # type: ignore[no-untyped-def]
    tracking, server = standin.start()
    settings.PLIMSOLL_TRACKING_URL = tracking.url
    yield tracking
    server.shutdown()
    server.server_close()


@pytest.fixture
def model(scientist: Any, tracking: standin.Tracking) -> str:
    """A model with one version, a tag and an alias on each."""
    scientist.ok("POST", "registered-models/create", name="churn", tags=[{"key": "k", "value": "v"}])
    scientist.ok("POST", "model-versions/create", name="churn", source=standin.FILES, run_id=standin.RUN)
    scientist.ok("POST", "registered-models/alias", name="churn", alias="blue", version="1")
    scientist.ok("POST", "model-versions/set-tag", name="churn", version="1", key="k", value="v")
    return "churn"
