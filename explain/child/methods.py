"""The four ways to compute SHAP values, each by what the model is. No aggregation and no verdicts: those read an
Attribution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .attribution import Attribution
from .columns import dense, gather, sources
from .load import BoosterModel, Model, Scalar
from .refusal import RefusalError

CROSS_CHECK_ROWS = 20
MODEL_ROWS_LIMIT = 1_000_000
MOST_PERMUTATIONS = 10
LOG_ODDS_MODELS = ("LogisticRegression", "LogisticRegressionCV")
PROBABILITY_TREES = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier")
MARGIN_TREES = ("GradientBoostingClassifier", "HistGradientBoostingClassifier")
SINGLE_PRECISION = (*PROBABILITY_TREES, "GradientBoostingClassifier")

GROUPED_TREES = (
    "Values of columns derived from one input (for example one-hot columns) are added up. For a tree model this sum is "
    "close to, but not the same as, the value of the input taken as one player."
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One explanation to compute: this model and class, these rows against this background."""

    model: Model
    favourable: Scalar
    rows: pd.DataFrame
    background: pd.DataFrame
    seed: int
    cross_check: bool = True


@dataclass(frozen=True, kw_only=True)
class LastStep:
    """The deciding estimator of a model, and the rows as it sees them."""

    estimator: Any
    rows: np.ndarray  # (n, transformed columns)
    background: np.ndarray
    source: np.ndarray  # (transformed columns,) index of the caller's column
    as_given: Any  # rows, then background, as the transformers give them (array, sparse or frame)
    derived: bool  # some input became several columns

    def by_caller(self, values: np.ndarray, count: int) -> np.ndarray:
        return gather(values, self.source, count)


def attribute(question: Question) -> Attribution:
    """SHAP values by the most exact method the model allows."""
    if isinstance(question.model, BoosterModel):
        return by_booster(question)
    estimator = question.model.estimator
    final = estimator.steps[-1][1] if _is_pipeline(estimator) else estimator
    method = _method_for(final, question.model)
    step = last_step(question) if method is not None else None
    if method is None or step is None:
        return by_permutation(question)
    return method(question, step)


def _method_for(final: Any, model: Model) -> Callable[[Question, LastStep], Attribution] | None:
    lineage = {kind.__name__ for kind in type(final).__mro__}
    if model.classes is None or len(model.classes) != 2:
        return None
    if "LinearClassifierMixin" in lineage:
        return by_coefficients
    if "XGBModel" in lineage:
        return by_boosted_step
    if type(final).__name__ in (*PROBABILITY_TREES, *MARGIN_TREES) and not _splits_on_categories(final):
        return by_trees
    return None


def _is_pipeline(estimator: Any) -> bool:
    return type(estimator).__name__ == "Pipeline" and hasattr(estimator, "steps")


def _splits_on_categories(final: Any) -> bool:
    """Histogram boosting can split on sets of categories, which shap's tree code does not know."""
    return getattr(final, "is_categorical_", None) is not None


def last_step(question: Question) -> LastStep | None:
    """The last step with its rows; None when its columns cannot be told apart by the caller's columns."""
    estimator = question.model.estimator
    both = pd.concat([question.rows, question.background], ignore_index=True)
    count = len(question.rows)
    if _is_pipeline(estimator) and len(estimator.steps) > 1:
        source = sources(estimator[:-1], both)
        if source is None:
            return None
        as_given, final = estimator[:-1].transform(both), estimator.steps[-1][1]
    else:
        as_given, final = both, estimator.steps[-1][1] if _is_pipeline(estimator) else estimator
        source = np.arange(both.shape[1])
    transformed = dense(as_given)
    used = source[source >= 0]
    return LastStep(
        estimator=final,
        rows=transformed[:count],
        background=transformed[count:],
        as_given=as_given,
        source=source,
        derived=len(used) != len(set(used.tolist())),
    )


