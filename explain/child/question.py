"""What is to be explained: a model, rows, a background, and the model's last step as a method needs it. No method."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .columns import dense, gather, sources
from .load import Model, Scalar

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


def is_pipeline(estimator: Any) -> bool:
    return type(estimator).__name__ == "Pipeline" and hasattr(estimator, "steps")


def last_step(question: Question) -> LastStep | None:
    """The last step with its rows; None when its columns cannot be told apart by the caller's columns."""
    estimator = question.model.estimator
    both = pd.concat([question.rows, question.background], ignore_index=True)
    count = len(question.rows)
    if is_pipeline(estimator) and len(estimator.steps) > 1:
        source = sources(estimator[:-1], both)
        if source is None:
            return None
        as_given, final = estimator[:-1].transform(both), estimator.steps[-1][1]
    else:
        as_given, final = both, estimator.steps[-1][1] if is_pipeline(estimator) else estimator
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


def sign_of(question: Question) -> float:
    """Libraries give a two-class margin for the second class."""
    return 1.0 if question.model.class_index(question.favourable) == 1 else -1.0
