"""What every explaining method returns. Only the shape: computing it is in the method's own file, judging it is the
parent's.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """SHAP values of one output for n rows and k features, with what is needed to check them without trusting them.

    `output` is the model's own answer for the rows, and `mean_output` its mean over the background; neither is derived
    from `values` or `base`. `interventional` says that the base is that mean, so that a difference is an error.
    """

    method: str
    output_space: str
    values: np.ndarray  # (n, k)
    base: float
    output: np.ndarray  # (n,)
    mean_output: float
    interventional: bool
    notes: list[str] = field(default_factory=list)
    cross_check: dict[str, Any] | None = None  # another engine on a few rows of the same job
    model_rows: int | None = None  # rows the model had to predict, for methods that ask it

    @property
    def additivity_error(self) -> float:
        return float(np.max(np.abs(self.base + self.values.sum(axis=1) - self.output), initial=0.0))

    @property
    def output_scale(self) -> float:
        """What an error is relative to: the largest output of the rows."""
        return float(np.max(np.abs(self.output), initial=0.0))
