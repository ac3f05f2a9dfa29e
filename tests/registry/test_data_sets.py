"""Data sets: what is kept of a file, what is refused and in which words, and what a link sets going."""

import hashlib
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.errors import Conflict, Denied, Duplicate, Invalid, NotFound, TooLarge
from audit.events import Action
from audit.models import Event
from erasure.engine.identifiers import IdentifierType
from registry import columns, storage, tabular
from registry.actions import data_sets
from registry.models import DataSet
from registry.states import DataRole, DataState
from tests import evidence_cases as cases
from tests import factories

CSV = b"id,age,sex,paid\n1,30,f,1\n2,20,m,0\n3,41,f,1\n"


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path


@pytest.fixture
def by(db: None) -> Actor:
    return cases.scientist()


def csv(by: Actor, content: bytes = CSV, **said: Any) -> DataSet:
    given = {"name": "loans", "filename": "loans.csv", "role": "training", **said}
    return data_sets.register(by=by, content=io.BytesIO(content), **given)


def stored() -> list[str]:
    root = storage.place("data-sets/x").parent
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_parquet_file_is_kept_with_its_digest_and_its_columns(by: Actor) -> None:
    row = cases.german(by)
    # Size and SHA-256 as demo/data/README.md states them.
    sha256 = "cc6c51e43ad06b9fc8c973711a8d2661808415afcac6a897b84fdbf85c21e2a8"
    canonical = f'{{"files":[{{"path":"german.parquet","sha256":"{sha256}","size":31524}}]}}'
    assert row.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert (row.number, row.rows, len(row.columns), row.state) == (1, 1000, 24, DataState.PRESENT)
    assert row.columns[13] == {"name": "age", "type": "BIGINT"}
    assert row.path == f"data-sets/{row.digest}/german.parquet"
    assert storage.existing(row.path).read_bytes() == cases.GERMAN.read_bytes()
    assert row.created_by == by.account


def test_a_csv_file_is_known_by_its_content(by: Actor, tmp_path: Path) -> None:
    row = csv(by, filename=r"C:\tmp\..\Loans (2024).parquet")
    assert row.path.endswith("/Loans_2024_.parquet")
    assert [column["type"] for column in row.columns] == ["BIGINT", "BIGINT", "VARCHAR", "BIGINT"]
    assert row.rows == 3
    import pyarrow.parquet as pq

    table = pq.read_table(tabular.as_parquet(row, tmp_path))
    assert table.to_pylist()[1] == {"id": 2, "age": 20, "sex": "m", "paid": 0}


def test_what_a_form_sends_as_text_is_brought_to_the_kind_of_the_column(by: Actor) -> None:
    row = csv(
        by,
        label="paid",
        favourable="1",
        protected=[
            {"column": "age", "privileged": {"op": ">=", "value": "25"}},
            {"name": "gender", "column": "sex", "privileged": {"op": "in", "value": "f"}},
        ],
        identifiers={"id": "customer_id"},
        excluded=["id", "id"],
    )
    row.refresh_from_db()
    assert row.favourable == 1
    assert row.protected == [
        {"name": "age", "column": "age", "privileged": {"op": ">=", "value": 25}},
        {"name": "gender", "column": "sex", "privileged": {"op": "in", "value": ["f"]}},
    ]
    assert (row.identifiers, row.excluded) == ({"id": "customer_id"}, ["id"])


def test_the_same_bytes_under_the_same_name_are_told_their_number(by: Actor) -> None:
    first = csv(by)
    with pytest.raises(Duplicate, match=r"These bytes are loans v1 already\.") as refused:
        csv(by, filename="renamed.csv")
    assert refused.value.details == {"id": str(first.pk), "name": "loans", "number": 1, "digest": first.digest}
    assert csv(by, CSV + b"4,50,m,1\n").number == 2
    assert csv(by, name="other").digest == first.digest
    assert len(stored()) == 2


def test_bytes_that_were_erased_do_not_come_back(by: Actor) -> None:
    row = csv(by)
    erase(row)
    with pytest.raises(Conflict, match="These bytes were erased as loans v1"):
        csv(by, name="again")
    assert stored() == []


