"""Replacing one data set by the same without the person: write, verify with another engine, swap, delete.

The new content is finished and verified before the door opens; inside it, the old data set becomes a tombstone, its
successor appears, affected model versions get their obligation and files of predictions are given up, all or nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction

from audit import door
from audit.actors import SYSTEM
from audit.clock import now
from audit.errors import Conflict
from audit.events import Action
from audit.ids import uuid7
from erasure import queries, rules
from erasure.actions import moves
from erasure.engine.identifiers import IdentifierType
from erasure.models import ErasureRequest, ErasureTask, ModelObligation
from erasure.states import ObligationKind, TaskState
from registry import manifest, storage, tabular
from registry.actions.data_sets import lock, next_number
from registry.manifest import File, Manifest
from registry.models import DataSet, Evidence
from registry.states import DataState

# Arrow and DuckDB are large: only a worker that erases carries them.
if TYPE_CHECKING:
    from erasure.engine.rewrite import Rewritten
    from erasure.engine.verify import Verified


@dataclass(frozen=True)
class Made:
    """A finished file without the person, one pass per column that held them, and what both engines say of it."""

    path: Path
    passes: "list[Rewritten]"
    checks: "list[Verified]"
    manifest: Manifest

    @property
    def digest(self) -> str:
        return manifest.digest(self.manifest)

    @property
    def folder(self) -> str:
        return f"{storage.DATA_SETS}/{self.digest}"

    @property
    def stored(self) -> str:
        return f"{self.folder}/{self.path.name}"

    def facts(self) -> dict[str, Any]:
        """The task's counts and digests."""
        first, last = self.passes[0], self.passes[-1]
        return {
            "rows_in": first.rows_in,
            "erased": sum(one.erased for one in self.passes),
            "rows_out": last.rows_out,
            "file_before": first.sha256_source,
            "file_after": last.sha256_target,
            "kept_digest": last.kept_digest_after,
            "erased_with": last.engine,
            "verified_with": self.checks[-1].engine,
            "residual": sum(check.residual for check in self.checks),
            "residue_checks": [asdict(one) for check in self.checks for one in check.residue_checks],
        }


_GATHERED: Final = "rows"


def replace(request: ErasureRequest, task: ErasureTask, identifier: str) -> None:
    """Carry out one task of a request that this worker holds.

    Raises EngineError or Conflict, leaving the old data set as it was, when the file cannot be rewritten faithfully or
    the two engines do not agree; LeaseLostError when another worker has the request.
    """
    from erasure.engine import gather  # noqa: PLC0415 - large, see above

    with storage.incoming() as folder:
        # What was a folder of files goes on as one: the rows are the same, and one file is easier to prove clean.
        source = gather.gathered(tabular.files_of(task.data_set), folder / _GATHERED)
        made = rewritten(source, folder, task.columns, identifier, request.identifier_type)
        made.path.chmod(0o440)
        try:
            _swap(request, task, made)
        except BaseException:
            _forget(made)
            raise
    task.refresh_from_db()
    delete_leftovers(task)


def rewritten(source: Path, folder: Path, columns: list[str], identifier: str, kind: str) -> Made:
    """Write ``source`` without the person below ``folder`` and have the other engine confirm it."""
    from erasure.engine.rewrite import rewrite_without  # noqa: PLC0415 - large, see above
    from erasure.engine.verify import compare_kept, verify_absent  # noqa: PLC0415 - large, see above

    wanted, current, passes = IdentifierType(kind), source, []
    for number, column in enumerate(columns):
        target = folder / f"pass-{number}" / source.name
        target.parent.mkdir()
        passes.append(rewrite_without(current, target, column, [identifier], wanted))
        if not compare_kept(current, target, column, [identifier], wanted).agree:
            raise Conflict(
                "The second engine does not find the rows that had to stay as they were.", code="kept_differ"
            )
        current = target
    checks = [verify_absent(current, column, [identifier], wanted) for column in columns]
    if not all(check.clean for check in checks):
        raise Conflict("The second engine still finds the person in the new file.", code="residue_left")
    file = File(current.name, passes[-1].bytes_target, passes[-1].sha256_target)
    return Made(current, passes, checks, manifest.of([file]))


