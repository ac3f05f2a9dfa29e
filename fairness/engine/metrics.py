"""From the counts of one attribute to its metrics with intervals and limitations.

What belongs here: which rates a metric rests on, which interval it gets, and when it must not be judged. What does not:
the values themselves (AIF360's, through `oracle`), bands and outcomes (`gate`), JSON (`compute`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fairness.engine.cells import Marginal
from fairness.engine.intervals import (
    Bootstrap,
    Floats,
    Interval,
    Rate,
    katz,
    mean_of_differences,
    multinomial_bootstrap,
    newcombe,
    normal_quantile,
    ratio_from_wilson,
)
from fairness.engine.oracle import Answer
from fairness.engine.spec import FairnessSpec

#: Below this many hits or misses in any rate a metric uses, resampling understates the doubt (a zero stays zero in
#: every replicate) and the closed form gives the interval instead. From five hits on, fewer than exp(−5) = 0.7 % of the
#: replicates are undefined, which a percentile interval bears; the report says how many there were.
SMALL_COUNT: Final = 5


@dataclass(frozen=True)
class GroupCounts:
    """The counts of one side."""

    n: int
    positives: int
    negatives: int
    selected: int
    true_positives: int
    false_positives: int

    @property
    def selection(self) -> "Fraction":
        return Fraction(self.selected, self.n, "small_group")

    @property
    def tpr(self) -> "Fraction":
        return Fraction(self.true_positives, self.positives, "no_positives")

    @property
    def fpr(self) -> "Fraction":
        return Fraction(self.false_positives, self.negatives, "no_negatives")


@dataclass(frozen=True)
class Fraction:
    """`hits` of `n` where n may be 0, with the reason to give then."""

    hits: int
    n: int
    when_empty: str

    @property
    def is_small(self) -> bool:
        return min(self.hits, self.n - self.hits) < SMALL_COUNT

    @property
    def rate(self) -> Rate:
        return Rate(self.hits, self.n)


@dataclass(frozen=True)
class Measured:
    """One metric with all that is known about it; `None` where nothing can be said."""

    name: str
    value: float | None
    interval: Interval | None
    method: str | None
    n: int
    smallest_n: int
    undefined_replicates: int
    closed_form: tuple[str, Interval] | None
    limitation: str | None


Pair = tuple[Fraction, Fraction]
ClosedFormula = Callable[[list[tuple[Rate, Rate]], float], Interval]


@dataclass(frozen=True)
class _Recipe:
    """The fractions a metric compares, and its closed forms: one to show beside, one that also serves small counts."""

    pairs: Callable[[GroupCounts], list[Fraction]]
    rows: Callable[[GroupCounts], int]
    beside: tuple[str, ClosedFormula]
    small: tuple[str, ClosedFormula]


def _newcombe(rates: list[tuple[Rate, Rate]], z: float) -> Interval:
    return newcombe(*rates[0], z)


_NEWCOMBE: Final[tuple[str, ClosedFormula]] = ("Newcombe", _newcombe)
_KATZ: Final[tuple[str, ClosedFormula]] = ("Katz", lambda rates, z: katz(*rates[0], z))
_RATIO: Final[tuple[str, ClosedFormula]] = ("MOVER ratio", lambda rates, z: ratio_from_wilson(*rates[0], z))
_MEAN: Final[tuple[str, ClosedFormula]] = (
    "MOVER of Newcombe",
    lambda rates, z: mean_of_differences(rates[0], rates[1], z),
)

_RECIPES: Final[dict[str, _Recipe]] = {
    "statistical_parity_difference": _Recipe(lambda g: [g.selection], lambda g: g.n, _NEWCOMBE, _NEWCOMBE),
    "disparate_impact": _Recipe(lambda g: [g.selection], lambda g: g.n, _KATZ, _RATIO),
    "equal_opportunity_difference": _Recipe(lambda g: [g.tpr], lambda g: g.positives, _NEWCOMBE, _NEWCOMBE),
    "average_odds_difference": _Recipe(lambda g: [g.fpr, g.tpr], lambda g: g.n, _MEAN, _MEAN),
}


def group_counts(marginal: Marginal, side: int) -> GroupCounts:
    """The counts of the unprivileged (0) or privileged (1) side."""
    counts = marginal.counts[side]
    return GroupCounts(
        n=int(counts.sum()),
        positives=int(counts[1].sum()),
        negatives=int(counts[0].sum()),
        selected=int(counts[:, 1].sum()),
        true_positives=int(counts[1, 1]),
        false_positives=int(counts[0, 1]),
    )


def formulas(counts: Floats) -> dict[str, Floats]:
    """The four metrics on any stack of (privileged?, label?, prediction?) counts, as AIF360 defines them.

    Used for replicates only; the value of a report comes from AIF360. Undefined replicates are NaN or infinite.
    """
    selection = counts[..., 1].sum(axis=-1) / counts.sum(axis=(-1, -2))
    tpr = counts[..., 1, 1] / counts[..., 1, :].sum(axis=-1)
    fpr = counts[..., 0, 1] / counts[..., 0, :].sum(axis=-1)
    d_tpr, d_fpr = tpr[..., 0] - tpr[..., 1], fpr[..., 0] - fpr[..., 1]
    return {
        "statistical_parity_difference": selection[..., 0] - selection[..., 1],
        "disparate_impact": selection[..., 0] / selection[..., 1],
        "equal_opportunity_difference": d_tpr,
        "average_odds_difference": (d_fpr + d_tpr) / 2,
    }


def measure(marginal: Marginal, answer: Answer, spec: FairnessSpec, name: str) -> list[Measured]:
    """All metrics of the attribute called `name`, in the catalogue's order."""
    sides = group_counts(marginal, 0), group_counts(marginal, 1)
    bootstrap = Bootstrap(limits={}, undefined={})
    if min(side.n for side in sides) > 0:
        # The name seeds the attribute's own stream: adding or reordering attributes moves no other interval.
        seed = (spec.seed, *name.encode())
        bootstrap = multinomial_bootstrap(
            marginal.counts, formulas, replicates=spec.replicates, confidence=spec.confidence, seed=seed
        )
    return [_measured(metric, value, sides, bootstrap, spec) for metric, value in answer.metrics.items()]


