"""Files are read again: what differs is an alarm that blocks promotion, what cannot be read is neither, and only a
check that read every byte where the alarm saw it clears one.
"""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from access.roles import Role
from audit.actors import Actor
from audit.errors import Conflict, NotFound, Unavailable
from audit.models import Event
from registry import jobs, rules
from registry.actions import artifacts, checks, promotion, versions, work
from registry.models import ArtifactAlarm, ArtifactCheck, Job, ModelVersion
from registry.states import CheckOutcome, DecisionKind, JobKind, JobState
from tests import evidence_cases as cases
from tests import factories
from tests.web.rest.test_promotion_api import version_of

pytestmark = pytest.mark.django_db
FILES = {"MLmodel": b"flavors: {}\n", "data/model.bin": b"\x00\x01\x02"}


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path / "store"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        place = tmp_path / "source" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def by() -> Actor:
    return cases.scientist()


@pytest.fixture
def version(by: Actor, source: Path) -> ModelVersion:
    return cases.pin(cases.version(by), source)


def check(version: ModelVersion, source: Any, by: Actor | None = None) -> ArtifactCheck:
    """A check as the worker does it, asked for by somebody or on schedule."""
    job = checks.ask(by=by, version=version) if by else cases.job(version, JobKind.CHECK)
    place = cases.Folder(source) if isinstance(source, Path) else source
    work.run(str(job.pk), lambda held: checks.check(held, source=place), checks.give_up)
    job.refresh_from_db()
    assert job.state == JobState.DONE
    return ArtifactCheck.objects.get(version=version)


def copy_of(version: ModelVersion) -> Path:
    return artifacts.verify(version)


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def entries(action: str) -> list[dict[str, Any]]:
    rows = Event.objects.filter(action=action, outcome="success").order_by("recorded_at")
    return [json.loads(bytes(row.leaf_data))["change"].get("after") for row in rows]


def test_pinning_is_the_first_check(version: ModelVersion) -> None:
    row = ArtifactCheck.objects.get(version=version)
    assert row.outcome == "GOOD"
    assert row.due_at - row.checked_at == timedelta(days=7)
    assert rules.alarm_on(version) is None


def test_a_check_that_was_asked_for_is_an_entry_and_a_good_one_on_schedule_is_none(
    by: Actor, version: ModelVersion, source: Path
) -> None:
    check(version, source, by)
    assert [sorted(after) for after in entries("artifact.check")] == [
        ["artifact", "job"],
        ["artifact", "job", "outcome"],
    ]
    assert entries("artifact.check")[1]["outcome"] == "GOOD"
    Job.objects.update(requested_by="")
    with_nobody = cases.job(version, JobKind.CHECK)
    Job.objects.filter(pk=with_nobody.pk).update(requested_by="")
    work.run(str(with_nobody.pk), lambda held: checks.check(held, source=cases.Folder(source)), checks.give_up)
    assert len(entries("artifact.check")) == 2


def test_one_changed_byte_in_the_copy_is_an_alarm_that_names_the_file(version: ModelVersion, source: Path) -> None:
    overwrite(copy_of(version) / "data/model.bin", b"\x00\x01\x03")
    row = check(version, source)
    assert row.outcome == "MISMATCH"
    assert row.due_at - row.checked_at == timedelta(days=1)
    assert row.found["copy"] == {
        "outcome": "MISMATCH",
        "sentence": "1 file differs in the stored copy.",
        "differing": [{"path": "data/model.bin", "how": "changed"}],
        "more": 0,
    }
    assert row.found["source"]["outcome"] == "GOOD"
    alarm = ArtifactAlarm.objects.get()
    assert (alarm.version, alarm.digest, list(alarm.found)) == (version, version.artifact_digest, ["copy"])
    (entry,) = entries("artifact.alarm")
    assert entry["standing"] is True
    assert entry["differing_copy"] == {"count": 1, "first": ["data/model.bin"]}
    check(version, source)  # and it is one alarm, however often it is seen
    assert ArtifactAlarm.objects.count() == 1
    assert len(entries("artifact.alarm")) == 1


def test_every_kind_of_difference_has_its_word(version: ModelVersion, source: Path) -> None:
    copy = copy_of(version)
    (copy / "MLmodel").unlink()
    (copy / "MLmodel").symlink_to("/etc/hostname")
    (copy / "data/model.bin").unlink()
    (copy / "sitecustomize.py").write_text("")
    assert check(version, source).found["copy"]["differing"] == [
        {"path": "MLmodel", "how": "a link"},
        {"path": "data/model.bin", "how": "missing"},
        {"path": "sitecustomize.py", "how": "unexpected"},
    ]