def _sign(question: Question) -> float:
    """Libraries give a two-class margin for the second class."""
    return 1.0 if question.model.class_index(question.favourable) == 1 else -1.0


# --- linear ---


def by_coefficients(question: Question, step: LastStep) -> Attribution:
    """φ = coefficient × (value − background mean): exact for independent features (Lundberg and Lee 2017, cor. 1)."""
    sign = _sign(question)
    coefficients = sign * np.asarray(step.estimator.coef_, dtype=np.float64).reshape(-1)
    centre = step.background.mean(axis=0)
    values = coefficients * (step.rows - centre)
    intercept = sign * float(np.asarray(step.estimator.intercept_).reshape(-1)[0])
    return Attribution(
        method="linear",
        output_space="log-odds" if type(step.estimator).__name__ in LOG_ODDS_MODELS else "raw",
        values=step.by_caller(values, question.rows.shape[1]),
        base=float(coefficients @ centre) + intercept,
        output=sign * np.asarray(step.estimator.decision_function(step.rows)),
        mean_output=sign * float(np.mean(step.estimator.decision_function(step.background))),
        interventional=True,
        cross_check=_linear_cross_check(step, sign, values) if question.cross_check else None,
    )


def _linear_cross_check(step: LastStep, sign: float, values: np.ndarray) -> dict[str, Any]:
    import shap  # noqa: PLC0415 — takes seconds, and only this check needs it

    whole = shap.maskers.Independent(step.background, max_samples=len(step.background))
    theirs = sign * np.asarray(shap.LinearExplainer(step.estimator, whole).shap_values(step.rows[:CROSS_CHECK_ROWS]))
    difference = float(np.max(np.abs(theirs - values[:CROSS_CHECK_ROWS]), initial=0.0))
    return {"engine": "shap.LinearExplainer", "rows": len(theirs), "max_difference": difference}


# --- trees ---


class ExactThresholds:
    """Feature values and thresholds as whole numbers in the same order, so that no comparison depends on precision.

    shap's interventional code keeps thresholds in single precision and values in double: a value next to a threshold goes
    the wrong way, and the values no longer add up. A value becomes the number of thresholds of its feature below it.
    """

    def __init__(self, ensemble: Any, *, single: bool) -> None:
        self._single = single  # scikit-learn's own trees compare single-precision values
        split = ensemble.children_left >= 0
        self._thresholds = {
            int(feature): np.unique(ensemble.thresholds[split & (ensemble.features == feature)])
            for feature in np.unique(ensemble.features[split])
        }
        coded = np.array(ensemble.thresholds, dtype=np.float64)
        for feature, known in self._thresholds.items():
            chosen = split & (ensemble.features == feature)
            coded[chosen] = np.searchsorted(known, ensemble.thresholds[chosen])
        self.thresholds = coded

    def code(self, rows: np.ndarray) -> np.ndarray:
        """Shape as given. x ≤ threshold i of its feature exactly when code(x) ≤ i; missing values stay missing."""
        values = rows.astype(np.float32).astype(np.float64) if self._single else rows
        coded = np.zeros_like(values)
        for feature, known in self._thresholds.items():
            column = values[:, feature]
            coded[:, feature] = np.where(np.isnan(column), np.nan, np.searchsorted(known, column, side="left"))
        return coded


