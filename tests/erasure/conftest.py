"""Every test of erasure has a data folder and a key folder of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit import keys


@pytest.fixture(autouse=True)
def _own_folders(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("django_db") is None and "fresh_database" not in request.fixturenames:
        yield  # the engine's tests need neither
        return
    settings: Any = request.getfixturevalue("settings")
    folder: Path = request.getfixturevalue("tmp_path")
    settings.PLIMSOLL_DATA = folder
    settings.PLIMSOLL_KEYS = folder / "keys"
    keys.secret.cache_clear()
    yield
    keys.secret.cache_clear()
