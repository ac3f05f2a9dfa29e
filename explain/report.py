"""Turn the totals a child gave into the explanation report: means, intervals, checks and the verdict. Pure, no files.

The only place that judges an explanation. A report that fails a check has the status ERROR and a reason; it is never
missing.
"""

import math
from collections.abc import Sequence
from typing import Any

from explain import answers
from explain.answers import Json

RELATIVE_TOLERANCE = 1e-3
NORMAL_95 = 1.959963984540054
# Sums of thousands of doubles agree to about 13 digits between two ways of adding them up; 10 leaves room, so that the
# same inputs give the same bytes however the additions were ordered.
SIGNIFICANT_DIGITS = 10
# A rounding error has no more meaningful digits than this.
ERROR_DIGITS = 2

METHODS = ("linear", "xgboost-native", "tree", "permutation")
SPACES = ("log-odds", "probability", "raw")
SIDES = ("privileged", "unprivileged")
TOTALS = ("rows", "sum", "sum_abs", "sum_sq")
ANSWER = (
    *("method", "output_space", "flavour", "tier", "model_class", "features", "totals", "groups", "base_value"),
    *(
        "additivity_error",
        "output_scale",
        "mean_output",
        "interventional",
        "cross_check",
        "model_rows",
        "notes",
        "versions",
    ),
)


def rounded(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """To significant digits; never minus nought."""
    return float(f"{value:.{digits - 1}e}") + 0.0


def build(answer: Json, *, known: Sequence[str], sent: int, groups: Sequence[str], given: Json) -> Json:
    """The report of a child's answer. `given` holds what the parent knows itself (rows, background, seed).

    Raises SandboxError `bad_output` when the answer is not of the expected shape or contradicts what was sent.
    """
    answers.exact_names(answer, ANSWER, "the answer")
    features = answers.columns(answer["features"], known)
    totals = _totals(answer["totals"], len(features), sent, "the table of totals")
    by_group = _groups(answer["groups"], groups, len(features), totals["rows"])
    if totals["rows"] == 0:
        raise answers.bad("no row was explained")
    checks = _checks(answer)
    report = {
        "kind": "explanation",
        "method": _one_of(answer["method"], METHODS, "the method"),
        "output_space": _one_of(answer["output_space"], SPACES, "the output space"),
        "flavour": answers.text(answer["flavour"], "the flavour"),
        "tier": _one_of(answer["tier"], ("A", "B", "C"), "the tier"),
        "model_class": answers.text(answer["model_class"], "the model class"),
        "features": _features(features, totals, by_group),
        "rows": totals["rows"],
        "cross_check": _cross_check(answer["cross_check"], sent),
        "model_rows": None
        if answer["model_rows"] is None
        else answers.count(answer["model_rows"], 2**53, "model rows"),
        "notes": answers.texts(answer["notes"], "a note"),
        "versions": answers.text_map(answer["versions"], "the versions"),
    }
    return {**report, **checks, **given}


def _one_of(value: Any, allowed: Sequence[str], where: str) -> str:
    if value not in allowed:
        raise answers.bad(f"{where} is none of the known ones")
    return str(value)


def _totals(value: Any, features: int, at_most: int, where: str) -> Json:
    answers.exact_names(value, TOTALS, where)
    found = {name: answers.numbers(value[name], features, where) for name in TOTALS[1:]}
    return {"rows": answers.count(value["rows"], at_most, where), **found}


def _groups(value: Any, groups: Sequence[str], features: int, rows: int) -> dict[str, dict[str, Json]]:
    answers.exact_names(value, groups, "the groups")
    found = {}
    for name in groups:
        answers.exact_names(value[name], SIDES, f"the group {name}")
        found[name] = {side: _totals(value[name][side], features, rows, f"the group {name}") for side in SIDES}
        if sum(part["rows"] for part in found[name].values()) > rows:
            raise answers.bad(f"the group {name} has more rows than were explained")
    return found


def _cross_check(value: Any, sent: int) -> Json | None:
    if value is None:
        return None
    answers.exact_names(value, ("engine", "rows", "max_difference"), "the cross-check")
    return {
        "engine": answers.text(value["engine"], "the cross-check"),
        "rows": answers.count(value["rows"], sent, "the cross-check"),
        "max_difference": rounded(answers.number(value["max_difference"], "the cross-check"), ERROR_DIGITS),
    }


# --- figures ---


def _features(names: Sequence[str], totals: Json, by_group: dict[str, dict[str, Json]]) -> list[Json]:
    found = []
    for index, name in enumerate(names):
        groups = {
            group: {side: _figures(part, index) for side, part in sides.items()} for group, sides in by_group.items()
        }
        found.append({"name": name, **_figures(totals, index), "by_group": groups})
    return sorted(found, key=lambda feature: (-feature["mean_abs"], feature["name"]))


def _figures(totals: Json, index: int) -> Json:
    """Mean |φ| with its 95 % normal interval, and the sums it came from. Nulls for a group without rows."""
    rows, total, absolute, square = (totals[name] if name == "rows" else totals[name][index] for name in TOTALS)
    sums = {"rows": rows, "sum": rounded(total), "sum_abs": rounded(absolute), "sum_sq": rounded(square)}
    if rows == 0:
        return {**sums, "mean_abs": None, "low": None, "high": None, "mean": None}
    mean_abs = absolute / rows
    variance = max(0.0, square - absolute * mean_abs) / (rows - 1) if rows > 1 else 0.0
    half = NORMAL_95 * math.sqrt(variance / rows)
    return {
        **sums,
        "mean_abs": rounded(mean_abs),
        "low": rounded(max(0.0, mean_abs - half)),
        "high": rounded(mean_abs + half),
        "mean": rounded(total / rows),
    }


# --- verdict ---


def _checks(answer: Json) -> Json:
    """The two identities: base + Σφ = output for every row, and base = mean output over the background."""
    base = answers.number(answer["base_value"], "the base value")
    mean_output = answers.number(answer["mean_output"], "the mean output")
    additivity_error = answers.number(answer["additivity_error"], "the additivity error")
    tolerance = RELATIVE_TOLERANCE * abs(answers.number(answer["output_scale"], "the output scale"))
    if not isinstance(answer["interventional"], bool):
        raise answers.bad("interventional is neither true nor false")
    base_error = abs(base - mean_output)
    reason = None
    if additivity_error > tolerance:
        reason = (
            f"The base value and the SHAP values do not add up to the model's output: they miss it by up to "
            f"{additivity_error:.2g}, where {tolerance:.2g} is allowed."
        )
    elif answer["interventional"] and base_error > tolerance:
        reason = (
            f"The base value is not the model's mean output over the background: it is off by {base_error:.2g}, where "
            f"{tolerance:.2g} is allowed. The background used is not the one recorded."
        )
    return {
        "base_value": rounded(base),
        "additivity_error": rounded(additivity_error, ERROR_DIGITS),
        "additivity_tolerance": rounded(tolerance),
        "base_check": {
            "mean_output": rounded(mean_output),
            "error": rounded(base_error, ERROR_DIGITS),
            "applies": answer["interventional"],
        },
        "status": "ERROR" if reason else "OK",
        "reason": reason,
    }
