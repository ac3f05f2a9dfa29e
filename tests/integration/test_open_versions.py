"""Where nothing is protected, versions, stages and aliases behave for the stock client as on MLflow's own server."""

import time
from typing import Any

import pytest

from tests.integration.refusals import refusal
from tests.web.mlflow.standin import MODEL, MODEL_ROOT, RUN, RUN_ROOT

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*(model registry stages|has been deprecated).*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
MISSING, WRONG = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"
SOURCE = "s3://bucket/model"


@pytest.fixture
def client(open_client: Any) -> Any:
    open_client.create_registered_model("m")
    return open_client


def add(client: Any, count: int = 1, **given: Any) -> list[str]:
    return [client.create_model_version("m", **{"source": SOURCE} | given).version for _ in range(count)]


def stages(client: Any) -> list[str]:
    found = client.search_model_versions("name = 'm'", order_by=["version_number"])
    return [version.current_stage for version in found]


def move(client: Any, number: int, stage: str, archive: bool = False) -> Any:
    return client.transition_model_version_stage("m", number, stage, archive_existing_versions=archive)


def latest(found: Any) -> dict[str, str]:
    return {version.current_stage: version.version for version in found}


def test_a_version_keeps_what_it_was_made_with(client: Any) -> None:
    before = int(time.time() * 1000)
    made = client.create_model_version(
        "m", "runs:/run_1/model", "run_1", {"k": "v", "n": 12345}, "http://host/run", "about it"
    )
    found = client.get_model_version("m", "1")
    assert dict(found) == dict(made)
    assert (found.version, found.name, found.current_stage, found.status) == ("1", "m", "None", "READY")
    assert (found.source, found.run_id, found.run_link) == ("runs:/run_1/model", "run_1", "http://host/run")
    assert (found.description, found.tags, found.aliases) == ("about it", {"k": "v", "n": "12345"}, [])
    assert before <= found.creation_timestamp == found.last_updated_timestamp
    assert client.get_registered_model("m").last_updated_timestamp == found.creation_timestamp
    assert client.get_model_version_download_uri("m", "1") == "runs:/run_1/model"
    (bare,) = add(client)
    found = client.get_model_version("m", int(bare))
    assert (found.version, found.run_id, found.description, found.tags) == ("2", "", "", {})
    assert [model.latest_versions for model in client.search_registered_models()] == [[found]]


def test_a_version_is_asked_for_by_a_whole_number(client: Any) -> None:
    add(client)
    for act in (
        lambda: client.get_model_version("m", "no number"),
        lambda: client.set_model_version_tag("m", "no number", "k", "v"),
        lambda: client.delete_model_version_tag("m", "no number", "k"),
        lambda: client.delete_model_version("m", "no number"),
        lambda: client.set_registered_model_alias("m", "blue", "no number"),
    ):
        code, message = refusal(act)
        assert code == WRONG
        assert message.endswith("Parameter 'version' must be an integer, got 'no number'.")
    assert refusal(lambda: client.set_registered_model_alias("m", "blue", "7")) == (
        MISSING,
        f"{MISSING}: Model Version (name=m, version=7) not found",
    )


def test_the_latest_of_each_stage_is_found_in_any_case_of_letters(client: Any) -> None:
    assert client.get_latest_versions("m") == []
    add(client, 7)
    for number, stage in enumerate(("Archived", "Production", "Archived", "Production", "Staging", "Staging"), start=1):
        assert move(client, number, stage).current_stage == stage
    everything = {"Production": "4", "Staging": "6", "Archived": "3", "None": "7"}
    assert latest(client.get_latest_versions("m")) == latest(client.get_latest_versions("m", [])) == everything
    assert latest(client.get_registered_model("m").latest_versions) == everything
    assert latest(client.get_latest_versions("m", ["pROduction"])) == {"Production": "4"}
    assert latest(client.get_latest_versions("m", ["None", "Staging"])) == {"None": "7", "Staging": "6"}
    assert refusal(lambda: client.get_latest_versions("m", ["unknown"])) == (
        WRONG,
        f"{WRONG}: Invalid Model Version stage: unknown. Value must be one of None, Staging, Production, Archived.",
    )
    client.delete_model_version("m", "4")
    assert latest(client.get_latest_versions("m")) == everything | {"Production": "2"}


def test_stages_are_left_and_shared_and_archived_at_one_instant(client: Any) -> None:
    add(client, 3)
    for number, stage in ((1, "Archived"), (1, "None"), (1, "STAGING"), (2, "production"), (3, "Staging")):
        move(client, number, stage)
    assert stages(client) == ["Staging", "Production", "Staging"]
    move(client, 3, "Production")
    assert stages(client) == ["Staging", "Production", "Production"]
    for stage in ("Archived", "None"):
        code, message = refusal(lambda stage=stage: move(client, 1, stage, archive=True))
        assert code == WRONG
        assert (
            "Model version transition cannot archive existing model versions because"
            f" '{stage}' is not an Active stage" in message
        )
    moved = move(client, 1, "Production", archive=True)
    assert stages(client) == ["Production", "Archived", "Archived"]
    touched = {client.get_model_version("m", number).last_updated_timestamp for number in (1, 2, 3)}
    assert touched == {moved.last_updated_timestamp, client.get_registered_model("m").last_updated_timestamp}
    move(client, 2, "Staging")
    move(client, 3, "sTaGiNg", archive=True)
    assert stages(client) == ["Production", "Archived", "Staging"]
    assert refusal(lambda: move(client, 1, "unknown"))[0] == WRONG


