"""Where nothing is protected, the search of versions and the prompts API behave as on MLflow's own server."""

from typing import Any

import pytest

from tests.integration.refusals import refusal

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*(model registry stages|has been deprecated).*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
RUNS = ["1" * 32, "ab" * 16, "c" * 32]


def found(client: Any, text: str | None, **more: Any) -> list[str]:
    return [version.version for version in client.search_model_versions(text, **more)]


@pytest.fixture
def shelf(open_client: Any) -> Any:
    """One model; version 1 of the first run, 2 and 3 of the second, 4 of the third."""
    open_client.create_registered_model("m")
    for run, source, tags in (
        (RUNS[0], "s3://A/B", {"t1": "abc", "t2": "xyz"}),
        (RUNS[1], "s3://A/C", {"t1": "abc", "t2": "x123"}),
        (RUNS[1], "s3://A/D", None),
        (RUNS[2], "s3://A/D", None),
    ):
        open_client.create_model_version("m", source, run, tags)
    return open_client


FILTERS = [
    (None, ["4", "3", "2", "1"]),
    ("name='m'", ["4", "3", "2", "1"]),
    ("name = 'M'", []),
    ("name IN ('m', 'n')", ["4", "3", "2", "1"]),
    ("version_number=2", ["2"]),
    ("version_number<=3", ["3", "2", "1"]),
    ("version_number != 3 AND version_number > '1'", ["4", "2"]),
    (f"run_id='{RUNS[1]}'", ["3", "2"]),
    (f"run_id IN ('{RUNS[0]}','{RUNS[1]}')", ["3", "2", "1"]),
    (f"run_id IN ('{RUNS[1].upper()}', '{RUNS[2]}')", ["4"]),
    (f"version_number=2 AND run_id IN ('{RUNS[1]}')", ["2"]),
    (f"run_id LIKE '{RUNS[1][:30]}%'", ["3", "2"]),
    (f"run_id LIKE '{RUNS[1][:30].upper()}%'", []),
    (f"run_id ILIKE '{RUNS[1][:30].upper()}%'", ["3", "2"]),
    ("source_path = 's3://A/D'", ["4", "3"]),
    ("source_path = 's3://A'", []),
    ("source_path = ''", []),
    ("name = 'm' and tag.t2 = 'xyz'", ["1"]),
    ("name = 'n' and tag.t2 = 'xyz'", []),
    ("tag.`t2` = 'xyz'", ["1"]),
    ("tag.t3 = 'xyz'", []),
    ("tag.T2 = 'xyz'", []),
    ("tag.t2 != 'xy'", ["2", "1"]),
    ("tag.t2 LIKE 'xY%'", []),
    ("tag.t2 ILIKE 'xY%'", ["1"]),
    ("tag.t1 = 'abc' and tag.t2 LIKE 'x%'", ["2", "1"]),
    ("tag.t2 like 'x%' and tag.t2 != 'xyz'", ["2"]),
]
REFUSED = [
    ("run_id IN (1,2,3)", "expected string value, punctuation, or whitespace, but got different type in list"),
    ("run_id IN ()", "expected a non-empty list of string values, but got empty list"),
    ("run_id IN (,)", "expected a non-empty list of string values, but got ill-formed list"),
    ("run_id IN ('a',,'b')", "expected a non-empty list of string values, but got ill-formed list"),
    ("run_id IN (", "Invalid clause(s) in filter string"),
    ("run_id IN", "Invalid clause(s) in filter string"),
    ("name LIKE", "Invalid clause(s) in filter string"),
    ("current_stage = 'None'", "Invalid attribute key 'current_stage' specified"),
]


def test_versions_are_found_by_filter_the_newest_first(shelf: Any) -> None:
    for text, expected in FILTERS:
        assert found(shelf, text) == expected, text
    for text, sentence in REFUSED:
        code, message = refusal(lambda text=text: found(shelf, text))
        assert code == "INVALID_PARAMETER_VALUE"
        assert sentence in message


