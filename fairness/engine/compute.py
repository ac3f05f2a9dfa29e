"""`compute_report`: two files and a spec in, a finished fairness report out.

What belongs here: putting the parts together and writing them as JSON values. What does not: any statistics of its own,
storing the report, or deciding on it.
"""

import math
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fairness.engine.catalogue import METRICS
from fairness.engine.cells import Cell, CellTable, read_cells
from fairness.engine.gate import decide
from fairness.engine.intervals import Interval, Rate, normal_quantile, wilson
from fairness.engine.metrics import GroupCounts, Measured, group_counts, measure
from fairness.engine.oracle import Answer, ask
from fairness.engine.report import (
    AttributeReport,
    CellReport,
    ClosedForm,
    FairnessReport,
    GroupReport,
    MetricReport,
    RateReport,
)
from fairness.engine.spec import FairnessSpec

KIND: Final = "fairness"
#: Float sums differ in their last bits with the order of rows; a digest must not.
SIGNIFICANT_DIGITS: Final = 12

_CATALOGUE: Final = {metric.name: metric for metric in METRICS}


def compute_report(data_path: Path, predictions_path: Path, spec: FairnessSpec) -> FairnessReport:
    """The fairness report of binary predictions on an evaluation data set.

    `data_path` is a Parquet file; `predictions_path` an Arrow IPC file with the columns `row` (0 to n−1, in the order
    of the data set), `prediction` (of the label's type) and `score` (probability of the favourable value, or null).
    Raises FileError with a sentence if the files do not fit the spec or each other.
    """
    table = read_cells(data_path, predictions_path, spec)
    return FairnessReport(
        kind=KIND,
        rows=table.rows,
        missing={"label": table.missing_labels, "prediction": table.missing_predictions, "left_out": table.left_out},
        label=spec.label,
        favourable=spec.favourable,
        attributes=[_attribute(table, position, spec) for position in range(len(spec.protected))],
        cells=[_cell(cell) for cell in table.cells],
        spec=spec.to_json(),
        minimum_group_size=spec.minimum_group_size,
        confidence=spec.confidence,
        replicates=spec.replicates,
        seed=spec.seed,
        versions={name: version(name) for name in ("aif360", "duckdb", "numpy")},
    )


def rounded(value: float | None) -> float | None:
    """A float of 12 significant digits, None for what is not finite; −0.0 becomes 0.0."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0


def _attribute(table: CellTable, position: int, spec: FairnessSpec) -> AttributeReport:
    protected = spec.protected[position]
    marginal = table.marginal(position)
    answer = ask(marginal)
    rule, complement = (
        protected.privileged.text(protected.column),
        protected.privileged.complement_text(protected.column),
    )
    return AttributeReport(
        name=protected.name,
        column=protected.column,
        rule=rule,
        privileged=_group(rule, group_counts(marginal, 1), answer, 1, spec),
        unprivileged=_group(complement, group_counts(marginal, 0), answer, 0, spec),
        missing_n=marginal.missing_n,
        metrics=[_metric(measured) for measured in measure(marginal, answer, spec, protected.name)],
    )


def _group(rule: str, counts: GroupCounts, answer: Answer, side: int, spec: FairnessSpec) -> GroupReport:
    z = normal_quantile(spec.confidence)
    rates = {name: pair[side] for name, pair in answer.rates.items()}
    selection = _rate(rates["selection_rate"], counts.selected, counts.n, z)
    return GroupReport(
        rule=rule,
        n=counts.n,
        positives=counts.positives,
        negatives=counts.negatives,
        selected=counts.selected,
        rate=selection["value"],
        low=selection["low"],
        high=selection["high"],
        base_rate=_rate(rates["base_rate"], counts.positives, counts.n, z),
        tpr=_rate(rates["true_positive_rate"], counts.true_positives, counts.positives, z),
        fpr=_rate(rates["false_positive_rate"], counts.false_positives, counts.negatives, z),
    )


def _rate(value: float, hits: int, n: int, z: float) -> RateReport:
    low, high = wilson(Rate(hits, n), z) if n else (None, None)
    return RateReport(value=rounded(value), low=rounded(low), high=rounded(high), hits=hits, n=n)


def _metric(measured: Measured) -> MetricReport:
    metric = _CATALOGUE[measured.name]
    low, high = _ends(measured.interval)
    outcome, reason = decide(low, high, measured.limitation, metric.band)
    return MetricReport(
        name=measured.name,
        label=metric.title,
        direction=metric.direction,
        value=rounded(measured.value),
        low=low,
        high=high,
        method=measured.method,
        n=measured.n,
        smallest_n=measured.smallest_n,
        undefined_replicates=measured.undefined_replicates,
        closed_form=_closed_form(measured.closed_form),
        limitation=measured.limitation,
        band=list(metric.band),
        outcome=outcome,
        reason=reason,
    )


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (rounded(interval[0]), rounded(interval[1]))


def _closed_form(found: tuple[str, Interval] | None) -> ClosedForm | None:
    if found is None:
        return None
    low, high = _ends(found[1])
    return None if low is None or high is None else ClosedForm(method=found[0], low=low, high=high)


def _cell(cell: Cell) -> CellReport:
    return CellReport(
        categories=list(cell.categories),
        privileged=list(cell.sides),
        label=cell.label,
        prediction=cell.prediction,
        n=cell.n,
        scored=cell.scored,
        sum_w=cell.sum_w,
        sum_w2=cell.sum_w2,
        sum_ws=rounded(cell.sum_ws) or 0.0,
    )
