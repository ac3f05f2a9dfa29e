"""Which way to compute SHAP values, by what the model is. Computing them is in the file of each way."""

from collections.abc import Callable
from typing import Any

from .attribution import Attribution
from .boosted import by_boosted_step, by_booster
from .linear import by_coefficients
from .load import BoosterModel, Model
from .permutation import by_permutation
from .question import LastStep, Question, is_pipeline, last_step
from .trees import MARGIN_TREES, PROBABILITY_TREES, by_trees, splits_on_categories


def attribute(question: Question) -> Attribution:
    """SHAP values by the most exact method the model allows."""
    if isinstance(question.model, BoosterModel):
        return by_booster(question)
    estimator = question.model.estimator
    final = estimator.steps[-1][1] if is_pipeline(estimator) else estimator
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
    if type(final).__name__ in (*PROBABILITY_TREES, *MARGIN_TREES) and not splits_on_categories(final):
        return by_trees
    return None