def test_versions_come_in_the_order_asked_for(open_client: Any) -> None:
    names = ["RM1", "RM2", "RM3", "RM4", "RM1", "RM4"]
    for name in sorted(set(names)):
        open_client.create_registered_model(name)
    for name in names:
        open_client.create_model_version(name, "s3://bucket/model")

    def ordered(*keys: str) -> list[str]:
        rows = open_client.search_model_versions("", order_by=list(keys) or None)
        return [f"{version.name}/{version.version}" for version in rows]

    newest = ["RM4/2", "RM1/2", "RM4/1", "RM3/1", "RM2/1", "RM1/1"]
    assert ordered() == ordered("last_updated_timestamp DESC") == ordered("creation_timestamp DESC") == newest
    assert ordered("name DESC") == ["RM4/2", "RM4/1", "RM3/1", "RM2/1", "RM1/2", "RM1/1"]
    assert ordered("version_number DESC") == ["RM1/2", "RM4/2", "RM1/1", "RM2/1", "RM3/1", "RM4/1"]
    assert ordered("name", "version_number ASC")[:2] == ["RM1/1", "RM1/2"]
    open_client.update_model_version("RM1", 1, "touched")
    assert ordered("last_updated_timestamp ASC")[-1] == ordered()[0] == "RM1/1"
    for key, sentence in (
        ("run_id DESC", "Invalid attribute key 'run_id' specified"),
        ("last_updated_timestamp DESC blah", "Invalid order_by clause 'last_updated_timestamp DESC blah'"),
    ):
        assert sentence in refusal(lambda key=key: ordered("name ASC", key))[1]


def test_versions_come_in_pages_of_any_size(open_client: Any) -> None:
    open_client.create_registered_model("m")
    made = [open_client.create_model_version("m", "s3://bucket/model").version for _ in range(12)]
    for order, expected in ((None, made[::-1]), (["version_number"], made), (["name DESC"], made[::-1])):
        token, pages = None, []
        for size in (1, 5, 4, 100):
            page = open_client.search_model_versions("name LIKE 'm%'", size, order, token)
            pages.append([version.version for version in page])
            token = page.token
        assert [len(page) for page in pages] == [1, 5, 4, 2]
        assert [number for page in pages for number in page] == expected
        assert not token
    code, message = refusal(lambda: found(open_client, "", page_token="evilhax"))
    assert (code, message) == (
        "INVALID_PARAMETER_VALUE",
        "INVALID_PARAMETER_VALUE: Invalid page token, could not base64-decode",
    )


def test_the_prompts_api_works_unchanged(open_client: Any) -> None:
    import mlflow

    for text in ("Dear {{name}}", "Hello {{name}}"):
        made = mlflow.genai.register_prompt("greet", text, commit_message=f"says {text}", tags={"tone": "kind"})
    assert (made.version, made.template, made.commit_message, made.tags) == (
        2, "Hello {{name}}", "says Hello {{name}}", {"tone": "kind"},
    )  # fmt: skip
    mlflow.genai.set_prompt_alias("greet", alias="live", version=1)
    assert mlflow.genai.load_prompt("prompts:/greet@live").format(name="Ada") == "Dear Ada"
    assert mlflow.genai.load_prompt("greet", version=2).format(name="Ada") == "Hello Ada"
    assert mlflow.genai.load_prompt("prompts:/greet@latest").version == 2
    mlflow.genai.delete_prompt_alias("greet", alias="live")
    assert mlflow.genai.load_prompt("prompts:/greet@live", allow_missing=True) is None
    open_client.set_prompt_tag("greet", "team", "risk")
    open_client.set_prompt_version_tag("greet", "1", "state", "old")
    assert open_client.get_prompt("greet").tags["team"] == "risk"
    assert open_client.get_prompt_version("greet", "1").tags == {"tone": "kind", "state": "old"}
    open_client.delete_prompt_version_tag("greet", "1", "state")
    open_client.delete_prompt_tag("greet", "team")
    assert [prompt.name for prompt in mlflow.genai.search_prompts()] == ["greet"]
    assert [one.version for one in open_client.search_prompt_versions("greet")] == [2, 1]
    assert open_client.search_registered_models() == open_client.search_model_versions("name = 'greet'") == []
    open_client.create_registered_model("model")
    for taken in (
        lambda: mlflow.genai.register_prompt("model", "x"),
        lambda: open_client.create_registered_model("greet"),
    ):
        refusal(taken)
    _, message = refusal(lambda: mlflow.genai.register_prompt("long", "x" * 100_001))
    assert "100000" in message.replace(",", "")
    open_client.delete_prompt_version("greet", "1")
    open_client.delete_prompt_version("greet", "2")
    open_client.delete_prompt("greet")
    assert list(mlflow.genai.search_prompts("name = 'greet'")) == []
