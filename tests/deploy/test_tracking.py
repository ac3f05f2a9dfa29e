"""What the tracking process is told, and that it serves no registry of its own."""

import importlib.metadata
import socket
import struct

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore

from deploy.run import environment, processes, tracking
from deploy.tracking.refusing_store import SENTENCE, RefusingStore

GIVEN = {"TRACKING_STORE_URL": "postgresql+psycopg://t@/tracking", "PLIMSOLL_TRACKING_FILES": "/srv/artifacts"}


def test_the_private_names_are_still_mlflows(monkeypatch):
    monkeypatch.syspath_prepend(str(environment.ROOT))
    source = importlib.metadata.distribution("mlflow-skinny").locate_file("mlflow/server/constants.py")
    if not source.exists():
        source = importlib.metadata.distribution("mlflow").locate_file("mlflow/server/constants.py")
    names = {}
    exec(source.read_text(), names)
    assert names["BACKEND_STORE_URI_ENV_VAR"] == tracking.STORE
    assert names["REGISTRY_STORE_URI_ENV_VAR"] == tracking.REGISTRY
    assert names["ARTIFACT_ROOT_ENV_VAR"] == tracking.ARTIFACTS
    assert names["ARTIFACTS_DESTINATION_ENV_VAR"] == tracking.DESTINATION
    assert names["SERVE_ARTIFACTS_ENV_VAR"] == tracking.SERVE_ARTIFACTS


def test_whatever_the_surroundings_say_about_mlflow_is_replaced():
    environ = {
        **GIVEN,
        "MLFLOW_TRACKING_URI": "http://elsewhere",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "HOME": "/home/me",
    }
    tracking.settle(environ)
    assert "MLFLOW_TRACKING_URI" not in environ
    assert environ["MLFLOW_ENABLE_WORKSPACES"] == "false"
    assert environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == "file:///srv/artifacts"
    assert environ["HOME"] == "/home/me"


def test_the_refusing_registry_is_found_by_its_entry_point():
    found = importlib.metadata.distributions(path=[str(environment.ROOT / "deploy" / "tracking")])
    points = [point for distribution in found for point in distribution.entry_points]
    assert [(point.group, point.name) for point in points] == [("mlflow.model_registry_store", "plimsoll")]
    assert points[0].load() is RefusingStore
    assert tracking.NO_REGISTRY.startswith("plimsoll://")


def test_it_refuses_every_operation_that_mlflow_knows():
    store = RefusingStore(tracking.NO_REGISTRY)
    operations = [
        name for name in vars(AbstractStore) if not name.startswith("_") and callable(vars(AbstractStore)[name])
    ]
    assert {"create_registered_model", "create_model_version", "get_model_version_by_alias"} <= set(operations)
    for name in operations:
        with pytest.raises(MlflowException) as refused:
            getattr(store, name)("anything", x=1)
        assert refused.value.message == SENTENCE
        assert refused.value.get_http_status_code() == 403


def test_sockets_answer_without_waiting_for_acknowledgements():
    with processes.listen("127.0.0.1", 0) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert struct.calcsize("ll") == 16  # what SO_RCVTIMEO is set with in deploy/run/patient.py
