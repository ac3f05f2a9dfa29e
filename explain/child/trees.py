"""SHAP values of scikit-learn's trees, forests and boosting: shap's tree code against the whole background."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .attribution import Attribution
from .question import GROUPED_TREES, LastStep, Question, sign_of
from .refusal import RefusalError

PROBABILITY_TREES = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier")
MARGIN_TREES = ("GradientBoostingClassifier", "HistGradientBoostingClassifier")
SINGLE_PRECISION = (*PROBABILITY_TREES, "GradientBoostingClassifier")


class ExactThresholds:
    """Feature values and thresholds as whole numbers in the same order, so that no comparison depends on precision.

    shap's interventional code keeps thresholds in single precision and values in double: a value next to a threshold
    goes the wrong way, and nothing adds up any more. A value becomes the number of its feature's thresholds below it.
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
        sign = sign_of(question)
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


def splits_on_categories(final: Any) -> bool:
    """Histogram boosting can split on sets of categories, which shap's tree code does not know."""
    return getattr(final, "is_categorical_", None) is not None
