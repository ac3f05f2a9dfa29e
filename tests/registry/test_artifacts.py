"""Pinning: every byte is read once and kept, the digest stands, and a copy that was touched is not loaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from audit.actors import Actor
from audit.errors import Conflict
from audit.models import Event
from registry import storage
from registry.actions import artifacts, data_sets
from registry.models import Evidence, Job, ModelVersion
from registry.states import JobKind, JobState
from tests import evidence_cases as cases

pytestmark = pytest.mark.django_db

FILES = {"MLmodel": b"flavors: {}\n", "data/model.bin": b"\x00\x01\x02"}


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path / "store"


@pytest.fixture
def by() -> Actor:
    return cases.scientist()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        place = tmp_path / "source" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def version(by: Actor, source: Path) -> ModelVersion:
    return cases.pin(cases.version(by), source)


def newest(version: ModelVersion) -> Evidence:
    return version.evidence.order_by("-created_at").first()


def test_the_digest_covers_every_file(version: ModelVersion) -> None:
    entries = ",".join(
        f'{{"path":"{path}","sha256":"{hashlib.sha256(content).hexdigest()}","size":{len(content)}}}'
        for path, content in sorted(FILES.items())
    )
    digest = hashlib.sha256(f'{{"files":[{entries}]}}'.encode()).hexdigest()
    assert version.artifact_digest == digest
    assert version.artifact_pinned_at is not None
    row = newest(version)
    assert (row.kind, row.status) == ("artifact", "OK")
    assert row.result == {"kind": "artifact", "files": 2, "bytes": 15, "digest": digest}
    assert (artifacts.verify(version) / "data/model.bin").read_bytes() == FILES["data/model.bin"]
    after = json.loads(bytes(Event.objects.get(action="artifact.pin").leaf_data))["change"]["after"]
    assert (after["artifact"], after["files"], after["bytes"]) == (digest, 2, 15)
    assert not any((storage.place("artifacts/x").parents[1] / "incoming").iterdir())


def test_the_same_files_again_are_the_same_artifact(version: ModelVersion, source: Path) -> None:
    digest, pinned_at = version.artifact_digest, version.artifact_pinned_at
    cases.pin(version, source)
    assert (version.artifact_digest, version.artifact_pinned_at) == (digest, pinned_at)
    assert [row.status for row in version.evidence.all()] == ["OK", "OK"]


def test_other_files_later_are_an_alarm_and_the_pinned_ones_stand(version: ModelVersion, source: Path) -> None:
    digest = version.artifact_digest
    (source / "data/model.bin").write_bytes(b"\x00\x01\x03")
    cases.pin(version, source)
    assert version.artifact_digest == digest
    row = newest(version)
    assert row.status == "ERROR"
    assert row.reason.startswith("The files at the source have changed since they were pinned")
    assert row.result["digest"] != digest


def flip(folder: Path) -> None:
    (folder / "MLmodel").chmod(0o600)
    (folder / "MLmodel").write_bytes(b"flavors: []\n")


def add(folder: Path) -> None:
    (folder / "data/sitecustomize.py").write_text("")


def take_away(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def point_elsewhere(folder: Path) -> None:
    (folder / "MLmodel").unlink()
    (folder / "MLmodel").symlink_to("/etc/hostname")


@pytest.mark.parametrize("touch", [flip, add, take_away, point_elsewhere])
def test_a_copy_that_was_touched_is_not_loaded(version: ModelVersion, touch: Any) -> None:
    touch(artifacts.verify(version))
    with pytest.raises(Conflict):
        artifacts.verify(version)


def test_pinning_again_repairs_a_copy_that_was_touched(version: ModelVersion, source: Path) -> None:
    flip(artifacts.verify(version))
    cases.pin(version, source)
    artifacts.verify(version)


def test_what_is_not_pinned_is_not_loaded(by: Actor) -> None:
    with pytest.raises(Conflict, match="have not been read and hashed yet"):
        artifacts.verify(cases.version(by))


def test_no_files_yet_is_tried_again_and_then_an_error(by: Actor, tmp_path: Path) -> None:
    version, empty = cases.version(by), tmp_path / "empty"
    empty.mkdir()
    cases.pin(version, empty)
    assert not version.evidence.exists()
    for _ in range(2):
        cases.pin(version, empty)
    row = version.evidence.get()
    assert (row.status, row.reason) == ("ERROR", "There are no files at the source of credit v1.")
    assert Job.objects.get().state == JobState.FAILED


def test_a_path_that_cannot_be_kept_is_an_error_at_once(by: Actor, source: Path) -> None:
    (source / "back\\slash").write_bytes(b"")
    version = cases.pin(cases.version(by), source)
    assert version.artifact_digest == ""
    row = version.evidence.get()
    assert (row.status, row.result["code"]) == ("ERROR", "unsafe_path")


@pytest.mark.parametrize("pinned_first", [True, False])
def test_the_reports_start_when_files_and_data_are_there_whichever_comes_last(
    by: Actor, source: Path, pinned_first: bool
) -> None:
    version, rows = cases.version(by), cases.german(by)

    def waiting() -> set[str]:
        return set(Job.objects.filter(version=version, state=JobState.QUEUED).values_list("kind", flat=True))

    steps = [
        lambda: cases.pin(version, source),
        lambda: data_sets.link(by=by, version=version, data_set=rows, role="evaluation"),
    ]
    data_sets.link(by=by, version=version, data_set=rows, role="training")
    first, last = steps if pinned_first else reversed(steps)
    first()
    assert waiting() == set()
    last()
    assert waiting() == {JobKind.PREDICTIONS, JobKind.EXPLANATION}