def _swap(request: ErasureRequest, task: ErasureTask, made: Made) -> None:
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=request) as entry:
        locked: ErasureRequest = entry.locked
        moves.check_held(locked, request.fence)
        old = DataSet.objects.select_for_update().get(pk=task.data_set_id)
        if old.state != DataState.PRESENT:
            raise Conflict(f"The content of {old} was erased meanwhile.", code="data_moved")
        lock(f"content/{made.digest}")
        storage.settle(made.path.parent, made.folder, made.manifest)
        new = _successor(old, made)
        leftover = [old.path]
        old.state, old.path = DataState.ERASED.value, ""
        old.save(update_fields=["state", "path"])
        reports = list(queries.row_files([old.digest]).select_for_update(of=("self",)))
        leftover += [report.path for report in reports]
        Evidence.objects.filter(pk__in=[report.pk for report in reports]).update(path="")
        _oblige(locked, old)
        for name, value in made.facts().items():
            setattr(task, name, value)
        task.successor, task.leftover, task.reports_emptied = new, leftover, len(reports)
        task.state, task.fence, task.replaced_at = TaskState.REPLACED.value, request.fence, now()
        task.save()
        # Whoever gets this far is alive: the lease begins anew with each data set.
        locked.leased_until = now() + rules.lease(rules.bytes_reached(locked))
        locked.save(update_fields=["leased_until"])
        entry.record(
            before={"data_set": str(old), "digest": old.digest, "rows": task.rows_in},
            after={
                "state": locked.state,
                "data_set": str(new),
                "digest": new.digest,
                "rows": task.rows_out,
                "erased": task.erased,
                "reports_emptied": len(reports),
            },
        )


def _successor(old: DataSet, made: Made) -> DataSet:
    """The next number under the same name: the same meaning, the new content."""
    return DataSet.objects.create(
        pk=uuid7(),
        name=old.name,
        number=next_number(old.name),
        role=old.role,
        digest=made.digest,
        manifest=made.manifest,
        rows=made.passes[-1].rows_out,
        columns=old.columns,
        identifiers=old.identifiers,
        protected=old.protected,
        label=old.label,
        favourable=old.favourable,
        excluded=old.excluded,
        path=made.stored,
        parent=old,
        owner=old.owner,
        classification=old.classification,
        retention=old.retention,
        created_by=old.created_by,
    )


def _oblige(request: ErasureRequest, old: DataSet) -> None:
    due = rules.obligation_due(now().date())
    for version_id in {link.version_id for link in queries.links_to([old.pk])}:
        ModelObligation.objects.get_or_create(
            request=request,
            version_id=version_id,
            data_set=old,
            defaults={"kind": ObligationKind.RETRAIN.value, "due_on": due},
        )


def empty_row_files(request: ErasureRequest, task: ErasureTask) -> None:
    """Give up files of rows that came about while, or after, the data set was replaced."""
    if not queries.row_files([task.data_set.digest]).exists():
        return
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=request) as entry:
        moves.check_held(entry.locked, request.fence)
        reports = list(queries.row_files([task.data_set.digest]).select_for_update(of=("self",)))
        task.leftover = [*task.leftover, *(report.path for report in reports)]
        task.reports_emptied += len(reports)
        task.save(update_fields=["leftover", "reports_emptied"])
        Evidence.objects.filter(pk__in=[report.pk for report in reports]).update(path="")
        entry.record(after={"data_set": str(task.data_set), "reports_emptied": len(reports)})


def delete_leftovers(task: ErasureTask) -> None:
    """Delete the files the swap made worthless. Doing it again does no harm; content others still name stays."""
    for path in task.leftover:
        with transaction.atomic():
            if path.startswith(f"{storage.DATA_SETS}/"):
                lock(f"content/{path.split('/')[1]}")
            if not is_shared(path):
                storage.remove(path)


def is_shared(path: str) -> bool:
    """Whether another data set that is present lies at the same place: equal bytes are stored once."""
    return DataSet.objects.filter(path=path).exists()


def _forget(made: Made) -> None:
    """Take back content that no row names."""
    with transaction.atomic():
        lock(f"content/{made.digest}")
        if not DataSet.objects.filter(path=made.stored).exists():
            storage.remove(made.folder)