def _measured(
    metric: str, value: float, sides: tuple[GroupCounts, GroupCounts], bootstrap: Bootstrap, spec: FairnessSpec
) -> Measured:
    recipe = _RECIPES[metric]
    pairs = list(zip(recipe.pairs(sides[0]), recipe.pairs(sides[1]), strict=True))
    exists = math.isfinite(value)
    interval, method, closed_form = None, None, None
    if exists:
        z = normal_quantile(spec.confidence)
        rates = [(unprivileged.rate, privileged.rate) for unprivileged, privileged in pairs]
        closed_form = (recipe.beside[0], recipe.beside[1](rates, z))
        interval, method = bootstrap.limits.get(metric), "bootstrap"
        if interval is None or any(fraction.is_small for pair in pairs for fraction in pair):
            interval, method = recipe.small[1](rates, z), recipe.small[0]
    return Measured(
        name=metric,
        value=value if exists else None,
        interval=interval,
        method=method,
        n=sum(recipe.rows(side) for side in sides),
        smallest_n=min(fraction.n for pair in pairs for fraction in pair),
        undefined_replicates=bootstrap.undefined.get(metric, 0),
        closed_form=closed_form,
        limitation=_limitation(metric, exists, sides, pairs, spec),
    )


def _limitation(
    metric: str,
    exists: bool,
    sides: tuple[GroupCounts, GroupCounts],
    pairs: list[Pair],
    spec: FairnessSpec,
) -> str | None:
    """The reason code that forbids a verdict, None if there is none. The order is from the plainest to the subtlest."""
    fractions = [fraction for pair in pairs for fraction in pair]
    if min(side.n for side in sides) < spec.minimum_group_size:
        return "small_group"
    for fraction in fractions:
        if fraction.n == 0:
            return fraction.when_empty
    if metric == "disparate_impact" and sides[1].selected == 0:
        return "zero_reference_rate"
    if min(fraction.n for fraction in fractions) < spec.minimum_group_size:
        return "small_group"
    return None if exists else "undefined"
