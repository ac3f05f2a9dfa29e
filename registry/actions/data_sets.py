"""Data sets: register the bytes and what their columns mean, and link them to a model version.

The rules for names and columns are ``registry/columns.py``; where the bytes lie is ``registry/storage.py``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from access import policy
from audit import digests, door
from audit.actors import Actor
from audit.errors import Conflict, DomainError, Duplicate, Invalid, NotFound
from audit.events import Action
from audit.ids import uuid7
from audit.subjects import Subject
from registry import columns, manifest, storage, tabular
from registry.actions import evidence
from registry.manifest import File, Manifest
from registry.models import DataSet, ModelVersion, VersionDataSet
from registry.states import DataRole, DataState

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_FILENAME: Final = 100
_MOST_FOREIGN: Final = 64


@dataclass(frozen=True)
class _Read:
    """A file that has been received, hashed and understood."""

    file: File
    table: tabular.Table
    meaning: columns.Meaning
    manifest: Manifest
    digest: str

    @property
    def folder(self) -> str:
        return f"{storage.DATA_SETS}/{self.digest}"

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.file.path}"


def register(
    *,
    by: Actor,
    name: str,
    content: BinaryIO,
    filename: str,
    role: str,
    label: str = "",
    favourable: columns.Scalar | None = None,
    protected: Sequence[Mapping[str, Any]] = (),
    identifiers: Mapping[str, str] | None = None,
    excluded: Sequence[str] = (),
    mlflow_digest: str = "",
) -> DataSet:
    """Keep a Parquet or CSV file as the next number under ``name``.

    Raises TooLarge, Invalid (no table, or something said of it does not fit), Duplicate (these bytes have a number
    under this name; its ``details`` say which), Conflict (these bytes were erased).
    """
    key = uuid7()
    with _refusals_recorded(by, _subject(str(key), name)):
        policy.require(by, Action.DATA_SET_CREATE, _subject(str(key), name))
        name = columns.data_set_name(name)
        kind = _role(role)
        if len(mlflow_digest) > _MOST_FOREIGN or not mlflow_digest.isprintable():
            raise Invalid(f"MLflow's digest has at most {_MOST_FOREIGN} printable characters.", code="bad_digest")
    said = {
        "label": label,
        "favourable": favourable,
        "protected": protected,
        "identifiers": identifiers or {},
        "excluded": excluded,
    }
    with storage.incoming() as folder:
        with _refusals_recorded(by, _subject(str(key), name)):
            read = _read(content, filename, folder / "files", said)
        row = DataSet(
            pk=key,
            name=name,
            role=kind.value,
            digest=read.digest,
            manifest=read.manifest,
            rows=read.table.rows,
            columns=read.table.columns,
            path=read.path,
            mlflow_digest=mlflow_digest,
            created_by=by.account or "",
            **vars(read.meaning),
        )
        return _keep(by, row, read, folder / "files")


def _subject(key: str, name: str) -> Subject:
    """The subject of a data set that is not there yet, with a name the trail can hold whatever was sent."""
    try:
        plain = columns.data_set_name(name)
    except Invalid:
        plain = ""
    return Subject(type="data_set", id=key, scope=plain, label=plain)


@contextmanager
def _refusals_recorded(by: Actor, subject: Subject) -> Iterator[None]:
    """Receiving a file takes too long for an open door; what is refused before it opens is recorded all the same."""
    try:
        yield
    except DomainError as error:
        door.refuse(by, Action.DATA_SET_CREATE, subject, error)
        raise


def _role(text: str) -> DataRole:
    try:
        return DataRole(text)
    except ValueError:
        names = ", ".join(role.value for role in DataRole)
        raise Invalid(f"A data set's role is one of {names}; {text[:40]!r} is none.", code="unknown_role") from None


def _read(content: BinaryIO, filename: str, folder: Path, said: Mapping[str, Any]) -> _Read:
    folder.mkdir()
    most = settings.PLIMSOLL_MOST_UPLOAD
    file = storage.write(storage.chunks_of(content), folder, _stored_name(filename), most=most)
    if file.size == 0:
        raise Invalid("The file is empty.", code="empty_file")
    path = folder / file.path
    table = tabular.describe(path)
    if table.rows == 0:
        raise Invalid("The file has columns but no rows.", code="no_rows")
    columns.check_columns(table.columns)
    meaning = columns.meaning(table.columns, **said)
    if meaning.favourable is not None and not tabular.rows_with(path, meaning.label, meaning.favourable):
        raise Invalid(
            f"No row has the favourable value {meaning.favourable!r} in “{meaning.label}”.", code="no_favourable_row"
        )
    made = manifest.of([file])
    return _Read(file, table, meaning, made, manifest.digest(made))


def _stored_name(filename: str) -> str:
    """The last part of a file's name, in characters that no system and no engine reads a meaning into."""
    last = re.split(r"[/\\]", filename)[-1]
    return _UNSAFE.sub("_", last).lstrip(".")[-_MOST_FILENAME:] or "data"


