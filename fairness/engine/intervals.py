"""Confidence intervals for rates, differences and ratios of counts.

What belongs here: closed forms and the multinomial bootstrap, on plain counts. What does not: which metric uses which
interval (`metrics`) and what an interval means for a gate (`gate`). `z` is the two-sided normal quantile, 1.96 for
95 %.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Rate:
    """`hits` out of `n`, n > 0."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n


def normal_quantile(confidence: float) -> float:
    """z with `confidence` of the standard normal between −z and z; 1.959964 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(rate: Rate, z: float) -> Interval:
    """Score interval of one rate (Wilson 1927). Stays within [0, 1] and is not degenerate at 0 or n hits."""
    p, n = rate.value, rate.n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if rate.hits == 0 else max(0.0, centre - half)
    high = 1.0 if rate.hits == n else min(1.0, centre + half)
    return low, high


def newcombe(first: Rate, second: Rate, z: float) -> Interval:
    """Interval of first − second from the two Wilson intervals (Newcombe 1998, method 10)."""
    (l0, u0), (l1, u1) = wilson(first, z), wilson(second, z)
    p0, p1 = first.value, second.value
    return p0 - p1 - math.hypot(p0 - l0, u1 - p1), p0 - p1 + math.hypot(u0 - p0, p1 - l1)


def mean_of_differences(one: tuple[Rate, Rate], other: tuple[Rate, Rate], z: float) -> Interval:
    """Interval of ½((a − b) + (c − d)) for independent pairs, their Newcombe intervals combined by MOVER.

    MOVER: distances from estimate to limit add in squares (Zou and Donner 2008).
    """
    d0, d1 = (pair[0].value - pair[1].value for pair in (one, other))
    (l0, u0), (l1, u1) = newcombe(*one, z), newcombe(*other, z)
    middle = (d0 + d1) / 2
    return middle - math.hypot(d0 - l0, d1 - l1) / 2, middle + math.hypot(u0 - d0, u1 - d1) / 2


def katz(first: Rate, second: Rate, z: float) -> Interval:
    """Log interval of first ÷ second (Katz 1978), hits floored at 0.5 so that a zero does not blow up."""
    k0, k1 = max(first.hits, 0.5), max(second.hits, 0.5)
    middle = math.log((k0 / first.n) / (k1 / second.n))
    # With n = 1 a floored hit still leaves the variance at or above zero; more hits than rows cannot happen.
    half = z * math.sqrt(1 / k0 - 1 / first.n + 1 / k1 - 1 / second.n)
    return math.exp(middle - half), math.exp(middle + half)


def ratio_from_wilson(first: Rate, second: Rate, z: float) -> Interval:
    """Interval of first ÷ second from the two Wilson intervals by MOVER-R (Donner and Zou 2012); second.hits > 0.

    Unlike Katz it does not collapse when every row of both groups was selected, and reaches 0 when none was.
    """
    (l0, u0), (l1, u1) = wilson(first, z), wilson(second, z)
    p0, p1 = first.value, second.value
    product = p0 * p1
    below, above = l0 * (2 * p0 - l0), u0 * (2 * p0 - u0)
    # The lower limit is the smaller root in its rationalised form, which stays finite when u1 reaches 2·p1.
    low = below / (product + math.sqrt(max(0.0, product**2 - below * u1 * (2 * p1 - u1)))) if product else 0.0
    floor = l1 * (2 * p1 - l1)
    high = (product + math.sqrt(max(0.0, product**2 - above * floor))) / floor
    return low, high


@dataclass(frozen=True)
class Bootstrap:
    """Percentile limits per metric (None when no replicate was defined) and how many replicates were undefined."""

    limits: Mapping[str, Interval | None]
    undefined: Mapping[str, int]


def multinomial_bootstrap(
    counts: Counts,
    formulas: Callable[[Floats], Mapping[str, Floats]],
    *,
    replicates: int,
    confidence: float,
    seed: tuple[int, ...],
) -> Bootstrap:
    """Resample a table of counts, which equals resampling its rows at a cost that does not depend on their number.

    `formulas` maps an array of shape (replicates, *counts.shape) to one array of shape (replicates,) per metric.
    `counts` must hold at least one row.
    """
    total = int(counts.sum())
    shares = counts.ravel() / total
    drawn = np.random.default_rng(seed).multinomial(total, shares, size=replicates)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = formulas(drawn.reshape(replicates, *counts.shape).astype(np.float64))
    tail = 50 * (1 - confidence)
    limits: dict[str, Interval | None] = {}
    undefined: dict[str, int] = {}
    for name, column in values.items():
        finite = column[np.isfinite(column)]
        undefined[name] = replicates - len(finite)
        limits[name] = None
        if len(finite):
            low, high = np.percentile(finite, [tail, 100 - tail])
            limits[name] = (float(low), float(high))
    return Bootstrap(limits=limits, undefined=undefined)
