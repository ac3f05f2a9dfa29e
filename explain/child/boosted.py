"""SHAP values of xgboost models by xgboost's own code, for a bare booster and for a pipeline's last step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .attribution import Attribution
from .load import BoosterModel
from .question import GROUPED_TREES, LastStep, Question

OWN_PATHS = "Contributions follow the trees' own paths, so the base value is not the mean over the background."


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
