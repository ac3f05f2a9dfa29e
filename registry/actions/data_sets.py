"""Data sets: register the bytes and what their columns mean, and link them to a model version.

The rules for names and columns are ``registry/columns.py``; where the bytes lie is ``registry/storage.py``.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, QuerySet

from access import policy
from access.models import User
from audit import digests, door
from audit.actors import Actor
from audit.errors import Conflict, DomainError, Duplicate, Invalid, NotFound, TooLarge
from audit.events import Action
from audit.ids import uuid7
from audit.subjects import Subject
from registry import columns, locations, manifest, storage, tabular
from registry.actions import evidence
from registry.manifest import File, Manifest
from registry.models import DataSet, ModelVersion, VersionDataSet
from registry.queries import visible
from registry.states import Classification, DataRole, DataState

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_FILENAME: Final = 100
_MOST_FOREIGN: Final = 64
_RETENTION: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class About:
    """What is said of a data set. ``owner`` is an account's id; empty, it is whoever registers the data set."""

    role: str
    label: str = ""
    favourable: columns.Scalar | None = None
    protected: Sequence[Mapping[str, Any]] = ()
    identifiers: Mapping[str, str] | None = None
    excluded: Sequence[str] = ()
    mlflow_digest: str = ""
    owner: str = ""
    classification: str = ""
    retention: str = ""


@dataclass(frozen=True)
class _Read:
    """Files that have been received, hashed and understood. ``top`` is the file, or the folder they lie in."""

    files: list[File]
    top: str
    table: tabular.Table
    meaning: columns.Meaning
    manifest: Manifest
    digest: str

    @property
    def folder(self) -> str:
        return f"{storage.DATA_SETS}/{self.digest}"

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.top}"


# Puts files into a folder and says what the file, or the folder of files, in it is called.
_Receive = Callable[[Path], tuple[list[File], str]]


def register(*, by: Actor, name: str, content: BinaryIO, filename: str, **about: Any) -> DataSet:
    """Keep a Parquet or CSV file as the next number under ``name``; ``about`` are the fields of ``About``.

    Raises TooLarge, Invalid (no table, or something said of it does not fit), Duplicate (these bytes have a number
    under this name; its ``details`` say which), Conflict (these bytes were erased).
    """
    top = _stored_name(filename)

    def receive(folder: Path) -> tuple[list[File], str]:
        most = settings.PLIMSOLL_MOST_UPLOAD
        return [storage.write(storage.chunks_of(content), folder, top, most=most)], top

    return _register(by, name, About(**about), receive)


def register_from(*, by: Actor, name: str, location: str, **about: Any) -> DataSet:
    """``register`` for a file, or a folder of files, at an address that ``registry/locations.py`` may open.

    Raises NotFound and Unavailable for the place as well, and Conflict when its files change while they are read.
    """
    return _register(by, name, About(**about), lambda folder: _fetch(location, folder), location)


def taken_over(*, by: Actor, name: str, location: str, **about: Any) -> DataSet:
    """The data set with the bytes at an address: one that ``by`` may see and that is there already, under whatever
    name, or else a new one as ``register_from`` makes it.
    """
    return _register(by, name, About(**about), lambda folder: _fetch(location, folder), location, reuse=True)


def _fetch(location: str, folder: Path) -> tuple[list[File], str]:
    place = locations.find(location)
    top, most = _stored_name(place.name), settings.PLIMSOLL_MOST_UPLOAD
    listed = place.entries()
    entries = [entry for entry in listed if entry.size]  # an empty file holds no row
    if not entries:
        raise Invalid("There is no data at this address: no file with a byte in it.", code="empty_file")
    if sum(entry.size for entry in entries) > most:
        raise TooLarge(f"The files are larger than the {most:,} bytes that are accepted.")
    files = [_copy(place, entry, folder, f"{top}/{entry.path}" if entry.path else top) for entry in entries]
    if place.entries() != listed:
        raise locations.moving(place.name)
    return files, top


def _copy(place: locations.Place, entry: locations.Entry, folder: Path, path: str) -> File:
    try:
        file = storage.write(place.read(entry), folder, path, most=entry.size)
    except FileExistsError:
        raise Invalid("Two of the files have the same path once it is normalised.", code="unsafe_path") from None
    except TooLarge:
        raise locations.moving(entry.path or place.name) from None
    if file.size != entry.size:
        raise locations.moving(entry.path or place.name)
    return file


