"""Explain the sampled rows and hand back sums. A single row's values stay in here: an answer holds only totals.

The parent computes means, intervals and the verdict from these totals, so there is one place that judges.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from .attribution import Attribution
from .load import load_with_columns, versions
from .methods import attribute
from .question import Question


def write_explanation(request: dict[str, Any], inputs: Path, answer: Path) -> None:
    """Answer: one JSON object of names, counts and sums."""
    rows = pq.read_table(inputs / "rows.parquet").to_pandas()
    background = pq.read_table(inputs / "background.parquet").to_pandas()
    model, columns = load_with_columns(inputs / "model", available=list(rows.columns), otherwise=list(rows.columns))
    question = Question(
        model=model,
        favourable=request["favourable"],
        rows=rows[columns],
        background=background[columns],
        seed=request["seed"],
        cross_check=request["cross_check"],
    )
    np.random.seed(request["seed"])  # libraries draw from the global generator
    found = attribute(question)
    facts = {"flavour": model.flavour, "tier": model.tier, "model_class": model.model_class, "versions": versions()}
    totals = summarise(found, columns, _codes(request["groups"], len(rows), len(found.values)))
    answer.write_text(json.dumps({**facts, **totals}, allow_nan=False), encoding="utf-8")


def _codes(groups: dict[str, list[int]], sent: int, explained: int) -> dict[str, np.ndarray]:
    """Group membership (1 privileged, 0 not, −1 unknown) of the rows that were explained."""
    kept = np.linspace(0, sent - 1, explained).astype(np.int64)
    return {name: np.asarray(codes)[kept] for name, codes in groups.items()}


def summarise(found: Attribution, columns: list[str], groups: dict[str, np.ndarray]) -> dict[str, Any]:
    """The totals of an attribution, over all rows and by group."""
    return {
        "method": found.method,
        "output_space": found.output_space,
        "features": columns,
        "totals": totals(found.values),
        "groups": {
            name: {"privileged": totals(found.values[codes == 1]), "unprivileged": totals(found.values[codes == 0])}
            for name, codes in groups.items()
        },
        "base_value": found.base,
        "additivity_error": found.additivity_error,
        "output_scale": found.output_scale,
        "mean_output": found.mean_output,
        "interventional": found.interventional,
        "cross_check": found.cross_check,
        "model_rows": found.model_rows,
        "notes": found.notes,
    }


def totals(values: np.ndarray) -> dict[str, Any]:
    """Count and, per feature, Σφ, Σ|φ| and Σφ²: enough for means and intervals, and they can be merged."""
    return {
        "rows": len(values),
        "sum": values.sum(axis=0).tolist(),
        "sum_abs": np.abs(values).sum(axis=0).tolist(),
        "sum_sq": np.square(values).sum(axis=0).tolist(),
    }
