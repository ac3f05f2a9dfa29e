"""Sixteen stock clients on one model at once: numbers without a gap, one alias, no accident and no deadlock."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*(model registry stages|has been deprecated).*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
CLIENTS = 16


def at_once(act: Callable[[int], Any]) -> list[Any]:
    """What sixteen threads get when they do ``act`` at one moment: its value, or MLflow's exception."""
    from mlflow.exceptions import MlflowException

    start = threading.Barrier(CLIENTS)
    found: list[Any] = [None] * CLIENTS

    def work(place: int) -> None:
        start.wait()
        try:
            found[place] = act(place)
        except MlflowException as error:
            found[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def refusals(found: list[Any]) -> Counter[str]:
    from mlflow.exceptions import MlflowException

    return Counter(str(one.error_code) for one in found if isinstance(one, MlflowException))


def test_sixteen_clients_number_versions_without_a_gap_and_move_one_alias(open_client: Any) -> None:
    open_client.create_registered_model("m")

    def add_and_point(place: int) -> list[str]:
        made = []
        for _ in range(3):
            version = open_client.create_model_version("m", "s3://bucket/model").version
            open_client.set_registered_model_alias("m", "blue", version)
            open_client.transition_model_version_stage(
                "m", version, "Staging", archive_existing_versions=place % 2 == 0
            )
            made.append(version)
        return made

    found = at_once(add_and_point)
    assert refusals(found) == {}
    numbers = sorted(int(number) for made in found for number in made)
    assert numbers == list(range(1, 3 * CLIENTS + 1))
    (alias,) = open_client.get_registered_model("m").aliases.values()
    assert open_client.get_model_version_by_alias("m", "blue").version == alias
    shown = [version.version for version in open_client.search_model_versions("name = 'm'")]
    assert sorted(map(int, shown)) == numbers


def test_versions_are_deleted_while_others_are_made_and_no_number_comes_twice(open_client: Any) -> None:
    open_client.create_registered_model("m")

    def add_and_delete(place: int) -> list[str]:
        made = [open_client.create_model_version("m", "s3://bucket/model").version for _ in range(2)]
        open_client.delete_model_version("m", made[place % 2])
        return made

    found = at_once(add_and_delete)
    assert refusals(found) == {}
    assert sorted(int(number) for made in found for number in made) == list(range(1, 2 * CLIENTS + 1))
    assert len(open_client.search_model_versions("name = 'm'")) == CLIENTS
    assert open_client.create_model_version("m", "s3://bucket/model").version == str(2 * CLIENTS + 1)


def test_one_model_is_renamed_and_deleted_by_many_and_only_told_of_it(open_client: Any) -> None:
    """Whoever comes too late is told that there is no such model, or that the name is taken: never an accident."""
    open_client.create_registered_model("m")
    known = {"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"}

    def disturb(place: int) -> None:
        kind = place % 4
        if kind == 0:
            open_client.create_model_version("m", "s3://bucket/model")
        elif kind == 1:
            open_client.rename_registered_model("m", "n")
            open_client.rename_registered_model("n", "m")
        elif kind == 2:
            open_client.set_registered_model_alias("m", "blue", "1")
            open_client.set_model_version_tag("m", "1", "k", str(place))
        else:
            open_client.delete_registered_model("m")
            open_client.create_registered_model("m")

    for _ in range(3):
        assert set(refusals(at_once(disturb))) <= known
    left = [model.name for model in open_client.search_registered_models()]
    assert set(left) <= {"m", "n"}
    for name in left:
        numbers = [int(version.version) for version in open_client.search_model_versions(f"name = '{name}'")]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_of_sixteen_who_make_one_name_one_succeeds(open_client: Any) -> None:
    found = at_once(lambda place: open_client.create_registered_model("same", {"by": place}))
    assert refusals(found) == {"RESOURCE_ALREADY_EXISTS": CLIENTS - 1}
    (made,) = [one for one in found if not isinstance(one, Exception)]
    assert open_client.get_registered_model("same").tags == made.tags
