"""SHAP values of anything that predicts, by shap's permutation explainer within a stated budget of predictions."""

import numpy as np
import pandas as pd

from .attribution import Attribution
from .question import Question

MODEL_ROWS_LIMIT = 1_000_000
MOST_PERMUTATIONS = 10


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
            f"Rows explained: {rows} of {len(coded.rows)}. Permutations a row: {permutations}.",
            f"Predictions allowed: {MODEL_ROWS_LIMIT}.",
        ],
        model_rows=spent,
    )


def _decided(question: Question, frame: pd.DataFrame) -> np.ndarray:
    """1 where the model decides for the favourable class, else 0."""
    decisions = question.model.predict(frame).reshape(-1)
    return np.asarray([str(value) == str(question.favourable) for value in decisions.tolist()], dtype=np.float64)
