"""Pinning an artifact: read every byte of a version's files once, keep a copy under its digest, and hold to it.

What is reviewed, explained and promoted is the stored copy. Fetching from tracking is ``registry/tracking.py``.
"""

from pathlib import Path

from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Conflict, Invalid, NotFound
from audit.events import Action
from registry import jobs, manifest, storage, tracking
from registry.actions import checks, evidence
from registry.integrity import COPY, SOURCE, Found, Source, folder_of
from registry.manifest import File, Manifest
from registry.models import Evidence, Job, ModelVersion
from registry.states import CheckOutcome, EvidenceKind, JobKind

CHANGED = (
    "The files at the source have changed since they were pinned: {now} instead of {pinned}. The pinned copy stands."
)


def pin(job: Job, *, by: Actor = SYSTEM, source: Source = tracking) -> Evidence:
    """Read and hash all files of the job's version, keep a copy, and pin its digest.

    A version keeps the digest it was first pinned with: other files at a later time are an ERROR, not a new digest.
    Raises Unavailable when the files cannot be had right now, and NotFound when there are none (yet).
    """
    with storage.incoming() as folder:
        try:
            files = _copy(job.version, source, folder)
            made = manifest.of(files)
        except Invalid as error:
            finding = evidence.failed(EvidenceKind.ARTIFACT, None, error.sentence, code=error.code)
            return evidence.attach(by=by, job=job, fence=job.fence, finding=finding)
        storage.settle(folder / _FILES, folder_of(manifest.digest(made)), made)
    return _pin(by, job, made)


_FILES = "files"


def _copy(version: ModelVersion, source: Source, folder: Path) -> list[File]:
    location = source.artifact_location(version)
    copied: list[File] = []
    (folder / _FILES).mkdir()
    for path, size in source.iter_files(location):
        if len(copied) == manifest.MOST_FILES:
            raise Invalid(f"There are more than {manifest.MOST_FILES:,} files.", code="too_many_files")
        try:
            file = storage.write(source.fetch(location, path), folder / _FILES, path, most=size)
        except FileExistsError:
            raise Invalid("Two of the files have the same path once it is normalised.", code="unsafe_path") from None
        if file.size != size:
            # Somebody writes while we read, or the transfer was cut: neither may be pinned.
            raise NotFound(f"{file.path} has {file.size:,} bytes where {size:,} were announced.", code="files_moving")
        copied.append(file)
    if not copied:
        raise NotFound(f"There are no files at the source of {version}.", code="no_files")
    return copied


def _pin(by: Actor, job: Job, made: Manifest) -> Evidence:
    digest = manifest.digest(made)
    with door.open(by, Action.ARTIFACT_PIN, on=job.version) as entry:
        version: ModelVersion = entry.locked
        pinned = version.artifact_digest
        result = {
            "kind": EvidenceKind.ARTIFACT.value,
            "files": len(made["files"]),
            "bytes": manifest.size(made),
            "digest": digest,
        }
        inputs = {"artifact": digest}
        finding = evidence.Finding(kind=EvidenceKind.ARTIFACT, inputs=inputs, result=result)
        if pinned and pinned != digest:
            sentence = CHANGED.format(now=f"{digest[:12]}…", pinned=f"{pinned[:12]}…")
            finding = evidence.failed(EvidenceKind.ARTIFACT, inputs, sentence, code="files_changed", more=result)
        elif not pinned:
            if version.run_id:
                jobs.enqueue(version=version, kind=JobKind.DATA_SETS, requested_by=job.requested_by)
            version.artifact_digest, version.artifact_manifest, version.artifact_pinned_at = digest, made, now()
            version.save(update_fields=["artifact_digest", "artifact_manifest", "artifact_pinned_at"])
        checks.sound(version, _as_check(version, made))
        row = evidence.create(version, finding, requested_by=job.requested_by)
        jobs.finish(job, job.fence)
        evidence.start_what_is_ready(version, job.requested_by)
        entry.record(
            before={"artifact": pinned},
            after={
                "artifact": version.artifact_digest,
                "found": digest,
                "files": len(made["files"]),
                "bytes": manifest.size(made),
                "evidence": str(row.pk),
                "status": row.status,
            },
        )
        return row


def _as_check(version: ModelVersion, made: Manifest) -> dict[str, Found]:
    """What reading the files for pinning says of them, in the terms of a check."""
    pinned: Manifest = version.artifact_manifest or {"files": []}
    differing = manifest.differences(pinned, made)
    if differing:
        return {SOURCE: Found(CheckOutcome.MISMATCH, "The files at the source are not what was pinned.", differing)}
    # The copy was written, and hashed, on the way.
    good = Found(CheckOutcome.GOOD, "Every byte is as it was pinned.", {})
    return {COPY: good, SOURCE: good}


def verify(version: ModelVersion) -> Path:
    """The folder with the pinned copy of a version's files, after every byte of it has been hashed again.

    Before each load of a model. Raises Conflict when nothing is pinned, or when the copy is not what was pinned.
    """
    if not version.artifact_digest or version.artifact_manifest is None:
        raise Conflict(f"The files of {version} have not been read and hashed yet.", code="not_pinned")
    found: Manifest = version.artifact_manifest
    relative = folder_of(version.artifact_digest)
    wrong = "its manifest" if manifest.digest(found) != version.artifact_digest else storage.differing(relative, found)
    if wrong is not None:
        raise Conflict(
            f"The stored files of {version} are not what was pinned: {wrong} differs. They are not loaded.",
            code="content_changed",
        )
    return storage.existing(relative)
