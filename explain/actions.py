"""Have a version predict and explain itself in the sandbox, and attach what comes out as evidence.

The model is loaded from the pinned copy, hashed again just before, and only ever in the sandbox (``engine.py``).
"""

import tempfile
from pathlib import Path
from typing import Final, TypeVar

from audit.actors import SYSTEM, Actor
from audit.errors import Conflict, DomainError, Invalid, NotFound
from audit.ids import uuid7
from explain import queries
from explain.sandbox import SandboxError
from registry import storage, tabular
from registry.actions import artifacts, evidence
from registry.actions.evidence import Finding
from registry.models import Evidence, Job, ModelVersion
from registry.queries import evidence as found
from registry.queries.evidence import Inputs
from registry.states import DataRole, EvidenceKind, EvidenceStatus

SEED: Final = 0
_MOST_LINES: Final = 4000
_Row = TypeVar("_Row")


def predict(job: Job, *, by: Actor = SYSTEM) -> Evidence:
    """Predict every row of the evaluation data: the decisions go to a file, its digest into the result."""
    key = uuid7()
    path = f"{storage.EVIDENCE}/{key}.arrow"
    try:
        finding = _predictions(job.version, found.inputs_for(job.version, EvidenceKind.PREDICTIONS), path)
        return evidence.attach(by=by, job=job, fence=job.fence, finding=finding, key=key)
    except Exception:
        storage.remove(path)
        raise


def _predictions(version: ModelVersion, inputs: Inputs | None, path: str) -> Finding:
    # numpy and Arrow are large: only a worker that runs a model carries them.
    from explain import engine  # noqa: PLC0415

    kind = EvidenceKind.PREDICTIONS
    try:
        rows = _required(found.data_set(version, DataRole.EVALUATION))
        spec = _complete(inputs)["spec"]
        with tempfile.TemporaryDirectory(prefix="plimsoll-rows-") as scratch:
            made = engine.run_predictions(
                model_dir=artifacts.verify(version),
                data_path=tabular.as_parquet(rows, Path(scratch)),
                label=spec["label"],
                favourable=spec["favourable"],
                exclude=spec["excluded"],
                out_path=storage.new_file(path),
            )
    except (SandboxError, engine.RowsError, Conflict, Invalid, NotFound) as error:
        return _failed(kind, inputs, error)
    file = storage.describe(path)
    result = {
        "kind": kind.value,
        "rows": made.rows,
        "has_scores": made.has_scores,
        "features": made.features,
        "flavour": made.flavour,
        "tier": made.tier,
        "model_class": made.model_class,
        "file": {"size": file.size, "sha256": file.sha256},
    }
    return Finding(kind=kind, inputs=inputs or {}, result=result, versions=made.versions, path=path)


def report(job: Job, *, by: Actor = SYSTEM) -> Evidence:
    """Explain the decisions for the evaluation data against the training data, each where it is linked."""
    finding = _explanation(job.version, found.inputs_for(job.version, EvidenceKind.EXPLANATION))
    return evidence.attach(by=by, job=job, fence=job.fence, finding=finding)


def _explanation(version: ModelVersion, inputs: Inputs | None) -> Finding:
    from explain import engine  # noqa: PLC0415 - as above

    kind = EvidenceKind.EXPLANATION
    try:
        rows, background = _required(found.explained(version))
        spec = _complete(inputs)["spec"]
        with tempfile.TemporaryDirectory(prefix="plimsoll-rows-") as scratch:
            result = engine.run_explanation(
                model_dir=artifacts.verify(version),
                background_path=tabular.as_parquet(background, Path(scratch)),
                rows_path=tabular.as_parquet(rows, Path(scratch)),
                features=queries.features(rows, background, spec),
                favourable=spec["favourable"],
                seed=SEED,
                groups=queries.groups(spec),
            )
    except (SandboxError, engine.RowsError, Conflict, Invalid, NotFound) as error:
        return _failed(kind, inputs, error, seed=SEED)
    return Finding(
        kind=kind,
        inputs=inputs or {},
        result=result,
        status=EvidenceStatus(result["status"]),
        reason=result["reason"] or "",
        versions=result["versions"],
        seed=SEED,
    )


def _required(row: _Row | None) -> _Row:
    if row is None:
        raise Conflict("No data set that is still there is linked for this.", code="inputs_lacking")
    return row


def _complete(inputs: Inputs | None) -> Inputs:
    """The inputs, once they say what is predicted."""
    inputs = _required(inputs)
    if not inputs["spec"]["label"] or inputs["spec"]["favourable"] is None:
        raise Conflict(
            "The data set does not say which column is the label and which of its values is the favourable one.",
            code="no_label",
        )
    return inputs


def _failed(kind: EvidenceKind, inputs: Inputs | None, error: Exception, *, seed: int | None = None) -> Finding:
    if isinstance(error, DomainError):
        return evidence.failed(kind, inputs, error.sentence, code=error.code, seed=seed)
    if isinstance(error, SandboxError):
        more = {"last_lines": _printable(error.last_lines)}
        return evidence.failed(kind, inputs, error.sentence, code=error.code, seed=seed, more=more)
    return evidence.failed(kind, inputs, str(error), code="rows", seed=seed)


def _printable(lines: str) -> str:
    """The end of what the model's process wrote, without characters that JSON in a database cannot hold."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in lines)[-_MOST_LINES:]