def by_trees(question: Question, step: LastStep) -> Attribution:
    """shap's tree code against the whole background (interventional)."""
    import shap  # noqa: PLC0415 — takes seconds; linear and xgboost models never need it here

    exact = ExactThresholds(
        shap.TreeExplainer(step.estimator).model, single=type(step.estimator).__name__ in SINGLE_PRECISION
    )
    rows, background = exact.code(step.rows), exact.code(step.background)
    # Without a masker of its own size, shap cuts the background to 100 rows and says nothing.
    whole = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.TreeExplainer(step.estimator, whole, feature_perturbation="interventional", model_output="raw")
    if explainer.data.shape[0] != len(background):
        raise RefusalError("The explaining library did not use the whole background.")
    explainer.model.thresholds = exact.thresholds
    values = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)
    base = np.asarray(explainer.model.predict(background), dtype=np.float64).reshape(len(background), -1).mean(axis=0)
    which = question.model.class_index(question.favourable)
    sign = 1.0
    if values.ndim == 3:
        values, base = values[:, :, which], base[which : which + 1]
    else:
        sign = _sign(question)
    as_probability = type(step.estimator).__name__ in PROBABILITY_TREES
    output = _tree_output(step.estimator, as_probability, which, sign)
    return Attribution(
        method="tree",
        output_space="probability" if as_probability else "log-odds",
        values=step.by_caller(sign * values, question.rows.shape[1]),
        base=sign * float(base[0]),
        output=output(step.rows),
        mean_output=float(np.mean(output(step.background))),
        interventional=True,
        notes=[GROUPED_TREES] if step.derived else [],
    )


def _tree_output(estimator: Any, as_probability: bool, which: int, sign: float) -> Callable[[np.ndarray], np.ndarray]:
    if as_probability:
        return lambda rows: np.asarray(estimator.predict_proba(rows))[:, which]
    return lambda rows: sign * np.asarray(estimator.decision_function(rows))


# --- xgboost ---


def by_booster(question: Question) -> Attribution:
    """A model that is a booster: its columns are the caller's."""
    model = question.model
    assert isinstance(model, BoosterModel)  # noqa: S101 — by `attribute`; tells the type checker
    contributions = _one_class(question, model.estimator.predict(model.matrix(question.rows), pred_contribs=True))
    return _native(
        question,
        values=contributions[:, :-1],
        base=float(contributions[0, -1]),
        margin=lambda rows: model.estimator.predict(model.matrix(rows), output_margin=True),
        outputs=(question.rows, question.background),
    )


def by_boosted_step(question: Question, step: LastStep) -> Attribution:
    """The last step of a pipeline is xgboost's scikit-learn wrapper."""
    import xgboost  # noqa: PLC0415 — already imported by whoever loaded the model

    # As the step sees it: xgboost takes what a sparse matrix leaves out for missing, not for nought.
    matrix = xgboost.DMatrix(step.as_given[: len(step.rows)], nthread=1)
    booster = step.estimator.get_booster()
    contributions = _one_class(question, booster.predict(matrix, pred_contribs=True, validate_features=False))
    return _native(
        question,
        values=step.by_caller(contributions[:, :-1], question.rows.shape[1]),
        base=float(contributions[0, -1]),
        margin=lambda rows: step.estimator.predict(rows, output_margin=True),
        outputs=(step.as_given[: len(step.rows)], step.as_given[len(step.rows) :]),
        notes=[GROUPED_TREES] if step.derived else [],
    )


def _one_class(question: Question, table: Any) -> np.ndarray:
    """The favourable class's part: two classes share one margin, more have one each on the second axis."""
    found, which = np.asarray(table, dtype=np.float64), question.model.class_index(question.favourable)
    if len(question.model.classes or []) == 2:
        return found if which == 1 else -found
    return np.asarray(found[:, which])


def _native(
    question: Question,
    *,
    values: np.ndarray,
    base: float,
    margin: Callable[[Any], Any],
    outputs: tuple[Any, Any],
    notes: Sequence[str] = (),
) -> Attribution:
    """xgboost's own contributions. They follow the trees' paths: the base is a training mean, not the background's."""
    return Attribution(
        method="xgboost-native",
        output_space="log-odds" if len(question.model.classes or []) == 2 else "raw",
        values=values,
        base=base,
        output=_one_class(question, margin(outputs[0])),
        mean_output=float(np.mean(_one_class(question, margin(outputs[1])))),
        interventional=False,
        notes=[
            *notes,
            "Contributions follow the trees' own paths, so the base value is not the mean over the background.",
        ],
    )


