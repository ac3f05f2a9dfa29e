"""Fairness and explanation reports as figures and tables for people: on the page of the evidence and for reviewers.

The shapes are ``fairness/engine/report.py`` and ``explain/report.py``. Nothing is computed here; a value that does not
exist is shown with its reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairness.engine.gate import REASONS
from web.charts import (
    Band,
    BarRow,
    Figure,
    GroupRate,
    IntervalRow,
    bar_figure,
    group_rates_figure,
    interval_figure,
    number,
)

Json = Mapping[str, Any]  # a report as stored: JSON

_RATIOS: Final = frozenset({"disparate_impact"})
_MOST_FEATURES: Final = 12
METHODS: Final = {
    "linear": "exact values of a linear model",
    "xgboost-native": "XGBoost's own contributions",
    "tree": "exact values of a tree ensemble",
    "permutation": "permutation sampling of the model",
}


def reason_words(code: str | None) -> str:
    """The sentence behind a gate's reason code."""
    return REASONS.get(code, code) if code else ""


def share(rate: Json) -> dict[str, Any]:
    """A proportion with its interval, for a table's cell."""
    if rate["value"] is None:
        return {"text": "–", "note": "no cases", "right": True}
    return {
        "text": f"{rate['value'] * 100:.1f} %",
        "low": f"{rate['low'] * 100:.1f}",
        "high": f"{rate['high'] * 100:.1f} %",
        "note": f"{rate['hits']:,} of {rate['n']:,}",
        "right": True,
    }


def rates_figure(attribute: Json, title: str) -> Figure:
    """Selection rate in both groups of one attribute."""
    groups = [
        GroupRate(
            name=group["rule"],
            rate=group["rate"],
            low=group["low"],
            high=group["high"],
            n=group["n"],
            reference=side == "privileged",
            reason="the group has no rows",
        )
        for side, group in (("privileged", attribute["privileged"]), ("unprivileged", attribute["unprivileged"]))
    ]
    return group_rates_figure(title, groups)


def metric_figures(report: Json, name_attribute: bool = True) -> list[Figure]:
    """Differences against zero and ratios against one: two figures, since they share no axis."""
    ratios: list[IntervalRow] = []
    differences: list[IntervalRow] = []
    for attribute in report["attributes"]:
        for metric in attribute["metrics"]:
            row = IntervalRow(
                name=f"{metric['label']}, {attribute['name']}" if name_attribute else metric["label"],
                value=metric["value"],
                low=metric["low"],
                high=metric["high"],
                n=metric["n"],
                outcome=metric["outcome"],
                reason=reason_words(metric["reason"]),
                band=Band(*metric["band"]),
            )
            (ratios if metric["name"] in _RATIOS else differences).append(row)
    interval = f"{report['confidence'] * 100:g} % interval"
    figures = []
    if differences:
        note = "Unprivileged minus privileged group; zero is no difference."
        figures.append(interval_figure("Differences", differences, reference=0.0, interval=interval, note=note))
    if ratios:
        note = "Unprivileged divided by privileged group; one is no difference."
        figures.append(interval_figure("Ratios", ratios, reference=1.0, interval=interval, note=note))
    return figures


def group_table(attribute: Json, table_id: str) -> dict[str, Any]:
    """Counts and rates of both groups."""
    columns = ["Group", "Rows", "Selected", "Favourable label", "True positive rate", "False positive rate"]
    rows = []
    for side in ("privileged", "unprivileged"):
        group = attribute[side]
        selection = {"value": group["rate"], "low": group["low"], "high": group["high"]}
        rows.append(
            [
                {"text": group["rule"], "note": side},
                {"text": f"{group['n']:,}", "right": True},
                share({**selection, "hits": group["selected"], "n": group["n"]}),
                share(group["base_rate"]),
                share(group["tpr"]),
                share(group["fpr"]),
            ]
        )
    return {
        "id": table_id,
        "caption": "Groups, with 95 % Wilson intervals",
        "columns": [{"label": label, "right": index > 0} for index, label in enumerate(columns)],
        "rows": rows,
    }


def metric_gates(attribute: Json) -> list[dict[str, Any]]:
    """The metrics of one attribute as gates: what was found against what is accepted."""
    return [
        {
            "outcome": metric["outcome"],
            "name": metric["label"],
            "sentence": found_words(metric),
            **figures_of(metric),
        }
        for metric in sorted(attribute["metrics"], key=lambda metric: severity(metric["outcome"]))
    ]


def figures_of(metric: Json) -> dict[str, Any]:
    """Value, interval and n of a metric, formatted."""
    if metric["value"] is None:
        return {"value": None}
    has_interval = metric["low"] is not None and metric["high"] is not None
    return {
        "value": number(metric["value"]),
        "low": number(metric["low"]) if has_interval else "",
        "high": number(metric["high"]) if has_interval else "",
        "n": f"{metric['n']:,}",
    }