def _register(
    by: Actor, name: str, about: About, receive: _Receive, location: str = "", *, reuse: bool = False
) -> DataSet:
    key = uuid7()
    with _refusals_recorded(by, _subject(str(key), name)):
        policy.require(by, Action.DATA_SET_CREATE, _subject(str(key), name))
        name = columns.data_set_name(name)
        _check_said(about)
    with storage.incoming() as folder:
        with _refusals_recorded(by, _subject(str(key), name)):
            read = _read(receive, folder / "files", about)
        there = visible.data_sets(by).filter(pk__in=_same(read), state=DataState.PRESENT.value) if reuse else None
        if there:
            return min(there, key=lambda one: (one.name != name, one.created_at))
        row = DataSet(
            pk=key,
            name=name,
            role=about.role,
            digest=read.digest,
            manifest=read.manifest,
            rows=read.table.rows,
            columns=read.table.columns,
            path=read.path,
            mlflow_digest=about.mlflow_digest,
            location=location,
            owner=about.owner or by.account or "",
            classification=about.classification,
            retention=about.retention,
            created_by=by.account or "",
            **vars(read.meaning),
        )
        return _keep(by, row, read, folder / "files")


def _check_said(about: About) -> None:
    _role(about.role)
    if len(about.mlflow_digest) > _MOST_FOREIGN or not about.mlflow_digest.isprintable():
        raise Invalid(f"MLflow's digest has at most {_MOST_FOREIGN} printable characters.", code="bad_digest")
    known = [one.value for one in Classification]
    if about.classification and about.classification not in known:
        raise Invalid(f"A data set is classified as one of {', '.join(known)}.", code="unknown_classification")
    if about.retention and not _RETENTION.fullmatch(about.retention):
        raise Invalid(
            "A retention class is a short name: up to 40 small letters, digits, dots, dashes and underscores.",
            code="bad_retention",
        )
    if about.owner and not User.objects.filter(pk=about.owner, is_active=True).exists():
        raise Invalid("The owner is no open account here.", code="unknown_owner")


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


def _read(receive: _Receive, folder: Path, about: About) -> _Read:
    folder.mkdir()
    files, top = receive(folder)
    if not any(file.size for file in files):
        raise Invalid("The file is empty.", code="empty_file")
    path = folder / top
    table = tabular.describe(path)
    if table.rows == 0:
        raise Invalid("The file has columns but no rows.", code="no_rows")
    columns.check_columns(table.columns)
    meaning = columns.meaning(
        table.columns,
        label=about.label,
        favourable=about.favourable,
        protected=about.protected,
        identifiers=about.identifiers or {},
        excluded=about.excluded,
    )
    if meaning.favourable is not None and not tabular.rows_with(path, meaning.label, meaning.favourable):
        raise Invalid(
            f"No row has the favourable value {meaning.favourable!r} in “{meaning.label}”.", code="no_favourable_row"
        )
    made = manifest.of(files)
    return _Read(files, top, table, meaning, made, manifest.digest(made))


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
            _refuse_known(row.name, read)
            storage.settle(folder, read.folder, read.manifest)
            row.save(force_insert=True)
            meaning = vars(read.meaning)
            entry.record(
                on=row,
                after={
                    "number": row.number,
                    "digest": row.digest,
                    "rows": row.rows,
                    "files": len(read.files),
                    "role": row.role,
                    "columns": digests.of_json(row.columns),
                    "meaning": digests.of_json(meaning),
                    "classification": row.classification,
                    "retention": row.retention,
                },
                private={"location": row.location},
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


def _refuse_known(name: str, read: _Read) -> None:
    erased = _erased_with({file.sha256 for file in read.files})
    if erased is not None:
        raise Conflict(
            f"These bytes were erased as {erased}; they are not taken again.",
            code="data_erased",
            details={"name": erased.name, "number": erased.number},
        )
    same = _same(read).filter(name=name).first()
    if same is not None:
        raise Duplicate(
            f"These bytes are {same} already.",
            code="data_set_exists",
            details={"id": str(same.pk), "name": same.name, "number": same.number, "digest": same.digest},
        )


def _same(read: _Read) -> QuerySet[DataSet]:
    """The data sets with these bytes: the same single file, whatever it was called, or the same folder."""
    if len(read.files) > 1:
        return DataSet.objects.filter(digest=read.digest)
    return DataSet.objects.filter(manifest__files__0__sha256=read.files[0].sha256, manifest__files__1__isnull=True)


def _erased_with(sha256s: Collection[str]) -> DataSet | None:
    """An erased data set that held one of these files, alone or among others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM registry_dataset WHERE state = %s AND EXISTS (SELECT FROM"
            " jsonb_array_elements(manifest -> 'files') AS file WHERE file ->> 'sha256' = ANY(%s)) LIMIT 1",
            [DataState.ERASED.value, list(sha256s)],
        )
        found = cursor.fetchone()
    return DataSet.objects.get(pk=found[0]) if found else None


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