def _keep(by: Actor, row: DataSet, read: _Read, folder: Path) -> DataSet:
    """Store the content and write the row, or leave neither."""
    try:
        with door.open(by, Action.DATA_SET_CREATE, on=_subject(str(row.pk), row.name)) as entry:
            lock(f"content/{read.digest}")
            row.number = next_number(row.name)
            _refuse_known(row.name, read.file.sha256)
            storage.settle(folder, read.folder, read.manifest)
            row.save(force_insert=True)
            meaning = vars(read.meaning)
            entry.record(
                on=row,
                after={
                    "number": row.number,
                    "digest": row.digest,
                    "rows": row.rows,
                    "role": row.role,
                    "columns": digests.of_json(row.columns),
                    "meaning": digests.of_json(meaning),
                },
            )
            return row
    except Exception:
        _forget(read)
        raise


def _forget(read: _Read) -> None:
    """Delete content that no row names: nothing half-written stays, personal data least of all."""
    with transaction.atomic():
        lock(f"content/{read.digest}")
        if not DataSet.objects.filter(path=read.path).exists():
            storage.remove(read.folder)


def next_number(name: str) -> int:
    """The number for the next data set under ``name``; the name is locked until the transaction ends."""
    lock(f"data_set/{name}")
    highest = DataSet.objects.filter(name=name).aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1


def lock(what: str) -> None:
    """Hold ``what`` against everybody else who asks for it, to the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 11))", [what])


def _refuse_known(name: str, sha256: str) -> None:
    same = DataSet.objects.filter(manifest__files__0__sha256=sha256)
    erased = same.filter(state=DataState.ERASED).first()
    if erased is not None:
        raise Conflict(
            f"These bytes were erased as {erased}; they are not taken again.",
            code="data_erased",
            details={"name": erased.name, "number": erased.number},
        )
    known = same.filter(name=name).first()
    if known is not None:
        raise Duplicate(
            f"These bytes are {known} already.",
            code="data_set_exists",
            details={"id": str(known.pk), "name": known.name, "number": known.number, "digest": known.digest},
        )


def link(*, by: Actor, version: ModelVersion, data_set: DataSet, role: str) -> VersionDataSet:
    """Say that a version was trained, validated or evaluated on a data set; start the reports that makes possible.

    Raises Duplicate when that is said already, Conflict when the data set was erased.
    """
    with door.open(by, Action.DATA_SET_LINK, on=version) as entry:
        version = entry.locked
        kind = _role(role)
        if version.deleted_at is not None:
            raise NotFound(f"{version} was deleted.")
        data_set = DataSet.objects.select_for_update().get(pk=data_set.pk)
        if data_set.state == DataState.ERASED:
            raise Conflict(f"The content of {data_set} was erased; link another one.", code="data_erased")
        if VersionDataSet.objects.filter(version=version, data_set=data_set, role=kind.value).exists():
            raise Duplicate(f"{data_set} is linked to {version} as {kind.value} data already.", code="linked")
        row = VersionDataSet.objects.create(
            version=version, data_set=data_set, role=kind.value, created_by=by.account or ""
        )
        started = evidence.start_what_is_ready(version, by.account or "")
        entry.record(
            after={
                "role": kind.value,
                "data_set": str(data_set),
                "digest": data_set.digest,
                "jobs": [job.kind for job in started],
            }
        )
        return row
