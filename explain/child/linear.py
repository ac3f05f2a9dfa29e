"""SHAP values of linear classifiers: exact, from the coefficients."""

from typing import Any

import numpy as np

from .attribution import Attribution
from .question import LastStep, Question, sign_of

CROSS_CHECK_ROWS = 20
LOG_ODDS_MODELS = ("LogisticRegression", "LogisticRegressionCV")


def by_coefficients(question: Question, step: LastStep) -> Attribution:
    """φ = coefficient × (value − background mean): exact for independent features (Lundberg and Lee 2017, cor. 1)."""
    sign = sign_of(question)
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
