"""Jobs: taken by one worker at a time, tried three times, and never without an end that somebody can read."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction
from kombu import pools

from audit.clock import now
from audit.errors import Unavailable
from registry import jobs
from registry.actions import evidence, work
from registry.models import Evidence, Job, ModelVersion
from registry.states import EvidenceKind, JobKind, JobState
from tests import evidence_cases as cases
from web.celery import app


def use_broker(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Another broker than the installation's; Celery reads the environment first."""
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    monkeypatch.setitem(app.conf, "broker_transport_options", {})
    forget_connections()


def forget_connections() -> None:
    """Celery keeps the connections to the broker it first spoke to."""
    pools.reset()
    app._pool = app.amqp._producer_pool = None


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """A broker in this process; gives the ids of the jobs that it was told of since the last look."""
    use_broker(monkeypatch, "memory://")

    def told() -> list[str]:
        ids = []
        with app.connection() as link, link.SimpleQueue("celery") as queue:
            while queue.qsize():
                message = queue.get_nowait()
                ids.append(message.payload[0][0])
                message.ack()
        return ids

    told()
    yield told
    forget_connections()


def expire(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(leased_until=now() - timedelta(seconds=1))


def finding() -> evidence.Finding:
    return evidence.Finding(kind=EvidenceKind.ARTIFACT, inputs={}, result={"kind": "artifact"})


@pytest.fixture
def version(db: None) -> ModelVersion:
    return cases.version(cases.scientist())


def test_a_job_is_asked_for_inside_a_transaction(fresh_database: str) -> None:
    version = cases.version(cases.scientist())
    with pytest.raises(RuntimeError, match="belongs into the transaction"):
        jobs.enqueue(version=version, kind=JobKind.ARTIFACT, requested_by="")


def test_asking_twice_gives_the_job_that_waits_already(version: ModelVersion) -> None:
    first = cases.job(version, JobKind.ARTIFACT)
    assert cases.job(version, JobKind.ARTIFACT) == first
    assert cases.job(version, JobKind.FAIRNESS) != first
    jobs.claim(first.pk)
    assert cases.job(version, JobKind.ARTIFACT) == first
    with transaction.atomic():
        jobs.finish(first, 1)
    assert cases.job(version, JobKind.ARTIFACT) != first


def test_the_worker_is_woken_when_the_request_commits(fresh_database: str, broker: Callable[[], list[str]]) -> None:
    version = cases.version(cases.scientist())
    with transaction.atomic():
        job = jobs.enqueue(version=version, kind=JobKind.ARTIFACT, requested_by="")
        assert broker() == []
    assert broker() == [str(job.pk)]
    cases.job(version, JobKind.ARTIFACT)
    assert broker() == []


def test_a_broker_that_is_down_does_not_fail_the_request(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_broker(monkeypatch, "amqp://127.0.0.1:1//")
    job = cases.job(cases.version(cases.scientist()), JobKind.ARTIFACT)
    assert Job.objects.get(pk=job.pk).state == JobState.QUEUED
    assert "on_commit" in caplog.text


def test_a_claim_takes_the_job_and_counts(version: ModelVersion) -> None:
    job = cases.job(version, JobKind.ARTIFACT)
    held = jobs.claim(job.pk)
    assert held is not None
    assert (held.state, held.fence, held.attempts) == (JobState.RUNNING, 1, 1)
    assert jobs.claim(job.pk) is None
    expire(job)
    again = jobs.claim(job.pk)
    assert again is not None
    assert (again.fence, again.attempts) == (2, 2)
    assert jobs.claim("00000000-0000-7000-8000-000000000000") is None


def test_of_many_workers_that_are_woken_one_gets_the_job(fresh_database: str) -> None:
    job = cases.job(cases.version(cases.scientist()), JobKind.ARTIFACT)
    taken: list[int] = []
    together = threading.Barrier(6)

    def worker() -> None:
        together.wait()
        held = jobs.claim(job.pk)
        if held is not None:
            taken.append(held.fence)
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [1]


def test_a_worker_that_lost_its_lease_attaches_nothing(fresh_database: str) -> None:
    job = cases.job(cases.version(cases.scientist()), JobKind.ARTIFACT)
    slow = jobs.claim(job.pk)
    assert slow is not None
    expire(job)
    taken: list[Job | None] = []

    def other_worker() -> None:
        taken.append(jobs.claim(job.pk))
        connection.close()

    thread = threading.Thread(target=other_worker)
    thread.start()
    thread.join()
    (other,) = taken
    assert other is not None
    with pytest.raises(jobs.LeaseLostError):
        evidence.attach(job=slow, fence=slow.fence, finding=finding())
    assert not Evidence.objects.exists()
    assert not jobs.keep(slow, slow.fence)
    with pytest.raises(jobs.LeaseLostError):
        jobs.retry(slow, slow.fence, "too late")
    assert jobs.keep(other, other.fence)
    evidence.attach(job=other, fence=other.fence, finding=finding())
    assert Evidence.objects.count() == 1
    job.refresh_from_db()
    assert job.state == JobState.DONE


def test_evidence_and_the_end_of_its_job_stand_or_fall_together(fresh_database: str) -> None:
    version = cases.version(cases.scientist())
    held = jobs.claim(cases.job(version, JobKind.ARTIFACT).pk)
    assert held is not None
    bad = evidence.Finding(kind=EvidenceKind.ARTIFACT, inputs={}, result={"value": float("nan")})
    with pytest.raises(ValueError, match="cannot be digested"):
        evidence.attach(job=held, fence=held.fence, finding=bad)
    held.refresh_from_db()
    assert (held.state, Evidence.objects.count()) == (JobState.RUNNING, 0)


def test_a_job_is_tried_three_times_and_then_the_report_is_an_error(version: ModelVersion) -> None:
    job = cases.job(version, JobKind.EXPLANATION)

    why = "The tracking server does not answer."

    def down(held: Job) -> None:
        raise Unavailable(why)

    for attempt in (1, 2):
        work.run(str(job.pk), down)
        job.refresh_from_db()
        assert (job.state, job.attempts, job.error) == (
            JobState.QUEUED,
            attempt,
            why,
        )
    work.run(str(job.pk), down)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    row = Evidence.objects.get(version=version, kind=EvidenceKind.EXPLANATION)
    assert (row.status, row.reason) == ("ERROR", why)
    work.run(str(job.pk), down)
    assert Evidence.objects.count() == 1


def test_an_unexpected_error_is_told_by_its_name_only(version: ModelVersion) -> None:
    job = cases.job(version, JobKind.EXPLANATION)

    def broken(held: Job) -> None:
        raise KeyError("anna@example.com")

    work.run(str(job.pk), broken)
    job.refresh_from_db()
    assert job.error == "The job ended with an unexpected error (KeyError)."


def test_a_job_that_kills_its_workers_is_given_up(version: ModelVersion) -> None:
    job = cases.job(version, JobKind.EXPLANATION)
    for _ in range(jobs.MOST_ATTEMPTS):
        jobs.claim(job.pk)
        expire(job)
    work.run(str(job.pk), lambda held: pytest.fail("it must not be tried a fourth time"))
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert Evidence.objects.get().reason == "The worker was lost 3 times while it worked on this."


def test_the_job_of_a_deleted_version_ends_without_evidence(version: ModelVersion) -> None:
    from audit import door
    from audit.events import Action

    job = cases.job(version, JobKind.ARTIFACT)
    with door.open(cases.scientist(), Action.VERSION_DELETE, on=version) as entry:
        entry.locked.deleted_at = now()
        entry.locked.save()
        entry.record(after={"deleted": True})
    work.run(str(job.pk), lambda held: pytest.fail("it must not be done"))
    job.refresh_from_db()
    assert (job.state, Evidence.objects.count()) == (JobState.FAILED, 0)


def test_the_sweep_wakes_what_nobody_took(version: ModelVersion, broker: Callable[[], list[str]]) -> None:
    fresh, lost, working, orphaned, done = (
        cases.job(version, kind) if number < 4 else cases.job(cases.version(cases.scientist(), f"other-{number}"), kind)
        for number, kind in enumerate([*list(JobKind)[:4], JobKind.ARTIFACT])
    )
    long_ago = now() - timedelta(minutes=1)
    Job.objects.exclude(pk=fresh.pk).update(created_at=long_ago)
    jobs.claim(working.pk)
    jobs.claim(orphaned.pk)
    expire(orphaned)
    held = jobs.claim(done.pk)
    assert held is not None
    with transaction.atomic():
        jobs.finish(held, held.fence)
    assert jobs.sweep() == 2
    assert sorted(broker()) == sorted([str(lost.pk), str(orphaned.pk)])
    # The one that waits was told a moment ago; the worker of the other is dead all the same.
    assert jobs.sweep() == 1
    assert broker() == [str(orphaned.pk)]


def test_a_job_that_failed_waits_a_little_before_it_is_woken_again(
    version: ModelVersion, broker: Callable[[], list[str]]
) -> None:
    job = cases.job(version, JobKind.ARTIFACT)
    held = jobs.claim(job.pk)
    assert held is not None
    jobs.retry(held, held.fence, "not now")
    assert jobs.sweep() == 0
    expire(job)
    assert jobs.sweep() == 1
    assert broker() == [str(job.pk)]
