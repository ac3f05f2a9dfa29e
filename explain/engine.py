"""Predictions and explanations of a registered model, computed in the sandbox and checked here. Paths in, results out.

No Django and no database: the caller has verified the model's digest and says where things are. Every failure is a
SandboxError or a RowsError with a sentence; a report whose figures fail a check comes back with status ERROR.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from explain import answers, report, sampling
from explain.limits import MIB, Limits
from explain.sampling import RowsError
from explain.sandbox import ChildJob, ChildResult, Runtime, SandboxError, run

__all__ = ["PredictionInfo", "RowsError", "SandboxError", "failed_explanation", "run_explanation", "run_predictions"]

N_ROWS = 2000  # the ranking of features is settled by then: Kendall's tau 0.986 against all rows, on Adult
N_BACKGROUND = 100
BYTES_A_ROW = 64  # row, prediction, score, validity bits; a longer class label does not fit and is refused
PREDICTION_FACTS = ("flavour", "tier", "model_class", "features", "versions")

Scalar = int | str


@dataclass(frozen=True, kw_only=True)
class PredictionInfo:
    """What was predicted, by what. The predictions are in the file at `path`."""

    path: Path
    rows: int
    has_scores: bool
    features: list[str]
    flavour: str
    tier: str
    model_class: str
    versions: dict[str, str]
    wall_seconds: float


def run_predictions(
    *,
    model_dir: Path,
    data_path: Path,
    label: str,
    favourable: Scalar,
    out_path: Path,
    exclude: Sequence[str] = (),
    limits: Limits | None = None,
    runtime: Runtime | None = None,
) -> PredictionInfo:
    """Predict every row of a Parquet file into an Arrow IPC file of (row int64, prediction, score float64).

    `prediction` is int64 or string, as the label is; `score` is the probability of the favourable class, null
    throughout when the model has none. The model gets the columns of its signature, or without one all but label and
    `exclude`; the label's values never enter the sandbox.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="plimsoll-predict-") as scratch:
        projected, answer = Path(scratch) / "rows.parquet", Path(scratch) / "answer"
        source = sampling.without(data_path, projected, label=label)
        rows, names = source.metadata.num_rows, [name for name in source.schema_arrow.names if name != label]
        kind = _label_type(source.schema_arrow.field(label).type)
        request = {
            "task": "predict",
            "otherwise": [name for name in names if name not in exclude],
            "favourable": favourable,
            "label_type": str(kind),
        }
        job = ChildJob(request=request, answer=answer, inputs={"model": model_dir, "rows.parquet": projected})
        result = run(job, _capped(limits, MIB + rows * BYTES_A_ROW), runtime)
        return _accept_predictions(result, kind, rows, names, out_path)


def _capped(limits: Limits, expected: int) -> Limits:
    """The same limits with the answer no larger than an honest one can be."""
    return Limits(**{**limits.__dict__, "answer_bytes": min(limits.answer_bytes, expected)})


def _label_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pa.int64()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.string()
    raise RowsError(f"The label must be whole numbers, truth values or text, not {kind}.")


def _accept_predictions(
    result: ChildResult, kind: pa.DataType, rows: int, names: Sequence[str], out_path: Path
) -> PredictionInfo:
    schema = pa.schema([("row", pa.int64()), ("prediction", kind), ("score", pa.float64())])
    facts, batches = answers.read_batches(result.answer, schema, rows)
    answers.exact_names(facts, PREDICTION_FACTS, "the description")
    seen, scored = 0, 0
    partial = out_path.with_name(out_path.name + ".partial")
    try:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in batches:
                _check_batch(batch, seen)
                seen += batch.num_rows
                scored += batch.num_rows - batch.column("score").null_count
                writer.write_batch(batch)
        if scored not in (0, rows):
            raise answers.bad("some rows have a score and some have none")
        info = PredictionInfo(
            path=out_path,
            rows=rows,
            has_scores=scored > 0,
            features=answers.columns(facts["features"], names),
            flavour=answers.text(facts["flavour"], "the flavour"),
            tier=answers.text(facts["tier"], "the tier"),
            model_class=answers.text(facts["model_class"], "the model class"),
            versions=answers.text_map(facts["versions"], "the versions"),
            wall_seconds=result.wall_seconds,
        )
        partial.replace(out_path)
    finally:
        partial.unlink(missing_ok=True)
    return info


def _check_batch(batch: pa.RecordBatch, first: int) -> None:
    """Rows numbered in order, no missing decision, scores that are probabilities."""
    if batch.column("row").null_count or batch.column("prediction").null_count:
        raise answers.bad("a row number or a prediction is missing")
    expected = np.arange(first, first + batch.num_rows, dtype=np.int64)
    if not np.array_equal(batch.column("row").to_numpy(), expected):
        raise answers.bad("its rows are not numbered in the order of the data")
    scores = pc.drop_null(batch.column("score")).to_numpy(zero_copy_only=False)
    if not ((scores >= 0.0) & (scores <= 1.0)).all():  # NaN is neither
        raise answers.bad("a score is not a probability between 0 and 1")


def run_explanation(
    *,
    model_dir: Path,
    background_path: Path,
    rows_path: Path,
    features: Sequence[str],
    favourable: Scalar,
    n_rows: int = N_ROWS,
    n_background: int = N_BACKGROUND,
    seed: int = 0,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    cross_check: bool = True,
    limits: Limits | None = None,
    runtime: Runtime | None = None,
) -> dict[str, Any]:
    """The explanation report of a model for its favourable class, as JSON values. Same inputs and seed, same bytes.

    `features` are the columns the model may see, for a model without a signature the ones it takes, in order. `groups`
    maps a protected column to its rule, {"op": "in" | ">" | ">=" | "<" | "<=", "value": …}, and adds totals by group.
    """
    rules = dict(groups or {})
    with tempfile.TemporaryDirectory(prefix="plimsoll-explain-") as scratch:
        rows_file, background_file = Path(scratch) / "rows.parquet", Path(scratch) / "background.parquet"
        rows = sampling.sample(rows_path, rows_file, columns=features, wanted=n_rows, seed=[seed, 0], groups=rules)
        background = sampling.sample(
            background_path, background_file, columns=features, wanted=n_background, seed=[seed, 1], groups={}
        )
        request = {
            "task": "explain",
            "favourable": favourable,
            "seed": seed,
            "groups": rows.groups,
            "cross_check": cross_check,
        }
        inputs = {"model": model_dir, "rows.parquet": rows_file, "background.parquet": background_file}
        job = ChildJob(request=request, answer=Path(scratch) / "answer", inputs=inputs)
        result = run(job, _capped(limits or Limits(), answers.JSON_BYTES), runtime)
        answer = answers.read_json(result.answer)
        given = {"favourable": favourable, "seed": seed, "background_rows": background.rows}
        found = report.build(answer, known=features, sent=rows.rows, groups=list(rules), given=given)
        return {**found, "background_digest": sampling.digest(background_file, answer["features"])}


def failed_explanation(error: SandboxError | RowsError, *, favourable: Scalar, seed: int) -> dict[str, Any]:
    """The report of an explanation that could not be computed: an ERROR is evidence too."""
    code = error.code if isinstance(error, SandboxError) else "rows"
    return {
        "kind": "explanation",
        "status": "ERROR",
        "reason": str(error),
        "code": code,
        "last_lines": error.last_lines if isinstance(error, SandboxError) else "",
        "favourable": favourable,
        "seed": seed,
    }
