"""Which of the caller's columns each transformed column comes from, so that values of one-hot columns add up to one
name.

Found by experiment, not by reading the transformer's names: shift one column of the caller by a row and see what
changes. It works for any row-wise transformer and needs no private attribute of any library.
"""

from typing import Any

import numpy as np
import pandas as pd

NO_SOURCE = -1  # never changes in these rows, so its value is nought in any explanation of them


def dense(table: Any) -> np.ndarray:
    """A transformer's output (sparse, frame or array) as float64, shape (rows, transformed columns)."""
    if hasattr(table, "toarray"):
        table = table.toarray()
    return np.asarray(table, dtype=np.float64)


def sources(transformer: Any, rows: pd.DataFrame) -> np.ndarray | None:
    """Shape (transformed columns,): index of the caller's column; None when some transformed column mixes several.

    A column that depends on one caller's column and varies at all must change when that column is shifted by one row:
    were it equal in every pair of neighbours, it would be constant.
    """
    plain = dense(transformer.transform(rows))
    found = np.full(plain.shape[1], NO_SOURCE)
    for index, name in enumerate(rows.columns):
        shifted = rows.copy()
        shifted[name] = rows[name].take(np.roll(np.arange(len(rows)), 1)).set_axis(rows.index)
        changed = _differs(plain, dense(transformer.transform(shifted)))
        if (found[changed] != NO_SOURCE).any():
            return None
        found[changed] = index
    return found


def _differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Shape (columns,): whether any row differs; two missing values are equal."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.asarray(~same.all(axis=0))


def gather(values: np.ndarray, source: np.ndarray, count: int) -> np.ndarray:
    """Shape (rows, count): values of transformed columns added up by the caller's column."""
    gathered = np.zeros((values.shape[0], count))
    for index in range(count):
        gathered[:, index] = values[:, source == index].sum(axis=1)
    return gathered
