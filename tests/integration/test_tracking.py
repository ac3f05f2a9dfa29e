"""Tracking behind our address, with the stock client and MLflow's own server: traces, frozen files, closed doors."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from deploy.run.stack import Stack
from tests.integration import accounts
from tests.integration.test_mlflow_client import pytestmark as _of_client
from tests.integration.test_mlflow_client import signed_in

pytestmark = _of_client
STORE = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def tokens(stack) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return accounts.tokens(stack, track_ada="data_scientist", track_vera="viewer")


@pytest.fixture
def client(stack, tokens: dict[str, str]) -> Iterator[Any]:  # type: ignore[no-untyped-def]
    with signed_in(stack, MLFLOW_TRACKING_TOKEN=tokens["track_ada"]) as client:
        yield client


def ask(stack: Stack, token: str, method: str, path: str, **given: Any) -> requests.Response:
    return requests.request(method, stack.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=60, **given)


def error_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error_code"]


def test_traces_are_logged_found_and_read(client: Any) -> None:
    import mlflow

    experiment = mlflow.set_experiment("tracking-traces").experiment_id

    @mlflow.trace
    def doubled(number: int) -> int:
        return number * 2

    assert doubled(21) == 42
    mlflow.flush_trace_async_logging()
    (trace,) = mlflow.search_traces(locations=[experiment], return_type="list")
    (span,) = client.get_trace(trace.info.trace_id).data.spans
    assert (span.name, span.inputs, span.outputs) == ("doubled", {"number": 21}, 42)


def test_a_large_file_falls_back_from_parts_to_one_stream(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000")
    run = client.create_run("0")
    (tmp_path / "big.bin").write_bytes(bytes(5000))
    client.log_artifact(run.info.run_id, str(tmp_path / "big.bin"), "parts")
    (found,) = client.list_artifacts(run.info.run_id, "parts")
    assert (found.path, found.file_size) == ("parts/big.bin", 5000)


def test_the_files_of_a_registered_version_are_frozen(
    client: Any, stack, tokens: dict[str, str], tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    import mlflow

    run = client.create_run("0")
    run_id = run.info.run_id
    client.log_text(run_id, "first", "model/weights.txt")
    client.create_registered_model("track-frozen")
    client.create_model_version("track-frozen", f"runs:/{run_id}/model", run_id=run_id)
    with pytest.raises(Exception, match="what is registered does not change"):
        client.log_text(run_id, "second", "model/weights.txt")
    client.log_text(run_id, "free", "notes.txt")
    root = f"{STORE}/0/{run_id}/artifacts"
    for path in ("/model/weights.txt", "/%6dodel/weights.txt", "/%256dodel/weights.txt"):
        assert error_of(ask(stack, tokens["track_ada"], "PUT", root + path, data=b"x"))[0] == 403
    # MLflow's server would read this address as a path below its store.
    for path in (f"file:0/{run_id}/artifacts/model/weights.txt", f"file%253A0/{run_id}/artifacts/model/weights.txt"):
        assert error_of(ask(stack, tokens["track_ada"], "PUT", f"{STORE}/{path}", data=b"x"))[0] == 400
    for path in (root + "/model", root, f"{STORE}/0"):
        assert error_of(ask(stack, tokens["track_ada"], "DELETE", path)) == (403, "PERMISSION_DENIED")
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model/weights.txt") == "first"


def test_a_download_resumes_where_it_stopped(client: Any, stack, tokens: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "0123456789", "digits.txt")
    headers = {"Authorization": f"Bearer {tokens['track_vera']}", "Range": "bytes=4-6"}
    part = requests.get(f"{stack.url}{STORE}/0/{run_id}/artifacts/digits.txt", headers=headers, timeout=60)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"456", "bytes 4-6/10")
    assert requests.get(part.url, timeout=60).status_code == 401


def test_the_tracking_server_opens_no_files_of_ours(client: Any, stack, tokens: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    experiment = client.create_experiment("tracking-keys", artifact_location=f"file://{stack.data}/keys")
    run_id = client.create_run(experiment).info.run_id
    listed = ask(stack, tokens["track_ada"], "GET", f"/api/2.0/mlflow/artifacts/list?run_id={run_id}")
    assert error_of(listed) == (403, "PERMISSION_DENIED")
    assert "outside its artifact store" in listed.json()["message"]
    for address in ("/mlflow/get-artifact", "/ajax-api/2.0/mlflow/upload-artifact"):
        query = f"{address}?run_uuid={run_id}&path=session.key"
        response = ask(stack, tokens["track_ada"], "POST" if "upload" in address else "GET", query, data=b"x")
        assert response.status_code in {400, 403, 500}  # an error of MLflow's server where it expects none
        assert not (stack.data / "keys" / "session.key").read_bytes().startswith(b"x")


def test_its_own_registry_refuses_whoever_gets_past(stack) -> None:  # type: ignore[no-untyped-def]
    direct = stack.environment["PLIMSOLL_TRACKING_URL"]
    for method, call in (("POST", "registered-models/create"), ("GET", "model-versions/search")):
        response = requests.request(method, f"{direct}/api/2.0/mlflow/{call}", json={"name": "shadow"}, timeout=60)
        assert (response.status_code, response.json()["error_code"]) == (403, "PERMISSION_DENIED")


@pytest.fixture(scope="module")
def second(stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:  # type: ignore[no-untyped-def]
    """Another installation, whose tracking server is the first one's."""
    upstream = {"MLFLOW_UPSTREAM": stack.environment["PLIMSOLL_TRACKING_URL"], "MLFLOW_UPSTREAM_TOKEN": "hush-hush-1"}
    with Stack(tmp_path_factory.mktemp("upstream"), port=0, environ=upstream) as second:
        yield second


