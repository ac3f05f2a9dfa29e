"""What the tracking process is told, and that it serves no registry of its own."""

import importlib.metadata
import socket
import struct
import subprocess
import sys

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore

from deploy.run import environment, processes, tracking
from deploy.run.logs import secrets_in
from deploy.tracking import own_files
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


def test_it_opens_files_of_its_own_store_alone(tmp_path):
    # in a process of its own: what is confined stays confined
    code = (
        "import sys, pathlib; from deploy.tracking import own_files;"
        " from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository as open_at\n"
        "root = pathlib.Path(sys.argv[1]); own_files.confine(root)\n"
        "for place in sys.argv[2:]:\n"
        "    try: open_at(place); print('open')\n"
        "    except Exception as error: print(str(error))\n"
    )
    store = tmp_path / "store"
    (store / "1").mkdir(parents=True)
    (tmp_path / "store-2").mkdir()
    (store / "link").symlink_to(tmp_path)
    places = [
        store.as_uri(),
        f"{store}/1",
        "/etc",
        "file:///etc",
        f"{store}/../store-2",
        f"{store.as_uri()}/%2e%2e/store-2",
        f"{store}-2",
        f"{store}/link",
        "keys",
    ]
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(store), *places],
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == ["open", "open", *[own_files.SENTENCE] * 7]


UPSTREAM = {"MLFLOW_UPSTREAM": "https://mlflow.example:5000/base/"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("", "")),
        (UPSTREAM, ("https://mlflow.example:5000/base", "")),
        ({**UPSTREAM, "MLFLOW_UPSTREAM_TOKEN": "t0"}, ("https://mlflow.example:5000/base", "Bearer t0")),
        (
            {**UPSTREAM, "MLFLOW_UPSTREAM_USERNAME": "Aladdin", "MLFLOW_UPSTREAM_PASSWORD": "open sesame"},
            ("https://mlflow.example:5000/base", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617, section 2
        ),
    ],
)
def test_a_tracking_server_elsewhere_and_its_login(environ, expected):
    found = environment.upstream(environ)
    assert (found.url, found.authorization) == expected
    assert environment.choices(environ).upstream == (expected[0] or None)
    assert expected[1] == "" or expected[1] not in repr(found)


@pytest.mark.parametrize(
    "environ",
    [
        {"MLFLOW_UPSTREAM": "mlflow:5000"},
        {"MLFLOW_UPSTREAM": "ftp://mlflow.example"},
        {"MLFLOW_UPSTREAM": "ftp://ada:hush-hush@mlflow.example"},
        {"MLFLOW_UPSTREAM": "http://ada:hush-hush@mlflow.example"},
        {"MLFLOW_UPSTREAM": "http://mlflow.example:99999"},
        {"MLFLOW_UPSTREAM": "http://mlflow.example/?a=b"},
        {"MLFLOW_UPSTREAM": "http://mlflow.example/#x"},
        {"MLFLOW_UPSTREAM": "http://mlflow.example /x"},
        {"MLFLOW_UPSTREAM_TOKEN": "hush-hush"},
        {**UPSTREAM, "MLFLOW_UPSTREAM_USERNAME": "ada"},
        {**UPSTREAM, "MLFLOW_UPSTREAM_PASSWORD": "hush-hush"},
        {
            **UPSTREAM,
            "MLFLOW_UPSTREAM_USERNAME": "ada",
            "MLFLOW_UPSTREAM_PASSWORD": "hush-hush",
            "MLFLOW_UPSTREAM_TOKEN": "t",
        },
        {**UPSTREAM, "MLFLOW_UPSTREAM_USERNAME": "a:b", "MLFLOW_UPSTREAM_PASSWORD": "hush-hush"},
        {**UPSTREAM, "MLFLOW_UPSTREAM_TOKEN": "t\r\nX-Evil: hush-hush"},
    ],
)
def test_an_upstream_that_does_not_fit_together_stops_the_start(environ):
    with pytest.raises(environment.StartRefusedError, match=r"MLFLOW_UPSTREAM") as refused:
        environment.choices(environ)
    assert "hush-hush" not in str(refused.value)


def test_the_login_for_an_upstream_is_masked_in_logs_and_not_handed_to_other_shells():
    names = {"MLFLOW_UPSTREAM_PASSWORD": "hush-hush", "MLFLOW_UPSTREAM_TOKEN": "token-of-theirs"}
    assert secrets_in(names) == set(names.values())
    assert not set(names) & set(environment.HANDED_OVER)


def test_with_an_upstream_no_tracking_server_is_started():
    plan = processes.installation(environment.choices(UPSTREAM))
    assert "tracking" not in [item.name for item in plan]
    assert "tracking" in [item.name for item in processes.installation(environment.choices({}))]