def found_words(metric: Json) -> str:
    """What is accepted, and how the interval lies to it."""
    low, high = metric["band"]
    accepted = f"{metric['direction'].capitalize()}; accepted from {number(low)} to {number(high)}."
    if metric["reason"]:
        return f"{accepted} {reason_words(metric['reason'])}"
    if metric["outcome"] == "FAIL":
        return f"{accepted} The whole interval lies outside."
    return f"{accepted} The whole interval lies inside." if metric["outcome"] == "PASS" else accepted


_SEVERITY: Final = ("ERROR", "FAIL", "INCONCLUSIVE", "WAIVED", "PASS")


def severity(outcome: str) -> int:
    """Failures first."""
    return _SEVERITY.index(outcome) if outcome in _SEVERITY else 0


def importance_figure(report: Json, most: int = _MOST_FEATURES) -> Figure:
    """Mean |SHAP| by feature, largest first, with what says whether it may be believed."""
    features = report["features"]
    rows = [
        BarRow(feature["name"], feature["mean_abs"], feature["low"], feature["high"], reason="no row was explained")
        for feature in features[:most]
    ]
    left = len(features) - len(rows)
    rest = f" The {left} weakest features are left out." if left > 0 else ""
    return bar_figure(
        f"Mean |SHAP|, {report['output_space']}",
        rows,
        note=f"{report['rows']:,} rows, background of {report['background_rows']:,}. {additivity(report)}{rest}",
    )


def additivity(report: Json) -> str:
    """Whether the values add up to the model's output."""
    return (
        f"Largest additivity error {number(report['additivity_error'])},"
        f" where {number(report['additivity_tolerance'])} is allowed."
    )


def feature_table(report: Json) -> dict[str, Any]:
    """Every feature with its mean |SHAP| and its mean direction."""
    return {
        "id": "features",
        "caption": "Every feature, strongest first",
        "columns": [
            {"label": "Feature"},
            {"label": "Mean |SHAP|", "right": True},
            {"label": "Mean SHAP", "right": True},
            {"label": "Rows", "right": True},
        ],
        "rows": [
            [
                feature["name"],
                _with_interval(feature),
                {"text": number(feature["mean"]), "right": True},
                {"text": f"{feature['rows']:,}", "right": True},
            ]
            for feature in report["features"]
        ],
        "empty": {"title": "No features", "sentence": "The report names no feature."},
    }


def _with_interval(feature: Json) -> dict[str, Any]:
    if feature["mean_abs"] is None:
        return {"text": "–", "note": "no rows", "right": True}
    return {
        "text": number(feature["mean_abs"]),
        "low": number(feature["low"]),
        "high": number(feature["high"]),
        "right": True,
    }


def comparison(candidate: Json, current: Json | None) -> list[dict[str, str]]:
    """The fairness metrics of the candidate beside those of the version now in the stage."""
    known = {} if current is None else _metrics_by_name(current)
    rows = []
    for name, metric in _metrics_by_name(candidate).items():
        other = known.get(name)
        if other is None or metric["value"] is None or other["value"] is None:
            continue
        rows.append(
            {
                "name": name,
                "candidate": number(metric["value"]),
                "candidate_interval": _interval(metric),
                "current": number(other["value"]),
                "current_interval": _interval(other),
                "change": _signed(metric["value"] - other["value"]),
            }
        )
    return rows


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)


def _interval(metric: Json) -> str:
    return "" if metric["low"] is None else f"{number(metric['low'])} to {number(metric['high'])}"


def _metrics_by_name(report: Json) -> dict[str, Json]:
    return {
        f"{metric['label']}, {attribute['name']}": metric
        for attribute in report["attributes"]
        for metric in attribute["metrics"]
    }


def versions_text(versions: Mapping[str, str]) -> str:
    """Libraries and their versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) or "not recorded"


def bytes_words(size: int) -> str:
    """``1.2 MB``."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{size:,} bytes" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1000
    return ""


def manifest_table(files: Sequence[Json]) -> dict[str, Any]:
    """The files of an artifact: path, size, digest."""
    return {
        "id": "files",
        "caption": "Files in the manifest",
        "columns": [{"label": "Path"}, {"label": "Size", "right": True}, {"label": "SHA-256"}],
        "rows": [
            [entry["path"], {"text": bytes_words(entry["size"]), "right": True}, {"digest": entry["sha256"]}]
            for entry in files
        ],
        "empty": {"title": "No files listed", "sentence": "The manifest holds no file."},
    }
