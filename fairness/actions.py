"""Make a fairness report and attach it as evidence. The figures come from ``engine/``; the verdict is a reviewer's."""

import tempfile
from pathlib import Path

from audit.actors import SYSTEM, Actor
from audit.errors import Conflict, Invalid, NotFound
from fairness.engine.errors import FairnessInputError
from fairness.queries import spec_of
from registry import storage, tabular
from registry.actions import evidence
from registry.actions.evidence import Finding
from registry.models import DataSet, Evidence, Job
from registry.queries import evidence as found
from registry.queries.evidence import Inputs
from registry.states import DataRole, EvidenceKind

KIND = EvidenceKind.FAIRNESS


def report(job: Job, *, by: Actor = SYSTEM) -> Evidence:
    """Compare the groups in the predictions of the job's version. What cannot be computed is an ERROR that says why."""
    inputs = found.inputs_for(job.version, KIND)
    rows = found.data_set(job.version, DataRole.EVALUATION)
    made = found.predictions_in_force(job.version)
    if inputs is None or rows is None or made is None:
        finding = evidence.failed(KIND, inputs, "There are no predictions on the evaluation data linked now.")
    elif not found.is_ok(made):
        finding = evidence.failed(
            KIND, inputs, f"There are no predictions to compare: {made.reason}", code="no_predictions"
        )
    else:
        finding = _finding(inputs, rows, made)
    return evidence.attach(by=by, job=job, fence=job.fence, finding=finding)


def _finding(inputs: Inputs, rows: DataSet, made: Evidence) -> Finding:
    # AIF360 and pandas are large: only a worker that makes a report carries them.
    from fairness.engine.compute import compute_report  # noqa: PLC0415

    try:
        spec = spec_of(inputs)
        with tempfile.TemporaryDirectory(prefix="plimsoll-fairness-") as scratch:
            content = tabular.as_parquet(rows, Path(scratch))
            result = compute_report(content, _predictions(made), spec)
    except FairnessInputError as error:
        return evidence.failed(KIND, inputs, str(error), code="inputs_do_not_fit")
    except (Conflict, Invalid, NotFound) as error:
        return evidence.failed(KIND, inputs, error.sentence, code=error.code)
    return Finding(kind=KIND, inputs=inputs, result=result, versions=result["versions"], seed=result["seed"])


def _predictions(made: Evidence) -> Path:
    """The file of predictions, once its bytes are known to be those that were attached."""
    if not made.path:
        raise Conflict("The stored predictions were erased.", code="data_erased")
    file = storage.describe(made.path)
    if file.sha256 != made.result["file"]["sha256"]:
        raise Conflict("The stored predictions are not those that were attached.", code="content_changed")
    return storage.existing(made.path)