def test_what_is_in_production_is_described_tagged_and_deleted(client: Any) -> None:
    add(client, 2)
    for number in (1, 2):
        move(client, number, "Production")
    assert client.update_model_version("m", "1", "changed").description == "changed"
    client.set_model_version_tag("m", "1", "k", "v")
    client.delete_model_version_tag("m", "1", "k")
    for alias in ("champion", "production"):
        client.set_registered_model_alias("m", alias, "1")
        client.set_registered_model_alias("m", alias, "2")
    client.delete_registered_model_alias("m", "production")
    assert client.get_registered_model("m").aliases == {"champion": "2"}
    client.delete_model_version("m", "2")
    assert client.get_registered_model("m").aliases == {}
    assert refusal(lambda: client.get_model_version_by_alias("m", "champion")) == (
        WRONG,
        f"{WRONG}: Registered model alias champion not found.",
    )
    client.rename_registered_model("m", "n")
    client.delete_registered_model("n")


def test_a_deleted_version_is_gone_and_its_number_stays_used(client: Any) -> None:
    assert add(client, 3, tags={"k": "v"}) == ["1", "2", "3"]
    client.delete_model_version("m", "1")
    client.delete_model_version("m", 3)
    for act in (
        lambda: client.get_model_version("m", "1"),
        lambda: client.update_model_version("m", "1", "x"),
        lambda: move(client, 1, "Staging"),
        lambda: client.delete_model_version("m", "1"),
        lambda: client.set_model_version_tag("m", "1", "k", "v"),
        lambda: client.delete_model_version_tag("m", "1", "k"),
        lambda: client.get_model_version_download_uri("m", "1"),
        lambda: client.set_registered_model_alias("m", "blue", "1"),
    ):
        assert refusal(act) == (MISSING, f"{MISSING}: Model Version (name=m, version=1) not found")
    assert [version.version for version in client.search_model_versions("name = 'm'")] == ["2"]
    assert add(client) == ["4"]


def test_aliases_move_and_are_shown_where_mlflow_shows_them(client: Any) -> None:
    add(client, 2)
    client.set_registered_model_alias("m", "blue", "1")
    assert client.get_registered_model("m").aliases == {"blue": "1"}
    client.set_registered_model_alias("m", "blue", "2")
    client.set_registered_model_alias("m", "green", "2")
    found = client.get_model_version_by_alias("m", "blue")
    assert dict(found) == dict(client.get_model_version("m", "2"))
    assert found.aliases == ["blue", "green"]
    assert client.get_model_version("m", "1").aliases == []
    assert [version.aliases for version in client.get_latest_versions("m")] == [["blue", "green"]]
    assert [version.aliases for version in client.search_model_versions("name = 'm'")] == [[], []]
    assert client.get_model_version_by_alias("m", "LATEST").version == "2"
    for _ in range(2):
        client.delete_registered_model_alias("m", "blue")
    assert client.get_registered_model("m").aliases == {"green": "2"}


def test_a_copy_points_at_its_origin_and_takes_neither_stage_nor_aliases(client: Any) -> None:
    given = {"run_id": "run_1", "source": "runs:/run_1/model", "tags": {"hello": "world"}, "run_link": "link"}
    add(client, description="words", **given)
    move(client, 1, "Production")
    client.set_registered_model_alias("m", "blue", "1")
    for target, number in (("m", "2"), ("other", "1")):
        made = client.copy_model_version("models:/m@blue", target)
        copy = client.get_model_version(target, number)
        assert dict(made) == dict(copy)
        assert (copy.source, copy.run_id, copy.run_link) == ("models:/m/1", "run_1", "link")
        assert (copy.description, copy.tags, copy.current_stage, copy.aliases) == (
            "words", {"hello": "world"}, "None", [],
        )  # fmt: skip
        assert client.get_model_version_download_uri(target, number) == "runs:/run_1/model"
    again = client.copy_model_version("models:/other/1", "third")
    assert again.source == "models:/other/1"
    assert client.get_model_version_download_uri("third", "1") == "runs:/run_1/model"


def test_a_logged_model_is_told_of_its_versions_and_lends_its_run(client: Any) -> None:
    for number, source in enumerate((MODEL_ROOT, f"models:/{MODEL}", SOURCE), start=1):
        made = client.create_model_version("m", source, model_id=MODEL)
        assert made.run_id == RUN
        location = MODEL_ROOT if source.startswith("models:") else source
        assert client.get_model_version_download_uri("m", number) == location
    assert client.get_logged_model(MODEL).tags["mlflow.modelVersions"] == (
        '[{"name": "m", "version": 1}, {"name": "m", "version": 2}, {"name": "m", "version": 3}]'
    )
    made = client.create_model_version("m", f"{RUN_ROOT}/files", RUN)
    assert client.get_model_version_download_uri("m", made.version) == f"{RUN_ROOT}/files"
    code, message = refusal(lambda: client.create_model_version("m", "file:///tmp/model", model_id=MODEL))
    assert code == WRONG
    assert "To use a local path as a model version source, the model_id request parameter" in message