def test_an_installation_uses_a_tracking_server_elsewhere(stack, second: Stack, tokens: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    import mlflow

    token = accounts.tokens(second, up_ada="data_scientist")["up_ada"]
    with signed_in(second, MLFLOW_TRACKING_TOKEN=token) as client:
        run = client.create_run("0")
        client.log_text(run.info.run_id, "shared", "model/a.txt")
        client.create_registered_model("up-model")
        made = client.create_model_version("up-model", f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
        assert (made.version, made.status) == ("1", "READY")
        with pytest.raises(Exception, match="what is registered does not change"):
            client.log_text(run.info.run_id, "other", "model/a.txt")
    with signed_in(stack, MLFLOW_TRACKING_TOKEN=tokens["track_ada"]):
        assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model/a.txt") == "shared"
    started = [process.cmdline() for process in psutil.Process(second.pid).children(recursive=True)]
    assert not any("deploy.run.tracking" in line for command in started for line in command)
    told = (second.data / "run.env.json").read_text() + second.said
    told += "".join(path.read_text() for path in (second.data / "logs").glob("*.log"))
    assert "hush-hush-1" not in told


def test_without_tracking_creates_wait_and_the_rest_goes_on(stack, tokens: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    """Last: the server is stopped for a moment."""
    (server,) = [
        process
        for process in psutil.Process(stack.pid).children(recursive=True)
        if "deploy.run.tracking" in " ".join(process.cmdline())
    ]
    token = tokens["track_ada"]
    body = {"name": "track-away"}
    assert ask(stack, token, "POST", "/api/2.0/mlflow/registered-models/create", json=body).status_code == 200
    os.kill(server.pid, signal.SIGKILL)
    # Requests wait on its socket while it is started again, which nobody notices but by the time it takes.
    waited = ask(stack, token, "POST", "/api/2.0/mlflow/experiments/search", json={"max_results": 1})
    assert waited.status_code in {200, 503}
    if waited.status_code == 503:
        assert error_of(waited) == (503, "TEMPORARILY_UNAVAILABLE")
    found = ask(stack, token, "GET", "/api/2.0/mlflow/registered-models/get?name=track-away")
    assert json.loads(found.content)["registered_model"]["name"] == "track-away"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        again = ask(stack, token, "POST", "/api/2.0/mlflow/experiments/search", json={"max_results": 1})
        if again.status_code == 200:
            break
        time.sleep(0.5)
    assert again.status_code == 200