def test_files_at_the_source_are_watched_too(version: ModelVersion, source: Path) -> None:
    (source / "data/model.bin").write_bytes(b"\x00\x01\x03")
    (source / "MLmodel").unlink()
    (source / "evil.py").write_text("")
    row = check(version, source)
    assert (row.outcome, row.found["copy"]["outcome"]) == ("MISMATCH", "GOOD")
    assert row.found["source"]["differing"] == [
        {"path": "MLmodel", "how": "missing"},
        {"path": "data/model.bin", "how": "changed"},
        {"path": "evil.py", "how": "unexpected"},
    ]
    assert list(ArtifactAlarm.objects.get().found) == ["source"]


class Gone(cases.Folder):
    """A source that cannot be asked."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))

    def iter_files(self, location: str) -> Iterator[tuple[str, int]]:
        raise Unavailable("The tracking server does not answer right now; try again in a moment.")


class Writing(cases.Folder):
    """A source whose files grow while they are read."""

    def fetch(self, location: str, relative_path: str) -> Iterator[bytes]:
        yield from super().fetch(location, relative_path)
        yield b"more"


def test_what_cannot_be_read_is_inconclusive_and_no_alarm(version: ModelVersion, source: Path, tmp_path: Path) -> None:
    assert check(version, Gone()).found["source"]["outcome"] == "INCONCLUSIVE"
    (tmp_path / "empty").mkdir()
    assert (
        check(version, tmp_path / "empty").found["source"]["sentence"] == "There are no files at the source any more."
    )
    moving = check(version, Writing(source)).found["source"]
    assert moving["outcome"] == "INCONCLUSIVE"
    assert "was written while it was read" in moving["sentence"]
    shutil.rmtree(copy_of(version))
    row = check(version, source)
    assert row.outcome == "INCONCLUSIVE"
    assert row.found["copy"] == {
        "outcome": "INCONCLUSIVE", "sentence": "The stored copy is not there.", "differing": [], "more": 0,
    }  # fmt: skip
    assert not ArtifactAlarm.objects.exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root reads what nobody may")
def test_a_copy_that_may_not_be_read_is_inconclusive(version: ModelVersion, source: Path) -> None:
    (copy_of(version) / "MLmodel").chmod(0)
    assert check(version, source).outcome == "INCONCLUSIVE"


def test_an_alarm_is_cleared_only_where_it_was_raised(version: ModelVersion, source: Path) -> None:
    model = copy_of(version) / "MLmodel"
    overwrite(model, b"other\n")
    check(version, source)
    overwrite(model, FILES["MLmodel"])
    # The source being right says nothing of the copy, and a copy that cannot be read neither.
    model.parent.rename(model.parent.with_suffix(".away"))
    assert check(version, source).outcome == "INCONCLUSIVE"
    assert rules.alarm_on(version) is not None
    model.parent.with_suffix(".away").rename(model.parent)
    # The tracking server may be away: the alarm was about the copy.
    check(version, Gone())
    assert rules.alarm_on(version) is None
    assert ArtifactAlarm.objects.get().cleared_at is not None
    assert [entry["standing"] for entry in entries("artifact.alarm")] == [True, False]


def test_another_version_does_not_clear_it_and_the_same_files_share_it(
    by: Actor, version: ModelVersion, source: Path, tmp_path: Path
) -> None:
    twin = cases.pin(cases.version(by, "twin"), source)
    other_files = tmp_path / "other"
    other_files.mkdir()
    (other_files / "MLmodel").write_bytes(b"other\n")
    overwrite(copy_of(version) / "MLmodel", b"touched\n")
    check(version, source)
    other = cases.pin(cases.version(by, "other"), other_files)
    assert rules.alarm_on(other) is None
    assert rules.alarm_on(twin) == rules.alarm_on(version)
    assert str(rules.alarm_on(version)) == "alarm on the files of credit v1"
    # and the twin's own check is due at once
    assert ArtifactCheck.objects.get(version=twin).due_at <= datetime.now(UTC)
    assert ArtifactCheck.objects.get(version=other).due_at > datetime.now(UTC)
    check(other, other_files)
    assert rules.alarm_on(version) is not None


def test_a_manifest_that_was_changed_in_the_database_is_a_mismatch(version: ModelVersion, source: Path) -> None:
    with connection.cursor() as cursor:
        # as somebody with SQL would: the ORM and our own cursors are guarded
        cursor.connection.execute(
            "UPDATE registry_modelversion SET artifact_manifest = %s WHERE id = %s", ['{"files": []}', version.pk]
        )
    version.refresh_from_db()
    assert check(version, source).found["copy"]["sentence"] == (
        "The recorded manifest does not hash to the digest that was pinned."
    )


def test_pinning_again_with_other_files_raises_the_alarm_as_well(version: ModelVersion, source: Path) -> None:
    (source / "data/model.bin").write_bytes(b"\x00\x01\x03")
    cases.pin(version, source)
    assert ArtifactAlarm.objects.get().found["source"]["differing"] == [{"path": "data/model.bin", "how": "changed"}]


def test_the_sweep_takes_the_oldest_first_and_a_few_at_a_time(by: Actor, source: Path) -> None:
    rows = [cases.pin(cases.version(by, f"model-{number}"), source) for number in range(7)]
    assert checks.sweep() == 0
    for number, row in enumerate(rows):
        due = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=number)
        ArtifactCheck.objects.filter(version=row).update(due_at=due)
    assert checks.sweep() == 4
    asked = Job.objects.filter(kind="check")
    assert {job.version_id for job in asked} == {row.pk for row in rows[3:]}
    assert {job.requested_by for job in asked} == {""}
    assert checks.sweep() == 0  # four wait already
    for job in asked:
        work.run(str(job.pk), lambda held: checks.check(held, source=cases.Folder(source)), checks.give_up)
    assert checks.sweep() == 3
    assert checks.sweep() == 0


def test_deleted_versions_are_not_watched(by: Actor, version: ModelVersion) -> None:
    ArtifactCheck.objects.update(due_at=datetime(2026, 1, 1, tzinfo=UTC))
    versions.delete(by=by, version=version)
    assert checks.sweep() == 0
    assert not ArtifactCheck.objects.exists()
    with pytest.raises(NotFound):
        checks.ask(by=by, version=version)


def test_what_is_not_pinned_cannot_be_checked(by: Actor) -> None:
    with pytest.raises(Conflict, match="have not been read and hashed yet"):
        checks.ask(by=by, version=cases.version(by))


def test_a_check_whose_workers_are_lost_ends_inconclusive(version: ModelVersion) -> None:
    job = cases.job(version, JobKind.CHECK)
    Job.objects.filter(pk=job.pk).update(attempts=jobs.MOST_ATTEMPTS)
    work.run(str(job.pk), checks.check, checks.give_up)
    row = ArtifactCheck.objects.get(version=version)
    assert row.outcome == CheckOutcome.INCONCLUSIVE
    assert row.found["copy"]["sentence"] == "The worker was lost 3 times while it worked on this."


def test_an_alarm_blocks_opening_deciding_and_applying(by: Actor, source: Path) -> None:
    ana = factories.account(Role.DATA_SCIENTIST, username="ana")
    rex = factories.actor(Role.REVIEWER)
    version = version_of(ana)
    standing = ArtifactAlarm(
        version=version,
        digest=version.artifact_digest,
        found={"copy": {"outcome": "MISMATCH", "sentence": "1 file differs in the stored copy.",
                        "differing": [{"path": "model.pkl", "how": "changed"}], "more": 0}},
    )  # fmt: skip
    said = (
        "The files of credit v1 are not what was pinned. 1 file differs in the stored copy. (model.pkl) Nothing that"
        " holds them is promoted until a check finds every byte as it was pinned."
    )
    ask = {"by": by, "version": version, "target_stage": "Production", "justification": "Better."}
    raise_by_hand(standing)
    with pytest.raises(Conflict, match="are not what was pinned") as refused:
        promotion.open_request(**ask)
    assert (refused.value.code, refused.value.sentence) == ("artifact_alarm", said)
    clear_by_hand()
    request = promotion.open_request(**ask)
    vote = {"by": rex, "request": request, "subject_digest": request.subject_digest}
    raise_by_hand(standing)
    with pytest.raises(Conflict, match="are not what was pinned"):
        promotion.decide(**vote, kind=DecisionKind.APPROVE)
    promotion.decide(**vote, kind=DecisionKind.COMMENT, comment="The files were touched.")  # a reviewer may say so
    clear_by_hand()
    promotion.decide(**vote, kind=DecisionKind.APPROVE)
    raise_by_hand(standing)
    with pytest.raises(Conflict, match="are not what was pinned"):
        promotion.apply(by=rex, request=request, subject_digest=request.subject_digest)
    version.refresh_from_db()
    assert version.stage == "None"
    clear_by_hand()
    promotion.apply(by=rex, request=request, subject_digest=request.subject_digest)
    version.refresh_from_db()
    assert version.stage == "Production"


def raise_by_hand(alarm: ArtifactAlarm) -> None:
    from audit import guard

    with guard.allow("test"):
        alarm.save(force_insert=True)


def clear_by_hand() -> None:
    from audit import guard

    with guard.allow("test"):
        ArtifactAlarm.objects.all().delete()
