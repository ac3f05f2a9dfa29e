"""Closed forms against published tables and their own defining equations, the bootstrap against closed forms."""

import math

import numpy as np
import pytest

from fairness.engine.intervals import (
    Rate,
    katz,
    mean_of_differences,
    multinomial_bootstrap,
    newcombe,
    normal_quantile,
    ratio_from_wilson,
    wilson,
)
from fairness.engine.metrics import formulas

Z = normal_quantile(0.95)


def test_the_quantile_is_the_textbook_one() -> None:
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=5e-7)
    assert normal_quantile(0.99) == pytest.approx(2.575829, abs=5e-7)


# Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3 (score without continuity correction).
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_matches_newcombes_table(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(Rate(hits, n), Z) == pytest.approx((low, high), abs=5e-5)


def test_wilson_ends_exactly_at_the_edges() -> None:
    assert wilson(Rate(0, 7), Z)[0] == 0.0
    assert wilson(Rate(7, 7), Z)[1] == 1.0


# Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10.
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        (Rate(56, 70), Rate(48, 80), 0.0524, 0.3339),
        (Rate(9, 10), Rate(3, 10), 0.1705, 0.8090),
        (Rate(6, 7), Rate(2, 7), 0.0582, 0.8062),
        (Rate(5, 56), Rate(0, 29), -0.0381, 0.1926),
        (Rate(0, 10), Rate(0, 20), -0.1611, 0.2775),
        (Rate(0, 10), Rate(0, 10), -0.2775, 0.2775),
        (Rate(10, 10), Rate(0, 20), 0.6791, 1.0),
        (Rate(10, 10), Rate(0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_matches_his_table(first: Rate, second: Rate, low: float, high: float) -> None:
    assert newcombe(first, second, Z) == pytest.approx((low, high), abs=5e-5)


def test_katz_matches_the_physicians_health_study() -> None:
    # Heart attacks, placebo against aspirin, the textbook relative risk of 1.82. By hand: ln 1.81780 = 0.597627,
    # standard error sqrt(1/189 − 1/11034 + 1/104 − 1/11037) = 0.121347, so exp(0.597627 ± 1.959964 · 0.121347).
    low, high = katz(Rate(189, 11034), Rate(104, 11037), Z)
    assert math.sqrt(low * high) == pytest.approx(1.82, abs=0.005)
    assert (low, high) == pytest.approx((1.4330, 2.3059), abs=1e-4)


def test_katz_survives_zero_hits() -> None:
    low, high = katz(Rate(0, 40), Rate(20, 40), Z)
    # By hand: ln(0.5/20) ± 1.96 · sqrt(2 − 1/40 + 1/20 − 1/40)
    assert (math.log(low), math.log(high)) == pytest.approx((-3.688879 - 2.771807, -3.688879 + 2.771807), abs=1e-5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rate(33, 57), Rate(180, 243)),
        (Rate(30, 30), Rate(40, 40)),
        (Rate(3, 60), Rate(50, 400)),
        (Rate(9, 12), Rate(2, 50)),
    ],
)
def test_the_wilson_ratio_limits_solve_their_defining_equation(first: Rate, second: Rate) -> None:
    """R is a limit exactly when the MOVER limit of p0 − R·p1 is zero (Donner and Zou)."""
    (l0, u0), (l1, u1) = wilson(first, Z), wilson(second, Z)
    p0, p1 = first.value, second.value
    low, high = ratio_from_wilson(first, second, Z)
    assert (p0 - low * p1) == pytest.approx(math.hypot(p0 - l0, low * (u1 - p1)), abs=1e-12)
    assert (high * p1 - p0) == pytest.approx(math.hypot(u0 - p0, high * (p1 - l1)), abs=1e-12)


def test_the_wilson_ratio_keeps_doubt_where_everybody_was_selected() -> None:
    low, high = ratio_from_wilson(Rate(30, 30), Rate(30, 30), Z)
    # Wilson's lower end for 30 of 30 is 30 / (30 + z²).
    assert low == pytest.approx(30 / (30 + Z * Z), abs=1e-12)
    assert high == pytest.approx(1 / low, abs=1e-12)


def test_the_wilson_ratio_reaches_zero_where_nobody_was() -> None:
    low, high = ratio_from_wilson(Rate(0, 40), Rate(20, 40), Z)
    assert low == 0.0
    assert 0.1 < high < 0.25


def test_the_mean_of_two_equal_differences_is_narrower_by_the_root_of_two() -> None:
    pair = (Rate(56, 70), Rate(48, 80))
    low, high = mean_of_differences(pair, pair, Z)
    # 0.8 − 0.6 with Newcombe's limits 0.0524 and 0.3339 from the table above.
    assert (low, high) == pytest.approx((0.2 - 0.1476 / math.sqrt(2), 0.2 + 0.1339 / math.sqrt(2)), abs=5e-5)


def test_the_bootstrap_agrees_with_the_closed_forms_on_large_counts() -> None:
    counts = np.array([[[400, 200], [100, 700]], [[900, 600], [300, 1200]]])
    found = multinomial_bootstrap(counts, formulas, replicates=20_000, confidence=0.95, seed=(1,))
    assert set(found.undefined.values()) == {0}
    selected = Rate(900, 1400), Rate(1800, 3000)
    assert found.limits["statistical_parity_difference"] == pytest.approx(newcombe(*selected, Z), abs=0.002)
    assert found.limits["disparate_impact"] == pytest.approx(katz(*selected, Z), abs=0.003)
    tpr, fpr = (Rate(700, 800), Rate(1200, 1500)), (Rate(200, 600), Rate(600, 1500))
    assert found.limits["equal_opportunity_difference"] == pytest.approx(newcombe(*tpr, Z), abs=0.003)
    assert found.limits["average_odds_difference"] == pytest.approx(mean_of_differences(fpr, tpr, Z), abs=0.003)


def test_the_bootstrap_counts_undefined_replicates_and_repeats_by_seed() -> None:
    counts = np.array([[[10, 10], [0, 1]], [[20, 20], [20, 20]]])
    one = multinomial_bootstrap(counts, formulas, replicates=5_000, confidence=0.95, seed=(7,))
    assert one == multinomial_bootstrap(counts, formulas, replicates=5_000, confidence=0.95, seed=(7,))
    # A single positive row is missing from a replicate with probability (1 − 1/101)^101 = 0.366.
    assert one.undefined["equal_opportunity_difference"] == pytest.approx(0.366 * 5_000, rel=0.1)
    assert one.undefined["disparate_impact"] == 0


def test_a_metric_that_no_replicate_defines_has_no_limits() -> None:
    counts = np.array([[[10, 10], [0, 0]], [[20, 20], [20, 20]]])
    found = multinomial_bootstrap(counts, formulas, replicates=1_000, confidence=0.95, seed=(7,))
    assert found.limits["equal_opportunity_difference"] is None
    assert found.undefined["equal_opportunity_difference"] == 1_000
