"""The one place that touches AIF360: counts in, metric values out.

What belongs here: building AIF360's weighted data sets from eight cells and asking it. What does not: intervals, gates,
reading files. AIF360 never sees rows and its own loaders are never used: they fail on current pandas, and a weighted
table of cells gives the same values.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd

from fairness.engine.catalogue import METRIC_NAMES
from fairness.engine.cells import Marginal

#: Rates asked per group, by AIF360's own method names.
RATE_NAMES: Final = ("base_rate", "selection_rate", "true_positive_rate", "false_positive_rate")


@dataclass(frozen=True)
class Answer:
    """AIF360's values, NaN and infinity included. `rates[name]` is (unprivileged, privileged)."""

    metrics: dict[str, float]
    rates: dict[str, tuple[float, float]]


def ask(marginal: Marginal) -> Answer:
    """Metrics and rates of one protected attribute, unprivileged compared with privileged."""
    binary_label_dataset, classification_metric = _aif360()
    truth = binary_label_dataset(
        favorable_label=1.0,
        unfavorable_label=0.0,
        df=_frame(marginal),
        label_names=["label"],
        protected_attribute_names=["privileged"],
        scores_names=["score"],
        instance_weights_name="n",
    )
    predicted = truth.copy()
    predicted.labels = np.array([[float(prediction)] for _, _, prediction in product((0, 1), repeat=3)])
    # Unset scores would keep the true labels and make every score metric look perfect.
    predicted.scores = truth.scores.copy()
    # 0/0 and x/0 are ordinary answers here; they become "no value" with a reason further up.
    with np.errstate(divide="ignore", invalid="ignore"):
        metric = classification_metric(
            truth, predicted, unprivileged_groups=[{"privileged": 0.0}], privileged_groups=[{"privileged": 1.0}]
        )
        return Answer(
            metrics={name: float(getattr(metric, name)()) for name in METRIC_NAMES},
            rates={
                name: (float(getattr(metric, name)(privileged=False)), float(getattr(metric, name)(privileged=True)))
                for name in RATE_NAMES
            },
        )


def _frame(marginal: Marginal) -> pd.DataFrame:
    """The eight cells as an all-float frame, empty ones with weight zero so that the shape never changes."""
    places = [(side, label, prediction) for side, label, prediction in product((0, 1), repeat=3)]
    return pd.DataFrame(
        {
            "privileged": [float(side) for side, _, _ in places],
            "label": [float(label) for _, label, _ in places],
            "score": [_mean_score(marginal, place) for place in places],
            "n": [float(marginal.counts[place]) for place in places],
        }
    )


def _mean_score(marginal: Marginal, place: tuple[int, int, int]) -> float:
    """The mean score of a cell, the prediction itself where no row carries a score."""
    scored = int(marginal.scored[place])
    return float(marginal.score_sums[place]) / scored if scored else float(place[2])


@cache
def _aif360() -> tuple[Any, Any]:
    """AIF360's two classes. Imported on first use: it takes seconds and drags in scikit-learn and matplotlib."""
    with _quiet_import():
        from aif360.datasets import BinaryLabelDataset  # noqa: PLC0415
        from aif360.metrics import ClassificationMetric  # noqa: PLC0415
    return BinaryLabelDataset, ClassificationMetric


class _NoMissingExtras(logging.Filter):
    """Drops AIF360's notes on optional algorithms, which it logs on the root logger while being imported."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "pip install 'aif360[" not in record.getMessage()


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Import AIF360 without its notes, its source's escape warnings, or `logging` installing a handler of its own."""
    root, silence, nowhere = logging.getLogger(), _NoMissingExtras(), logging.NullHandler()
    root.addFilter(silence)
    root.addHandler(nowhere)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="invalid escape sequence", category=DeprecationWarning)
            warnings.filterwarnings("ignore", message="invalid escape sequence", category=SyntaxWarning)
            yield
    finally:
        root.removeHandler(nowhere)
        root.removeFilter(silence)