# --- anything that predicts ---


def permutation_plan(rows: int, features: int, background: int, limit: int = MODEL_ROWS_LIMIT) -> tuple[int, int]:
    """(rows to explain, permutations a row) that keep the model's predicted rows under the limit; at least 1 each."""
    possible = max(1, min(rows, (limit // background + features + 1) // (3 * features + 2)))
    permutations = 1
    while (
        permutations < MOST_PERMUTATIONS and permutation_cost(possible, features, background, permutations + 1) <= limit
    ):
        permutations += 1
    return possible, permutations


def permutation_cost(rows: int, features: int, background: int, permutations: int) -> int:
    """Rows the model predicts, at most: shap's permutation explainer as measured, for any number of features."""
    return background * (rows * permutations * (2 * features + 1) + (rows - 1) * (features + 1))


class _Coded:
    """The caller's rows as numbers a masker can mix: each value by its position in the list of its column's values."""

    def __init__(self, question: Question) -> None:
        both = pd.concat([question.rows, question.background], ignore_index=True)
        coded = [pd.factorize(both[name], use_na_sentinel=False) for name in both.columns]
        self._values = dict(
            zip(
                both.columns,
                (
                    pd.Series(values, dtype=both[name].dtype)
                    for name, (_, values) in zip(both.columns, coded, strict=True)
                ),
                strict=True,
            )
        )
        codes = np.column_stack([numbers for numbers, _ in coded]).astype(np.float64)
        self.rows, self.background = codes[: len(question.rows)], codes[len(question.rows) :]

    def decode(self, codes: np.ndarray) -> pd.DataFrame:
        positions = np.asarray(codes).astype(np.int64)
        columns = {
            name: values.take(positions[:, index]).reset_index(drop=True)
            for index, (name, values) in enumerate(self._values.items())
        }
        return pd.DataFrame(columns)


def by_permutation(question: Question) -> Attribution:
    """shap's permutation explainer on the favourable class's probability, or on the decision where there is none."""
    import shap  # noqa: PLC0415 — takes seconds; linear and xgboost models never need it here

    coded, counted = _Coded(question), [0]
    as_probability = question.model.probability(question.background.head(1), question.favourable) is not None

    def output(codes: np.ndarray) -> np.ndarray:
        counted[0] += len(codes)
        frame = coded.decode(codes)
        score = question.model.probability(frame, question.favourable) if as_probability else None
        return _decided(question, frame) if score is None else score

    features = coded.rows.shape[1]
    rows, permutations = permutation_plan(len(coded.rows), features, len(coded.background))
    chosen = coded.rows[np.linspace(0, len(coded.rows) - 1, rows).astype(np.int64)]
    masker = shap.maskers.Independent(coded.background, max_samples=len(coded.background))
    explainer = shap.PermutationExplainer(output, masker, seed=question.seed)
    found = explainer(chosen, max_evals=permutations * (2 * features + 1), silent=True)
    spent = counted[0]
    return Attribution(
        method="permutation",
        output_space="probability" if as_probability else "raw",
        values=np.asarray(found.values, dtype=np.float64),
        base=float(np.mean(found.base_values)),
        output=output(chosen),
        mean_output=float(np.mean(output(coded.background))),
        interventional=True,
        notes=[
            f"Rows explained: {rows} of {len(coded.rows)}. Permutations a row: {permutations}. "
            f"Predictions allowed: {MODEL_ROWS_LIMIT}."
        ],
        model_rows=spent,
    )


def _decided(question: Question, frame: pd.DataFrame) -> np.ndarray:
    """1 where the model decides for the favourable class, else 0."""
    decisions = question.model.predict(frame).reshape(-1)
    return np.asarray([str(value) == str(question.favourable) for value in decisions.tolist()], dtype=np.float64)
