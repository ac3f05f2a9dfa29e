"""Data sets read from where they lie: allowed places only, nothing outside of them by any spelling, and whole or not
at all.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.actors import Actor
from audit.errors import Conflict, DomainError, Duplicate, Invalid, NotFound, TooLarge
from audit.models import Event
from registry import locations, roots, storage, tabular
from registry.actions import data_sets
from registry.models import DataSet
from registry.states import DataState
from tests import evidence_cases as cases

CSV = b"id,age,paid\n1,30,1\n2,20,0\n"


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    settings.PLIMSOLL_DATA = tmp_path / "store"
    settings.PLIMSOLL_DATA_ROOTS = roots.parse(f"file://{folder}, memory://bucket/curated", [])
    return folder


@pytest.fixture
def bucket() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def by(db: None) -> Actor:
    return cases.scientist()


def take(by: Actor, location: str | Path, **said: Any) -> DataSet:
    return data_sets.register_from(by=by, location=str(location), **{"name": "loans", "role": "training", **said})


def parts(folder: Path) -> None:
    """Two Parquet files with an engine's marks around them."""
    (folder / "year=2024").mkdir(parents=True)
    pq.write_table(pa.table({"email": ["a@x.org", "b@x.org"], "paid": [1, 0]}), folder / "part-0.parquet")
    pq.write_table(pa.table({"email": ["c@x.org"], "paid": [1]}), folder / "year=2024/part-1.parquet")
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".part-0.parquet.crc").write_bytes(b"crc")
    (folder / "empty.parquet").write_bytes(b"")


def test_a_file_in_an_allowed_folder(by: Actor, root: Path) -> None:
    (root / "loans.csv").write_bytes(CSV)
    row = take(by, root / "loans.csv", classification="confidential", retention="loans-10y")
    sha256 = hashlib.sha256(CSV).hexdigest()
    canonical = f'{{"files":[{{"path":"loans.csv","sha256":"{sha256}","size":{len(CSV)}}}]}}'
    assert row.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert (row.rows, row.location) == (2, str(root / "loans.csv"))
    assert (row.owner, row.classification, row.retention) == (by.account, "confidential", "loans-10y")
    (root / "loans.csv").unlink()  # what is registered is a copy
    assert tabular.content_of(row).read_bytes() == CSV
    entry = json.loads(bytes(Event.objects.get(action="data_set.create").leaf_data))["change"]
    assert str(root) not in json.dumps(entry)  # an address may name people: it is committed to, not shown


def test_the_same_bytes_are_the_same_data_set_wherever_they_lay(by: Actor, root: Path) -> None:
    (root / "a.csv").write_bytes(CSV)
    (root / "b.csv").write_bytes(CSV)
    take(by, root / "a.csv")
    with pytest.raises(Duplicate, match="These bytes are loans v1 already"):
        take(by, f"file://{root}/b.csv")


def test_a_folder_of_parquet_files_is_one_table(by: Actor, root: Path, tmp_path: Path) -> None:
    parts(root / "loans")
    row = take(by, root / "loans")
    assert [entry["path"] for entry in row.manifest["files"]] == [
        "loans/part-0.parquet", "loans/year=2024/part-1.parquet",
    ]  # fmt: skip
    assert (row.rows, [column["name"] for column in row.columns]) == (3, ["email", "paid"])
    assert row.path == f"data-sets/{row.digest}/loans"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert pq.read_table(tabular.as_parquet(row, scratch)).to_pydict() == {
        "email": ["a@x.org", "b@x.org", "c@x.org"], "paid": [1, 0, 1],
    }  # fmt: skip
    with pytest.raises(Duplicate):
        take(by, root / "loans")
    (storage.existing(row.path) / "more.parquet").write_bytes(b"")
    with pytest.raises(Conflict, match=r"loans/more.parquet differs"):
        tabular.content_of(row)


def test_a_folder_of_different_tables_is_none(by: Actor, root: Path) -> None:
    folder = root / "mixed"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CSV)
    (folder / "b.csv").write_bytes(b"id,years,paid\n1,2,3\n")
    with pytest.raises(Invalid, match=r"do not have the same columns: b.csv differs"):
        take(by, folder)
    pq.write_table(pa.table({"id": [1]}), folder / "b.csv")
    with pytest.raises(Invalid, match="both Parquet and CSV"):
        take(by, folder)
    (folder / "a.csv").unlink()
    pq.write_table(pa.table({"id": ["1"]}), folder / "c.parquet")
    with pytest.raises(Invalid, match="do not have the same columns"):
        take(by, folder)
    assert not DataSet.objects.exists()
    assert not any(path.is_file() for path in (storage.place("data-sets/x").parents[1]).rglob("*"))