def erase(row: DataSet) -> None:
    storage.remove(row.path)
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=row) as entry:
        DataSet.objects.filter(pk=row.pk).update(state=DataState.ERASED, path="")
        entry.record(after={"state": "erased"})
    row.refresh_from_db()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"name": ""}, "Give the data set a name."),
        ({"name": "a/b"}, "may not hold a slash"),
        ({"name": "a\x00b"}, "may not hold a slash"),
        ({"name": "x" * 257}, "at most 256 characters, not 257"),
        ({"role": "test"}, "one of training, validation, evaluation; 'test' is none"),
        ({"label": "nope"}, "The label column “nope” is not in the file."),
        ({"favourable": 1}, "A favourable value needs a label column"),
        ({"label": "paid", "favourable": 2}, "No row has the favourable value 2 in “paid”."),
        ({"label": "paid", "favourable": "yes"}, "“yes” is no number, and its column holds numbers."),
        ({"label": "sex", "favourable": 1}, "The favourable value “1” does not fit its column, which holds text."),
        ({"label": "paid", "favourable": float("nan")}, "must be a finite number"),
        ({"excluded": ["nope"]}, "The excluded column “nope” is not in the file."),
        ({"identifiers": {"nope": "email"}}, "The identifier column “nope” is not in the file."),
        ({"identifiers": {"id": "passport"}}, "the kinds are email, customer_id, row_id, string"),
        ({"protected": [{"column": "nope", "privileged": {"op": "in", "value": [1]}}]}, "“nope” is not in the file"),
        ({"protected": [{"column": "sex"}]}, "A protected attribute is"),
        ({"protected": [{"column": "age", "privileged": {"op": "==", "value": 1}}]}, "needs “op”, one of in, >, >="),
        ({"protected": [{"column": "sex", "privileged": {"op": ">", "value": 1}}]}, "takes a column of numbers"),
        ({"protected": [{"column": "sex", "privileged": {"op": "in", "value": []}}]}, "a list of 1 to 100 values"),
        ({"protected": [cases.AGE, cases.AGE]}, "Two protected attributes are called “age”"),
        ({"protected": [cases.AGE], "label": "age"}, "The label column “age” cannot be a protected attribute"),
        ({"mlflow_digest": "x" * 65}, "at most 64 printable characters"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(by: Actor, said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        csv(by, **said)
    assert sentence in refused.value.sentence
    assert not DataSet.objects.exists()
    assert not (storage.place("data-sets/x").parent).exists()
    entry = json.loads(bytes(Event.objects.get(action="data_set.create").leaf_data))
    assert (entry["outcome"], entry["reason_code"]) == ("denied", refused.value.code)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"   \n", "The file is neither Parquet nor CSV in UTF-8."),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "The file is neither Parquet nor CSV in UTF-8."),
        ("a,b\n1,ü\n".encode("utf-16"), "The file is neither Parquet nor CSV in UTF-8."),
        (b"PARE" + b"x" * 100, "The Parquet file is encrypted"),
        (b"PAR1" + b"x" * 100, "The file cannot be read as a table"),
        (b"a,b\n", "The file has columns but no rows."),
        (b'"a\nb",c\n1,2\n', "without control characters"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(by: Actor, content: bytes, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        csv(by, content)
    assert sentence in refused.value.sentence


def test_a_file_beyond_the_limit_is_refused_before_it_is_kept(by: Actor, settings: Any) -> None:
    settings.PLIMSOLL_MOST_UPLOAD = len(CSV)
    csv(by)
    with pytest.raises(TooLarge, match=f"larger than the {len(CSV)} bytes"):
        csv(by, CSV + b"4")


def test_a_viewer_may_not_register_data(by: Actor) -> None:
    with pytest.raises(Denied, match="You may not register a data set"):
        csv(factories.actor(Role.VIEWER))
    narrow = factories.actor(Role.DATA_SCIENTIST, pattern="credit-*")
    with pytest.raises(Denied, match="on loans"):
        csv(narrow)


def test_the_kinds_of_identifier_are_those_an_erasure_searches_by() -> None:
    assert set(columns.IDENTIFIER_KINDS) == {kind.value for kind in IdentifierType}


def test_two_who_register_at_once_get_two_numbers(fresh_database: str) -> None:
    by = cases.scientist()
    numbers: list[int] = []
    together = threading.Barrier(3)

    def register(extra: bytes) -> None:
        together.wait()
        numbers.append(csv(by, CSV + extra).number)
        connection.close()

    threads = [threading.Thread(target=register, args=(b"%d,1,f,1\n" % number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [1, 2, 3]


def test_content_that_was_changed_on_disk_is_not_read(by: Actor, tmp_path: Path) -> None:
    row = csv(by)
    place = storage.existing(row.path)
    place.chmod(0o600)
    place.write_bytes(CSV.replace(b"30", b"31"))
    with pytest.raises(Conflict, match="The stored content of loans v1 is not what was registered"):
        tabular.as_parquet(row, tmp_path)


def test_reading_a_file_does_not_make_the_web_process_grow() -> None:
    script = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'web.settings'; django.setup()\n"
        "from pathlib import Path; from registry.actions import data_sets; from registry import tabular\n"
        "import registry.tasks, fairness.tasks, explain.tasks\n"
        "tabular.describe(Path('demo/data/german.parquet'))\n"
        "large = ('duckdb', 'pyarrow', 'pandas', 'numpy', 'mlflow', 'shap', 'aif360')\n"
        "print([name for name in large if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_link_is_made_once_and_recorded(by: Actor) -> None:
    version, row = cases.version(by), csv(by)
    data_sets.link(by=by, version=version, data_set=row, role="training")
    with pytest.raises(Duplicate, match="loans v1 is linked to credit v1 as training data already"):
        data_sets.link(by=by, version=version, data_set=row, role="training")
    data_sets.link(by=by, version=version, data_set=row, role="evaluation")
    assert version.data_links.count() == 2
    entries = Event.objects.filter(action="data_set.link", outcome="success").order_by("object_n")
    assert json.loads(bytes(entries[0].leaf_data))["change"]["after"] == {
        "data_set": "loans v1",
        "digest": row.digest,
        "jobs": [],
        "role": "training",
    }


def test_what_cannot_be_linked_says_why(by: Actor) -> None:
    version, row = cases.version(by), csv(by)
    with pytest.raises(Invalid, match="A data set's role is one of training, validation, evaluation"):
        data_sets.link(by=by, version=version, data_set=row, role="")
    with pytest.raises(Denied, match="You may not link a data set"):
        data_sets.link(by=factories.actor(Role.REVIEWER), version=version, data_set=row, role="training")
    erase(row)
    with pytest.raises(Conflict, match="The content of loans v1 was erased"):
        data_sets.link(by=by, version=version, data_set=row, role=DataRole.TRAINING)
    with pytest.raises(NotFound):
        storage.existing("data-sets/none/x")
