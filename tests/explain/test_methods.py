"""SHAP values against definitions computed here: brute force over all coalitions, coefficients, and the model itself.

The child's own modules run in this process on models made here; nothing is loaded from an artifact.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from explain import report
from explain.child.columns import sources
from explain.child.linear import by_coefficients
from explain.child.load import Model
from explain.child.methods import attribute
from explain.child.permutation import permutation_cost, permutation_plan
from explain.child.question import Question, last_step
from explain.child.shap_report import summarise
from explain.sampling import choose


@pytest.fixture(autouse=True)
def _shap_s_own_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # shap draws from numpy's global generator
        yield


@pytest.fixture(scope="module")
def frame() -> tuple[pd.DataFrame, np.ndarray]:
    draw = np.random.default_rng(7)
    rows = pd.DataFrame(draw.normal(size=(120, 3)), columns=["a", "b", "c"])
    return rows, (rows.a * rows.b + rows.c > 0).to_numpy().astype(int) + 1


def question(estimator: Any, rows: pd.DataFrame, background: pd.DataFrame, favourable: int = 1) -> Question:
    model = Model(flavour="sklearn", tier="B", estimator=estimator)
    return Question(model=model, favourable=favourable, rows=rows, background=background, seed=3, cross_check=False)


def by_definition(output: Callable[[pd.DataFrame], np.ndarray], row: pd.Series, background: pd.DataFrame) -> np.ndarray:
    """Shapley values of one row: v(S) is the mean output with S from the row and the rest from the background."""
    names = list(background.columns)

    def value(coalition: tuple[str, ...]) -> float:
        mixed = background.copy()
        for name in coalition:
            mixed[name] = row[name]
        return float(output(mixed).mean())

    found = np.zeros(len(names))
    for index, name in enumerate(names):
        others = [other for other in names if other != name]
        for size in range(len(names)):
            weight = math.factorial(size) * math.factorial(len(names) - size - 1) / math.factorial(len(names))
            for coalition in itertools.combinations(others, size):
                found[index] += weight * (value((*coalition, name)) - value(coalition))
    return found


TREES = {
    "forest": (RandomForestClassifier(7, max_depth=4, random_state=0), "probability"),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=9, random_state=0), "log-odds"),
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=9, min_samples_leaf=5, random_state=0), "log-odds"),
}


@pytest.mark.parametrize("favourable", [1, 2])
@pytest.mark.parametrize("name", TREES)
def test_tree_values_are_shapley_values(frame: tuple[pd.DataFrame, np.ndarray], name: str, favourable: int) -> None:
    rows, labels = frame
    estimator, space = TREES[name]
    estimator.fit(rows, labels)
    background = rows.iloc[10:25]
    found = attribute(question(estimator, rows.head(6), background, favourable))

    def output(mixed: pd.DataFrame) -> np.ndarray:
        if space == "probability":
            return estimator.predict_proba(mixed)[:, favourable - 1]
        return estimator.decision_function(mixed) * (1 if favourable == 2 else -1)

    expected = np.array([by_definition(output, row, background) for _, row in rows.head(6).iterrows()])
    assert (found.method, found.output_space) == ("tree", space)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert found.base == pytest.approx(float(output(background).mean()), abs=1e-9)
    assert found.mean_output == pytest.approx(found.base, abs=1e-9)


def test_a_value_next_to_a_threshold_does_not_break_additivity() -> None:
    """The middle of two single-precision values need not be one, and the nearest one can lie above it."""
    draw = np.sort(np.random.default_rng(0).uniform(0.1, 2.0, size=(100, 2)).astype(np.float32))
    low, high = next((one, two) for one, two in draw if float(np.float32(middle(one, two))) > middle(one, two))
    between = float(np.float32(middle(low, high)))
    tree = DecisionTreeClassifier().fit(pd.DataFrame({"a": [low, high], "b": [0.0, 0.0]}), [1, 2])
    assert tree.tree_.threshold[0] == middle(low, high) < between
    rows = pd.DataFrame({"a": [float(low), float(high), between], "b": [0.0, 0.0, 0.0]})
    found = attribute(question(tree, rows, rows))
    # P(class 1) is 1, 0, 0; its mean 1/3; only `a` matters.
    np.testing.assert_allclose(found.values, [[2 / 3, 0], [-1 / 3, 0], [-1 / 3, 0]], atol=1e-6)
    assert found.additivity_error < 1e-6


def middle(one: np.float32, two: np.float32) -> float:
    return float(one) / 2 + float(two) / 2


def test_the_whole_background_counts_beyond_a_hundred_rows(frame: tuple[pd.DataFrame, np.ndarray]) -> None:
    rows, labels = frame
    forest = RandomForestClassifier(7, max_depth=4, random_state=0).fit(rows, labels)
    found = attribute(question(forest, rows.head(3), rows))  # 120 rows: shap alone would take 100 of them
    assert found.base == pytest.approx(forest.predict_proba(rows)[:, 0].mean(), abs=1e-9)


def test_one_hot_columns_go_back_to_their_own_column() -> None:
    rows = pd.DataFrame({"colour": ["r", "g", "b", "r"], "size": [1.0, 2.0, 3.0, 5.0], "same": ["x"] * 4})
    transformer = ColumnTransformer(
        [("n", StandardScaler(), ["size"]), ("c", OneHotEncoder(), ["same", "colour"])]
    ).fit(rows)
    assert sources(transformer, rows).tolist() == [1, -1, 0, 0, 0]
    mixing = Pipeline([("t", transformer), ("p", PCA(2))]).fit(rows)
    assert sources(mixing, rows) is None


def test_a_linear_model_that_is_no_logistic_one_has_no_log_odds(frame: tuple[pd.DataFrame, np.ndarray]) -> None:
    rows, labels = frame
    found = attribute(question(LinearSVC(random_state=0).fit(rows, labels), rows, rows))
    assert (found.method, found.output_space) == ("linear", "raw")
    assert found.additivity_error < 1e-12


def test_mixed_columns_fall_back_to_asking_the_model(frame: tuple[pd.DataFrame, np.ndarray]) -> None:
    rows, labels = frame
    pipeline = Pipeline([("p", PCA(2)), ("m", LogisticRegression())]).fit(rows, labels)
    found = attribute(question(pipeline, rows.head(5), rows.head(20)))
    expected = [
        by_definition(lambda mixed: pipeline.predict_proba(mixed)[:, 0], row, rows.head(20))
        for _, row in rows.head(5).iterrows()
    ]
    assert (found.method, found.output_space) == ("permutation", "probability")
    np.testing.assert_allclose(found.values, expected, atol=0.01)
    assert found.additivity_error < 1e-9
    assert found.base == pytest.approx(found.mean_output, abs=1e-9)


def test_permutation_takes_text_columns_and_counts_what_it_asks() -> None:
    draw = np.random.default_rng(1)
    rows = pd.DataFrame({"colour": draw.choice(["r", "g"], 40), "x": draw.normal(size=40), "y": draw.normal(size=40)})
    labels = ((rows.colour == "r") & (rows.x > 0)).astype(int) + 1
    encode = ColumnTransformer([("c", OneHotEncoder(), ["colour"])], remainder="passthrough")
    network = Pipeline([("e", encode), ("m", MLPClassifier((4,), solver="lbfgs", random_state=0))]).fit(rows, labels)
    asked = question(network, rows.head(6), rows.tail(8))
    found = attribute(asked)
    assert found.additivity_error < 1e-9
    assert 0 < found.model_rows <= permutation_cost(6, 3, 8, 10)
    np.testing.assert_array_equal(found.values, attribute(asked).values)


def test_permutation_stays_within_its_budget() -> None:
    # 100 background rows and 30 features: 100 × (61 + 31) rows of prediction for every row but the first.
    assert permutation_plan(2000, 30, 100, limit=1_000_000) == (109, 1)
    assert permutation_cost(109, 30, 100, 1) == 100 * (109 * 61 + 108 * 31) <= 1_000_000
    assert permutation_cost(110, 30, 100, 1) > 1_000_000
    assert permutation_plan(5, 3, 10, limit=1_000_000) == (5, 10)
    assert permutation_plan(5, 3, 10, limit=1) == (1, 1)


def test_a_wrong_background_is_seen_by_the_base_although_everything_adds_up(
    frame: tuple[pd.DataFrame, np.ndarray],
) -> None:
    rows, labels = frame
    asked = question(LogisticRegression().fit(rows, labels), rows, rows.head(50))
    wrong = question(asked.model.estimator, rows, rows.tail(50))
    step, other = last_step(asked), last_step(wrong)
    assert step is not None
    assert other is not None
    honest, injected = by_coefficients(asked, step), by_coefficients(wrong, other)
    assert injected.additivity_error < 1e-12

    def verdict(found: Any) -> dict[str, Any]:
        answer = {
            **summarise(found, ["a", "b", "c"], {}),
            "flavour": "f",
            "tier": "B",
            "model_class": "m",
            "versions": {},
        }
        return report.build(answer, known=["a", "b", "c"], sent=len(rows), groups=[], given={})

    assert verdict(honest)["status"] == "OK"
    tampered = verdict(injected.__class__(**{**injected.__dict__, "mean_output": honest.mean_output}))
    assert tampered["status"] == "ERROR"
    assert tampered["reason"].endswith("The background used is not the one recorded.")


def test_the_sample_is_proportional_by_group_and_follows_the_seed() -> None:
    group = np.array([1] * 700 + [0] * 300)
    chosen = choose(1000, 100, [5, 0], [group])
    assert group[chosen].sum() == 70
    assert len(set(chosen.tolist())) == 100
    np.testing.assert_array_equal(chosen, choose(1000, 100, [5, 0], [group]))
    assert chosen.tolist() != choose(1000, 100, [6, 0], [group]).tolist()
    assert choose(3, 100, [5, 0]).tolist() == [0, 1, 2]