FORBIDDEN = [
    "/etc/passwd", "file:///etc/passwd", "file://localhost/etc/passwd", "{root}/../secret.csv",
    "{root}/%2e%2e/secret.csv", "{root}/%252e%252e/secret.csv", "{root}-other/x.csv", "{root}/./x.csv",
    "{root}//x.csv", "{root}\\x.csv", "http://127.0.0.1:5432/", "https://example.org/x.csv", "ftp://example.org/x",
    "github://a:b@/x", "memory://other/x", "memory://bucket/curated-not/x", "memory://bucket/curated/../secret",
    "simplecache::file:///etc/passwd", "zip://x::file://{root}/x.zip", "s3://bucket/curated/x", "user:pass@s3://x",
    "memory://me:secret@bucket/curated/x", "file://{root}/x?y", "file://{root}/x#y", "data:text/csv,a", "x.csv",
    "", " ", "{root}/x\n.csv", "//{root}/x", "file:", "file://[::1/x", "mlflow-artifacts:/../x",
    "mlflow-artifacts://host/x", "mlflow-artifacts:/a/%2e%2e/b", "a" * 1001,
]  # fmt: skip


@pytest.mark.parametrize("location", FORBIDDEN)
def test_nothing_else_is_ever_opened(by: Actor, root: Path, location: str) -> None:
    (root.parent / "secret.csv").write_bytes(CSV)
    (root.parent / "shared-other").mkdir()
    (root.parent / "shared-other/x.csv").write_bytes(CSV)
    fsspec.filesystem("memory").pipe("/other/x", CSV)
    with pytest.raises(Invalid) as refused:
        take(by, location.replace("{root}", str(root)))
    assert refused.value.code in {
        "bad_location", "location_not_allowed", "credentials_in_location", "foreign_location", "path_outside",
    }  # fmt: skip
    assert "secret@" not in refused.value.sentence
    assert not DataSet.objects.exists()
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("second", [b"id,age,paid\r\n3,40,1\r\n4,50,0\r\n", b"id;age;paid\n3;40;1\n4;50;0\n"])
def test_csv_files_that_are_written_differently_are_refused_and_lose_no_row(
    by: Actor, root: Path, second: bytes
) -> None:
    (root / "loans").mkdir()
    (root / "loans/a.csv").write_bytes(CSV)
    (root / "loans/b.csv").write_bytes(second)
    with pytest.raises(Invalid, match=r"do not have the same (columns|line ends): b.csv differs"):
        take(by, root / "loans")
    (root / "loans/b.csv").write_bytes(b"id,age,paid\n3,40,1\n4,x,0\n")
    row = take(by, root / "loans")
    assert row.rows == 4
    assert [column["type"] for column in row.columns] == ["BIGINT", "VARCHAR", "BIGINT"]


@pytest.mark.parametrize("where", ["file", "folder", "inside"])
def test_links_are_not_followed(by: Actor, root: Path, where: str) -> None:
    secret = root.parent / "secret"
    secret.mkdir()
    (secret / "x.csv").write_bytes(CSV)
    (root / "folder").mkdir()
    if where == "file":
        (root / "x.csv").symlink_to(secret / "x.csv")
        location = root / "x.csv"
    elif where == "folder":
        (root / "linked").symlink_to(secret)
        location = root / "linked/x.csv"
    else:
        (root / "folder/x.csv").symlink_to(secret / "x.csv")
        location = root / "folder"
    with pytest.raises(Invalid, match="not followed"):
        take(by, location)


