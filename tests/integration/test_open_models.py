"""Where nothing is protected, registered models behave for the stock client as on MLflow's own server."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.refusals import refusal

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*(model registry stages|has been deprecated).*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
EXISTS, MISSING, WRONG = "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"


def milliseconds() -> int:
    return int(time.time() * 1000)


def names(found: Any) -> list[str]:
    return [model.name for model in found]


def test_a_model_keeps_what_it_was_made_with(open_client: Any) -> None:
    before = milliseconds()
    made = open_client.create_registered_model("alpha", {"plain": "text", "two words": "v", "n": 12345}, "about it")
    found = open_client.get_registered_model("alpha")
    for model in (made, found):
        assert model.tags == {"plain": "text", "two words": "v", "n": "12345"}
        assert (model.name, model.description, model.latest_versions, model.aliases) == ("alpha", "about it", [], {})
        assert before <= model.creation_timestamp == model.last_updated_timestamp <= milliseconds()
    bare = open_client.create_registered_model("alphabet")
    assert (bare.description, bare.tags) == ("", {})
    assert refusal(lambda: open_client.create_registered_model("alpha")) == (
        EXISTS,
        f"{EXISTS}: Registered Model (name=alpha) already exists.",
    )


def test_a_description_is_replaced_and_a_name_moves_with_all_that_hangs_on_it(open_client: Any) -> None:
    open_client.create_registered_model("old", {"k": "v"})
    for _ in range(2):
        open_client.create_model_version("old", "s3://bucket/model")
    open_client.set_registered_model_alias("old", "blue", "2")
    first = open_client.get_registered_model("old")
    described = open_client.update_registered_model("old", "words")
    assert (described.description, described.creation_timestamp) == ("words", first.creation_timestamp)
    assert described.last_updated_timestamp >= first.last_updated_timestamp
    moment = milliseconds()
    open_client.rename_registered_model("old", "new")
    renamed = open_client.get_registered_model("new")
    assert (renamed.name, renamed.description, renamed.tags, renamed.aliases) == (
        "new", "words", {"k": "v"}, {"blue": "2"},
    )  # fmt: skip
    assert renamed.creation_timestamp == first.creation_timestamp
    assert renamed.last_updated_timestamp >= moment
    for number in (1, 2):
        version = open_client.get_model_version("new", number)
        assert version.name == "new"
        assert version.last_updated_timestamp >= moment > version.creation_timestamp - 1
    for gone in (
        lambda: open_client.get_registered_model("old"),
        lambda: open_client.rename_registered_model("old", "other"),
        lambda: open_client.update_registered_model("old", "x"),
        lambda: open_client.delete_registered_model("old"),
        lambda: open_client.set_registered_model_tag("old", "k", "v"),
        lambda: open_client.delete_registered_model_tag("old", "k"),
        lambda: open_client.get_model_version_by_alias("old", "blue"),
        lambda: open_client.get_latest_versions("old"),
        lambda: open_client.create_model_version("old", "s3://bucket/model"),
    ):
        assert refusal(gone) == (MISSING, f"{MISSING}: Registered Model with name=old not found")
    open_client.create_registered_model("old")
    assert refusal(lambda: open_client.rename_registered_model("new", "old")) == (
        EXISTS,
        f"{EXISTS}: Registered Model (name=old) already exists.",
    )


def test_a_deleted_model_takes_its_versions_along_and_its_name_begins_at_one(open_client: Any) -> None:
    open_client.create_registered_model("gone")
    for stage in ("Production", "Production", "Archived"):
        made = open_client.create_model_version("gone", "s3://bucket/model")
        open_client.transition_model_version_stage("gone", made.version, stage)
    open_client.set_registered_model_alias("gone", "champion", "1")
    open_client.delete_registered_model("gone")
    assert names(open_client.search_registered_models()) == []
    assert open_client.search_model_versions("name = 'gone'") == []
    assert refusal(lambda: open_client.get_model_version("gone", "1")) == (
        MISSING,
        f"{MISSING}: Model Version (name=gone, version=1) not found",
    )
    assert refusal(lambda: open_client.get_model_version_by_alias("gone", "champion"))[0] == MISSING
    open_client.create_registered_model("gone")
    assert open_client.create_model_version("gone", "s3://bucket/model").version == "1"


def test_tags_are_set_replaced_and_taken_off(open_client: Any) -> None:
    for name in ("one", "two"):
        open_client.create_registered_model(name, {"key": "value"})
    open_client.set_registered_model_tag("one", "n", 12345)
    open_client.set_registered_model_tag("one", "key", "other")
    open_client.set_registered_model_tag("one", "empty", "")
    open_client.set_registered_model_tag("one", "long", "a" * 4999)
    assert open_client.get_registered_model("one").tags == {
        "key": "other", "n": "12345", "empty": "", "long": "a" * 4999,
    }  # fmt: skip
    for _ in range(2):
        open_client.delete_registered_model_tag("one", "key")
    assert set(open_client.get_registered_model("one").tags) == {"n", "empty", "long"}
    assert open_client.get_registered_model("two").tags == {"key": "value"}
    code, message = refusal(lambda: open_client.set_registered_model_tag("one", "k", "a" * 100_001))
    assert code == WRONG
    assert "'value' exceeds the maximum length of 100000 characters" in message


@pytest.fixture
def shelf(open_client: Any) -> Any:
    for name in ("find_A1", "find_A2", "find_B", "find_b", "other"):
        open_client.create_registered_model(name, {"t": name[-1], "all": "x"})
    return open_client


FILTERS: list[tuple[str | None, Callable[[str], bool]]] = [
    (None, lambda name: True),
    ("", lambda name: True),
    ("name = 'find_B'", lambda name: name == "find_B"),
    ("name = 'nothing'", lambda name: False),
    ("name LIKE 'find_%'", lambda name: name.startswith("find_")),
    ("name like '%A%'", lambda name: "A" in name),
    ("name LIKE '_ther'", lambda name: name == "other"),
    ("name lIkE '%zz%'", lambda name: False),
    ("name ILIKE '%_b'", lambda name: name.lower() == "find_b"),
    ("name iLike '%%'", lambda name: True),
    ("tags.t = '1'", lambda name: name.endswith("1")),
    ("tag.T = '1'", lambda name: False),
    ("tag.t != '1'", lambda name: not name.endswith("1")),
    ("tags.t ILIKE 'B' AND tags.all = 'x'", lambda name: name.lower() == "find_b"),
    ("tag.t != 'B' and tag.t ILIKE 'b'", lambda name: name == "find_b"),
    ("name = 'find_B' and tag.t = 'b'", lambda name: False),
]


def test_a_search_comes_in_pages_by_name(shelf: Any) -> None:
    everything = names(shelf.search_registered_models())
    assert sorted(everything) == ["find_A1", "find_A2", "find_B", "find_b", "other"]
    for text, keeps in FILTERS:
        for size in (1, 3, 100):
            found: list[str] = []
            page = shelf.search_registered_models(text, size)
            while True:
                assert len(page) <= size
                found += names(page)
                if not page.token:
                    break
                page = shelf.search_registered_models(text, size, page_token=page.token)
            assert found == [name for name in everything if keeps(name)], text


def test_models_come_in_the_order_asked_for(shelf: Any) -> None:
    made = ["find_A1", "find_A2", "find_B", "find_b", "other"]

    def ordered(*keys: str) -> list[str]:
        return names(shelf.search_registered_models(order_by=list(keys)))

    for key in ("timestamp", "last_updated_timestamp"):
        assert ordered(key) == ordered(f"{key} ASC") == ordered(f"{key}\r\raSC") == ordered(f"{key}\nasc") == made
        assert ordered(f"{key} DESC") == ordered(f"{key}  deSc") == made[::-1]
    assert ordered("name DESC") == ordered()[::-1]
    assert ordered("timestamp DESC", "name   desc") == made[::-1]
    shelf.update_registered_model("find_A1", "touched")
    assert ordered("timestamp DESC")[0] == "find_A1"
    for keys, code in (
        (("name", "creation_timestamp DESC"), "Invalid order by key 'creation_timestamp' specified"),
        (("name", "timestamp DESC blah"), "Invalid order_by clause 'timestamp DESC blah'"),
        (("timestamp", "last_updated_timestamp"), "`order_by` contains duplicate fields"),
        (("name", "name DESC"), "`order_by` contains duplicate fields"),
    ):
        assert code in refusal(lambda keys=keys: ordered(*keys))[1]
    assert (
        "Invalid page token, could not base64-decode"
        in (refusal(lambda: shelf.search_registered_models(page_token="evil!"))[1])
    )


def test_prompts_and_models_share_their_names_and_no_search(open_client: Any) -> None:
    prompt = {"mlflow.prompt.is_prompt": "true"}
    registry = open_client._get_registry_client()  # the client in front of it makes prompts in another way
    registry.create_registered_model("model", {"fruit": "apple"})
    registry.create_registered_model("prompt_1", prompt)
    registry.create_registered_model("prompt_2", {**prompt, "fruit": "apple"})
    tag = "tags.`mlflow.prompt.is_prompt`"
    for text, expected in (
        ("", ["model"]),
        ("tags.fruit = 'apple'", ["model"]),
        ("name = 'prompt_1'", []),
        (f"{tag} = 'false'", ["model"]),
        (f"{tag} != 'true'", ["model"]),
        (f"{tag} = 'true'", ["prompt_1", "prompt_2"]),
        (f"{tag} != 'false'", ["prompt_1", "prompt_2"]),
        (f"name = 'prompt_1' and {tag} = 'true'", ["prompt_1"]),
        (f"{tag} = 'true' and tags.fruit = 'apple'", ["prompt_2"]),
    ):
        assert names(open_client.search_registered_models(text)) == expected
    for name, tags, sentence in (
        ("model", None, "Registered Model (name=model) already exists"),
        ("prompt_1", prompt, "Prompt (name=prompt_1) already exists"),
        ("model", prompt, "Tried to create a prompt with name 'model', but the name is already taken by a registered"),
        ("prompt_1", None, "Tried to create a registered model with name 'prompt_1', but the name is already taken by"),
    ):
        code, message = refusal(lambda name=name, tags=tags: registry.create_registered_model(name, tags))
        assert code == EXISTS
        assert message.startswith(f"{EXISTS}: {sentence}")
