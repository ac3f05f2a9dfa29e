"""A data set that is a folder of files: a person is found in any of them and gone from all."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from erasure.states import State
from registry import roots, storage, tabular
from registry.actions import data_sets
from registry.models import DataSet
from tests import erasure_cases as cases
from tests import evidence_cases
from tests.erasure_cases import MAIL

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.PLIMSOLL_DATA = tmp_path / "store"
    shared = tmp_path / "shared"
    (shared / "people/b").mkdir(parents=True)
    settings.PLIMSOLL_DATA_ROOTS = roots.parse(f"file://{shared}", [])
    pq.write_table(pa.table({"email": ["a@x.org", MAIL], "n": [1, 2]}), shared / "people/a.parquet")
    pq.write_table(pa.table({"email": [MAIL, "c@x.org"], "n": [3, 4]}), shared / "people/b/c.parquet")
    return shared / "people"


def test_a_person_goes_from_every_file_of_a_folder(folder: Path) -> None:
    by = evidence_cases.scientist()
    old = data_sets.register_from(
        by=by, name="people", location=str(folder), role="training", identifiers={"email": "email"},
        classification="restricted", retention="r1",
    )  # fmt: skip
    request = cases.executed(cases.officer(), cases.officer())
    assert (request.state, request.problem) == (State.AWAITING_SIGNOFF, "")
    (found,) = request.plan["data_sets"]
    assert (found["rows_found"], found["columns"]) == (2, [{"name": "email", "rows_found": 2}])
    new = DataSet.objects.get(parent=old)
    assert pq.read_table(tabular.content_of(new)).to_pydict() == {"email": ["a@x.org", "c@x.org"], "n": [1, 4]}
    assert (new.rows, new.owner, new.classification, new.retention) == (2, by.account, "restricted", "r1")
    assert not storage.place(f"data-sets/{old.digest}").exists()


def test_csv_files_are_put_together_as_they_are_written(folder: Path) -> None:
    for path in (folder / "a.parquet", folder / "b/c.parquet"):
        path.unlink()
    (folder / "a.csv").write_bytes(f'"email",n\n"{MAIL}",1\n"a@x.org","0,50"'.encode())
    (folder / "b/c.csv").write_bytes(f'email,n\n{MAIL},2\n"b@x.org",3\n'.encode())
    old = data_sets.register_from(
        by=evidence_cases.scientist(), name="people", location=str(folder), role="training",
        identifiers={"email": "email"},
    )  # fmt: skip
    assert old.rows == 4
    request = cases.executed(cases.officer(), cases.officer())
    assert (request.state, request.problem) == (State.AWAITING_SIGNOFF, "")
    rows = tabular.content_of(DataSet.objects.get(parent=old)).read_text()
    assert MAIL not in rows
    assert [line.strip() for line in rows.splitlines()] == ['"email",n', '"a@x.org","0,50"', '"b@x.org",3']
