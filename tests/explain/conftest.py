"""What the explain tests share: the demo data, and a way to run code of the test's own in the sandbox."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from explain.sandbox import Runtime

GERMAN = Path(__file__).resolve().parents[2] / "demo" / "data" / "german.parquet"


@pytest.fixture(scope="session")
def german() -> pd.DataFrame:
    return pd.read_parquet(GERMAN)


@pytest.fixture
def child(tmp_path: Path) -> Callable[[str], Runtime]:
    """A runtime whose child is the given code: what a hostile model could do once it is loaded."""

    def make(code: str) -> Runtime:
        package = tmp_path / "hostile"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(textwrap.dedent(code))
        return Runtime(child=package)

    return make