def test_what_is_no_file_is_refused_and_waits_for_nobody(by: Actor, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(Invalid, match="neither a file nor a folder"):
        take(by, root / "pipe")
    (root / "folder").mkdir()
    os.mkfifo(root / "folder/pipe")
    with pytest.raises(Invalid, match="no ordinary file"):
        take(by, root / "folder")
    (root / "x.csv").write_bytes(CSV)
    for location in (root / "nowhere.csv", root / "nowhere/x.csv"):
        with pytest.raises(NotFound, match="nothing at this address"):
            take(by, location)
    with pytest.raises(Invalid):
        take(by, root / "x.csv/below")


def test_empty_and_hollow_places(by: Actor, root: Path) -> None:
    (root / "empty.csv").write_bytes(b"")
    (root / "folder").mkdir()
    (root / "folder/_SUCCESS").write_bytes(b"x")
    (root / "header.csv").write_bytes(b"a,b\n")
    (root / "latin.csv").write_bytes("name\nMüller\n".encode("latin-1"))
    (root / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    said = {
        "empty.csv": "no file with a byte in it",
        "folder": "no file with a byte in it",
        "header.csv": "no rows",
        "latin.csv": "cannot be read as a table",
        "image.png": "neither Parquet nor CSV in UTF-8",
    }
    for name, sentence in said.items():
        with pytest.raises(Invalid, match=sentence):
            take(by, root / name)
    assert not DataSet.objects.exists()


def test_more_than_is_accepted(by: Actor, root: Path, settings: Any) -> None:
    settings.PLIMSOLL_MOST_UPLOAD = 30
    (root / "folder").mkdir()
    for name in ("a.csv", "b.csv"):
        (root / "folder" / name).write_bytes(CSV)  # 24 bytes each
    with pytest.raises(TooLarge, match="30 bytes"):
        take(by, root / "folder")
    assert take(by, root / "folder/a.csv").rows == 2


class Writer:
    """Somebody who writes to a folder each time we look."""

    def __init__(self, place: Any, act: Any) -> None:
        self.place, self.act, self.name, self.looked = place, act, place.name, 0

    def entries(self) -> list[locations.Entry]:
        found: list[locations.Entry] = self.place.entries()
        self.looked += 1
        if self.looked == 1:
            self.act()
        return found

    def read(self, entry: locations.Entry) -> Iterator[bytes]:
        yield from self.place.read(entry)


@pytest.mark.parametrize("deed", ["longer", "shorter", "same size", "another file", "gone"])
def test_what_changes_while_it_is_read_is_not_taken(
    by: Actor, root: Path, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "loans"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CSV)
    deeds = {
        "longer": lambda: (folder / "a.csv").write_bytes(CSV + b"3,4,1\n"),
        "shorter": lambda: (folder / "a.csv").write_bytes(CSV[:-6]),
        "same size": lambda: (folder / "a.csv").write_bytes(CSV.replace(b"30", b"31")),
        "another file": lambda: (folder / "b.csv").write_bytes(CSV),
        "gone": (folder / "a.csv").unlink,
    }
    find = locations.find
    monkeypatch.setattr(locations, "find", lambda location: Writer(find(location), deeds[deed]))
    with pytest.raises((Conflict, NotFound)) as refused:
        take(by, folder)
    assert refused.value.code in {"files_moving", "not_found"}
    assert not DataSet.objects.exists()


def test_an_object_store_by_its_prefix_and_by_its_object(by: Actor, bucket: Any) -> None:
    bucket.pipe("/bucket/curated/loans/part-0.csv", CSV)
    bucket.pipe("/bucket/curated/loans/_SUCCESS", b"")
    row = take(by, "memory://bucket/curated/loans")
    assert [entry["path"] for entry in row.manifest["files"]] == ["loans/part-0.csv"]
    one = take(by, "memory://bucket/curated/loans/part-0.csv", name="one")
    assert (one.rows, one.location) == (2, "memory://bucket/curated/loans/part-0.csv")
    with pytest.raises(NotFound):
        take(by, "memory://bucket/curated/nothing")


def test_a_store_without_its_library_is_a_sentence(by: Actor, settings: Any) -> None:
    settings.PLIMSOLL_DATA_ROOTS = roots.parse("oci://bucket", [])
    with pytest.raises(Invalid, match="the library for it is not installed"):
        take(by, "oci://bucket/x.csv")


@pytest.mark.parametrize("text", [
    "http://x/y", "https://x", "/srv", "ftp://x", "file://host/x", "file://relative", "s3://", "s3://k:s@bucket",
    "s3://b/../c", "s3://b?x", "zip::s3://b", "file:///srv/%2e%2e",
])  # fmt: skip
def test_roots_that_cannot_be_allowed_stop_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        roots.parse(text, [])


def test_a_root_may_not_reach_our_own_files(tmp_path: Path) -> None:
    own = tmp_path / "var"
    (own / "keys").mkdir(parents=True)
    (tmp_path / "link").symlink_to(own)
    for folder in (own, own / "keys", tmp_path, Path("/"), tmp_path / "link"):
        with pytest.raises(ValueError, match="overlaps"):
            roots.parse(f"file://{folder}", [own])
    assert roots.parse(f"file://{tmp_path / 'other'}/", [own]) == (f"file://{tmp_path / 'other'}",)
    assert roots.parse(" , ", [own]) == ()


def test_erased_bytes_are_not_taken_again_not_even_a_part(by: Actor, root: Path) -> None:
    parts(root / "loans")
    row = take(by, root / "loans")
    from audit import guard

    with guard.allow("test"):
        DataSet.objects.filter(pk=row.pk).update(state=DataState.ERASED.value, path="")
    with pytest.raises(Conflict, match="were erased as loans v1"):
        take(by, root / "loans", name="other")
    with pytest.raises(Conflict, match="were erased as loans v1"):
        take(by, root / "loans/part-0.parquet", name="other")


def test_every_refusal_is_recorded(by: Actor) -> None:
    with pytest.raises(DomainError):
        take(by, "/etc/passwd")
    event = Event.objects.get(action="data_set.create", outcome="denied")
    assert b"location_not_allowed" in bytes(event.leaf_data)


@pytest.mark.parametrize(("said", "code"), [
    ({"classification": "top secret"}, "unknown_classification"), ({"retention": "Ten Years"}, "bad_retention"),
    ({"owner": "00000000-0000-4000-8000-000000000000"}, "unknown_owner"),
])  # fmt: skip
def test_what_is_said_must_fit(by: Actor, root: Path, said: dict[str, str], code: str) -> None:
    (root / "x.csv").write_bytes(CSV)
    with pytest.raises(Invalid) as refused:
        take(by, root / "x.csv", **said)
    assert refused.value.code == code
