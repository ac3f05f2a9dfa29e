"""The stock MLflow client against a whole running installation: what a data scientist does all day, unchanged."""

import hashlib
import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration import accounts

pytestmark = [
    pytest.mark.xdist_group("stack"),
    # The client deprecates model stages with every call, and numpy's own C types have no module.
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*(model registry stages|has been deprecated).*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture(scope="module")
def people(stack) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return accounts.tokens(
        stack, wire_ada="data_scientist", wire_vera="viewer", wire_team="data_scientist:team-*", wire_noone=""
    )


@contextmanager
def signed_in(stack, **environ: str) -> Iterator[Any]:  # type: ignore[no-untyped-def]
    """The stock client, with the credentials in its environment variables as a person sets them."""
    import mlflow

    before = {name: os.environ.pop(name, None) for name in VARIABLES}
    os.environ.update(environ, MLFLOW_ENABLE_ASYNC_LOGGING="false", GIT_PYTHON_REFRESH="quiet")
    mlflow.set_tracking_uri(stack.url)
    try:
        yield mlflow.MlflowClient()
    finally:
        mlflow.set_tracking_uri(None)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@pytest.fixture
def client(stack, people: dict[str, str]) -> Iterator[Any]:  # type: ignore[no-untyped-def]
    with signed_in(stack, MLFLOW_TRACKING_TOKEN=people["wire_ada"]) as client:
        yield client


@pytest.fixture(scope="module")
def logged(stack, people: dict[str, str]) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    """A model logged by a run: (logged model's id, run's id). It predicts whether the first column is above 9."""
    import mlflow
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    with signed_in(stack, MLFLOW_TRACKING_TOKEN=people["wire_ada"]):
        mlflow.set_experiment("wire")
        features = np.arange(20.0).reshape(10, 2)
        tree = DecisionTreeClassifier(max_depth=1).fit(features, features[:, 0] > 9)
        with mlflow.start_run() as run:
            trusted = ["sklearn.tree._tree.Tree"]
            info = mlflow.sklearn.log_model(tree, name="tree", pip_requirements=[], skops_trusted_types=trusted)
            mlflow.log_metric("accuracy", 1.0)
            mlflow.log_text("notes", "notes/a b ü.txt")
        return info.model_id, run.info.run_id


def refusal(act: Any) -> tuple[str, str]:
    """Error code and message of the client's exception."""
    from mlflow.exceptions import RestException

    with pytest.raises(RestException) as caught:
        act()
    return caught.value.error_code, str(caught.value)


def test_a_logged_model_is_registered_and_loaded_by_name(client: Any, logged: tuple[str, str]) -> None:
    import mlflow
    import numpy as np

    model_id, run_id = logged
    first = mlflow.register_model(f"models:/{model_id}", "wire-churn", tags={"team": "risk"})
    assert (first.name, first.version, first.status, first.run_id) == ("wire-churn", "1", "READY", run_id)
    assert first.user_id == "wire_ada"
    assert first.tags == {"team": "risk"}
    second = mlflow.register_model(f"runs:/{run_id}/tree", "wire-churn")
    third = client.create_model_version("wire-churn", f"runs:/{run_id}/tree", run_id=run_id)
    assert [second.version, third.version] == ["2", "3"]
    for version in ("1", "3", "latest"):
        loaded = mlflow.pyfunc.load_model(f"models:/wire-churn/{version}")
        assert loaded.predict(np.array([[0.0, 1.0], [18.0, 19.0]])).tolist() == [False, True]
    told = json.loads(client.get_logged_model(model_id).tags["mlflow.modelVersions"])
    assert {(entry["name"], int(entry["version"])) for entry in told} >= {("wire-churn", 1), ("wire-churn", 2)}


def test_runs_and_artifacts_are_tracked_through_the_same_address(client: Any, logged: tuple[str, str]) -> None:
    import mlflow

    run = client.get_run(logged[1])
    assert run.data.metrics == {"accuracy": 1.0}
    assert [found.info.run_id for found in client.search_runs([run.info.experiment_id], "metrics.accuracy = 1")] == [
        logged[1]
    ]
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/a b ü.txt") == "notes"


def test_models_are_described_renamed_searched_and_deleted(client: Any) -> None:
    client.create_registered_model("wire-draft", tags={"a.b": "c"}, description="first")
    client.update_registered_model("wire-draft", "second")
    client.rename_registered_model("wire-draft", "wire-final")
    client.set_registered_model_tag("wire-final", "state", "done")
    client.delete_registered_model_tag("wire-final", "a.b")
    (found,) = client.search_registered_models("name = 'wire-final' AND tags.state = 'done'")
    assert (found.description, found.tags) == ("second", {"state": "done"})
    assert refusal(lambda: client.create_registered_model("wire-final"))[0] == "RESOURCE_ALREADY_EXISTS"
    client.delete_registered_model("wire-final")
    assert refusal(lambda: client.get_registered_model("wire-final")) == (
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_DOES_NOT_EXIST: Registered Model with name=wire-final not found",
    )


def test_versions_are_tagged_aliased_staged_copied_and_deleted(client: Any, logged: tuple[str, str]) -> None:
    from mlflow import register_model

    for _ in range(2):
        register_model(f"models:/{logged[0]}", "wire-risk")
    client.set_model_version_tag("wire-risk", "1", "checked", "yes")
    client.set_registered_model_alias("wire-risk", "blue", 1)
    client.update_model_version("wire-risk", "1", "about it")
    one = client.get_model_version_by_alias("wire-risk", "blue")
    assert (one.version, one.tags, one.aliases, one.description) == ("1", {"checked": "yes"}, ["blue"], "about it")
    assert client.transition_model_version_stage("wire-risk", "1", "staging").current_stage == "Staging"
    assert sorted(found.version for found in client.get_latest_versions("wire-risk")) == ["1", "2"]
    copied = client.copy_model_version("models:/wire-risk/1", "wire-copy")
    assert (copied.source, copied.run_id, copied.tags) == ("models:/wire-risk/1", logged[1], {"checked": "yes"})
    assert client.get_model_version_download_uri("wire-copy", "1").startswith("mlflow-artifacts:/")
    page = client.search_model_versions("name = 'wire-risk'", max_results=1, order_by=["version_number ASC"])
    rest = client.search_model_versions(
        "name = 'wire-risk'", max_results=1, order_by=["version_number ASC"], page_token=page.token
    )
    assert [found.version for found in (*page, *rest)] == ["1", "2"]
    assert not rest.token
    client.delete_model_version_tag("wire-risk", "1", "checked")
    client.delete_registered_model_alias("wire-risk", "blue")
    client.delete_model_version("wire-risk", "2")
    assert refusal(lambda: client.get_model_version("wire-risk", "2"))[0] == "RESOURCE_DOES_NOT_EXIST"


def test_production_is_entered_by_promotion_only_and_the_client_shows_where(
    client: Any,
    stack,  # type: ignore[no-untyped-def]
    logged: tuple[str, str],
) -> None:
    from mlflow import register_model

    register_model(f"models:/{logged[0]}", "wire-guarded")
    for act in (
        lambda: client.transition_model_version_stage("wire-guarded", "1", "Production"),
        lambda: client.transition_model_version_stage(
            "wire-guarded", "1", "Production", archive_existing_versions=True
        ),
        lambda: client.set_registered_model_alias("wire-guarded", "champion", "1"),
    ):
        code, message = refusal(act)
        assert code == "PERMISSION_DENIED"
        assert f"{stack.url}/models/wire-guarded/versions/1/promote/" in message
    assert client.get_model_version("wire-guarded", "1").current_stage == "None"


def test_prompts_are_registered_with_the_client_and_kept_apart_from_models(client: Any) -> None:
    import mlflow

    mlflow.genai.register_prompt("wire-greeting", "Dear {{name}}")
    assert mlflow.genai.load_prompt("prompts:/wire-greeting/1").format(name="Ada") == "Dear Ada"
    assert client.search_registered_models("name = 'wire-greeting'") == []
    assert [prompt.name for prompt in mlflow.genai.search_prompts("name = 'wire-greeting'")] == ["wire-greeting"]


def test_roles_hold_for_the_client_too(stack, people: dict[str, str], logged: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]
    with signed_in(stack, MLFLOW_TRACKING_USERNAME="wire_vera", MLFLOW_TRACKING_PASSWORD=accounts.PASSWORD) as client:
        assert client.get_run(logged[1]).info.run_id == logged[1]
        assert refusal(lambda: client.create_registered_model("wire-vera"))[0] == "PERMISSION_DENIED"
        assert refusal(lambda: client.log_metric(logged[1], "m", 1))[0] == "PERMISSION_DENIED"
    with signed_in(stack, MLFLOW_TRACKING_TOKEN=people["wire_team"]) as client:
        client.log_metric(logged[1], "other", 1)
        assert refusal(lambda: client.create_registered_model("wire-team"))[0] == "PERMISSION_DENIED"
        client.create_registered_model("team-a")
        assert refusal(lambda: client.get_registered_model("wire-churn"))[0] == "RESOURCE_DOES_NOT_EXIST"
    with signed_in(stack, MLFLOW_TRACKING_TOKEN=people["wire_noone"]) as client:
        assert refusal(lambda: client.get_run(logged[1]))[0] == "PERMISSION_DENIED"
        assert client.search_registered_models() == []
    with signed_in(stack) as client:
        assert refusal(lambda: client.get_run(logged[1]))[0] == "UNAUTHENTICATED"
    with signed_in(stack, MLFLOW_TRACKING_TOKEN="plim_wrong") as client:
        assert refusal(client.search_registered_models)[0] == "UNAUTHENTICATED"


def _pieces(total: int) -> Iterator[bytes]:
    for number in range(total // 2**20):
        yield hashlib.sha256(str(number).encode()).digest() * (2**20 // 32)


def _peak(stack) -> int:  # type: ignore[no-untyped-def]
    """The most memory any process of this installation's web server has ever used, in bytes."""
    peaks, ours = [], f"PLIMSOLL_DATA={stack.data}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            serves = b"web.wsgi:application" in (process / "cmdline").read_bytes()
            if serves and ours in (process / "environ").read_bytes() + b"\0":
                line = next(x for x in (process / "status").read_text().splitlines() if x.startswith("VmHWM"))
                peaks.append(int(line.split()[1]) * 1024)
        except (OSError, StopIteration):
            continue
    return max(peaks)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_file_passes_both_ways_in_a_stream(stack, people: dict[str, str], chunked: bool) -> None:  # type: ignore[no-untyped-def]
    size = 192 * 2**20
    path = f"/api/2.0/mlflow-artifacts/artifacts/wire/large-{chunked}.bin"
    headers = {"Authorization": f"Bearer {people['wire_ada']}", "Content-Type": "application/octet-stream"}
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=120)
    before = _peak(stack)
    sent = headers if chunked else {**headers, "Content-Length": str(size)}
    connection.request("PUT", path, body=_pieces(size), headers=sent, encode_chunked=chunked)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Length")) == (200, str(size))
    digest = hashlib.sha256()
    while piece := answer.read(2**20):
        digest.update(piece)
    expected = hashlib.sha256(b"".join(_pieces(size))).hexdigest()
    assert digest.hexdigest() == expected
    connection.request("DELETE", path, headers=headers)
    assert connection.getresponse().status == 200
    connection.close()
    assert _peak(stack) - before < 32 * 2**20
