"""The shape of a fairness report, as stored with the evidence and read by pages and gates.

What belongs here: names and meaning of every field. What does not: computing any of them (`compute`). Everything is
JSON: numbers are whole, or finite floats of 12 significant digits; a value that does not exist is null with a reason
beside it.
"""

from typing import TypedDict

from fairness.engine.spec import Scalar


class RateReport(TypedDict):
    """`hits` of `n` rows with a Wilson interval; value and ends are null when n is 0."""

    value: float | None
    low: float | None
    high: float | None
    hits: int
    n: int


class GroupReport(TypedDict):
    """One side of a protected attribute. `rate`, `low`, `high` are the selection rate, `selected` of `n`."""

    rule: str
    n: int
    positives: int
    negatives: int
    selected: int
    rate: float | None
    low: float | None
    high: float | None
    base_rate: RateReport
    tpr: RateReport
    fpr: RateReport


class ClosedForm(TypedDict):
    """A second interval by formula, to hold beside the bootstrap."""

    method: str
    low: float
    high: float


class MetricReport(TypedDict):
    """One comparison of the two groups.

    `n` counts the rows the metric rests on, `smallest_n` the smallest denominator in it. `method` names where `low`
    and `high` come from. `limitation` is a reason code that forbids a verdict under any band; `outcome` and `reason`
    are the gate's answer under `band`.
    """

    name: str
    label: str
    direction: str
    value: float | None
    low: float | None
    high: float | None
    method: str | None
    n: int
    smallest_n: int
    undefined_replicates: int
    closed_form: ClosedForm | None
    limitation: str | None
    band: list[float]
    outcome: str
    reason: str | None


class AttributeReport(TypedDict):
    """One protected attribute. `rule` is the privileged rule written out, for example "age > 25"."""

    name: str
    column: str
    rule: str
    privileged: GroupReport
    unprivileged: GroupReport
    missing_n: int
    metrics: list[MetricReport]


class CellReport(TypedDict):
    """True counts of one combination; `categories` and `privileged` follow the order of the attributes."""

    categories: list[str]
    privileged: list[bool | None]
    label: Scalar | None
    prediction: Scalar | None
    n: int
    scored: int
    sum_w: float
    sum_w2: float
    sum_ws: float


class MissingReport(TypedDict):
    """Rows without a label, without a prediction, and without either of them, which no metric counts."""

    label: int
    prediction: int
    left_out: int


class FairnessReport(TypedDict):
    """The whole report. The same files, spec and versions give the same report to the byte."""

    kind: str
    rows: int
    missing: MissingReport
    label: str
    favourable: Scalar
    attributes: list[AttributeReport]
    cells: list[CellReport]
    spec: dict[str, object]
    minimum_group_size: int
    confidence: float
    replicates: int
    seed: int
    versions: dict[str, str]
