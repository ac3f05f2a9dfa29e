"""What the style guide shows: sample values for every part, the awkward ones too (long, missing, huge, hostile)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms

from web.charts import (
    Band,
    BarRow,
    GroupRate,
    IntervalRow,
    bar_figure,
    group_rates_figure,
    interval_figure,
)

DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
OTHER_DIGEST = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
WHEN = datetime(2026, 3, 9, 14, 5, 31, tzinfo=UTC)
LONG_NAME = "credit-risk-retail-unsecured-north-west-region-challenger-with-monotone-constraints-2026q1"
STATUSES = (
    "PASS",
    "FAIL",
    "INCONCLUSIVE",
    "ERROR",
    "WAIVED",
    "DRAFT",
    "OPEN",
    "CHANGES_REQUESTED",
    "APPROVED",
    "REJECTED",
    "WITHDRAWN",
    "EXPIRED",
    "APPLIED",
    "APPLY_FAILED",
    "SUPERSEDED",
    "ACTIVE",
    "CONDITION_BREACHED",
    "REVALIDATION_DUE",
    "REVOKED",
    "RENEWED",
    "ROLLED_BACK",
    "RETIRED",
    "VALID",
    "STALE",
    "QUEUED",
    "RUNNING",
    "DONE",
    "FAILED",
    "PRODUCTION",
    "STAGING",
    "ARCHIVED",
    "UNWITNESSED",
)


class SampleForm(forms.Form):
    """One field of each kind the pages use."""

    model = forms.CharField(label="Registered model", help_text="The name the MLflow client uses.", max_length=40)
    stage = forms.ChoiceField(label="To stage", choices=[("Production", "Production"), ("Staging", "Staging")])
    justification = forms.CharField(
        label="Justification",
        help_text="What changes for whom, and why now. The reviewer reads this first.",
        widget=forms.Textarea,
    )
    scope = forms.ChoiceField(
        label="Where the grant holds",
        choices=[("all", "Everywhere"), ("part", "10 % of decisions for 7 days")],
        widget=forms.RadioSelect,
    )


def fairness_figure() -> Any:
    return interval_figure(
        "Ratios by protected attribute",
        [
            IntervalRow("Disparate impact, sex", 0.896, 0.801, 0.998, n=1000, outcome="PASS"),
            IntervalRow("Disparate impact, age at most 25", 0.627, 0.521, 0.748, n=1000, outcome="FAIL"),
            IntervalRow("Disparate impact, foreign worker", 1.224, 0.95, 1.61, n=37, outcome="INCONCLUSIVE"),
            IntervalRow(
                "Equal opportunity ratio, sex and age at most 25 and foreign worker (intersection)",
                None,
                reason="9 cases in the smallest group, 30 are needed",
            ),
        ],
        band=Band(0.8, 1.25),
        reference=1.0,
        note="AIF360 on the evaluation data set, 1,000 rows; intervals by bootstrap, 2,000 draws, seed 4711.",
    )


def awkward_figure() -> Any:
    return interval_figure(
        "Far outside, one-sided, hostile",
        [
            IntervalRow("Ratio with almost no denominator", 8.1e12, 0.4, float("inf"), n=12, outcome="INCONCLUSIVE"),
            IntervalRow("<script>alert(1)</script> & a name from outside", -40.0, -90.0, -12.0, outcome="FAIL"),
            IntervalRow("Not a number", float("nan")),
            IntervalRow("No interval", 1.02, outcome="WAIVED"),
        ],
        band=Band(0.8, None),
        reference=1.0,
    )


def shap_figure(title: str = "Mean |SHAP|, log-odds") -> Any:
    return bar_figure(
        title,
        [
            BarRow("checking_status", 0.612, 0.571, 0.655),
            BarRow("duration_in_month", 0.388, 0.352, 0.421),
            BarRow("credit_amount", 0.301, 0.262, 0.344),
            BarRow("savings_account_or_bonds_with_unknown_balance_or_none", 0.187, 0.155, 0.220),
            BarRow("age_in_years", 0.121, 0.094, 0.149),
            BarRow("telephone", None, reason="the column is constant"),
        ],
        note="1,000 rows, background 100; largest additivity error 3.1 × 10⁻⁷.",
    )


def rates_figure() -> Any:
    return group_rates_figure(
        "Favourable outcome by sex and age",
        [
            GroupRate("male", 0.723, 0.688, 0.756, n=690, reference=True),
            GroupRate("female", 0.648, 0.594, 0.699, n=310),
            GroupRate("age at most 25", 0.579, 0.507, 0.647, n=190),
            GroupRate("foreign worker: no", None, n=9, reason="9 cases, 30 are needed"),
        ],
    )


def _nav() -> list[dict[str, Any]]:
    return [
        {"label": "Inbox", "url": "/inbox/", "count": 3, "current": True},
        {"label": "Models", "url": "/models/"},
        {"label": "Promotions", "url": "/promotions/"},
        {"label": "Erasure", "url": "/erasure/", "count": 1},
        {"label": "Trail", "url": "/trail/"},
        {"label": "People", "url": "/people/"},
    ]


def frame() -> dict[str, Any]:
    """What base.html is given on every page."""
    return {
        "nav_items": _nav(),
        "account": {
            "name": "reviewer",
            "roles": ["Reviewer, everywhere", "Risk owner, models credit-*"],
            "links": [{"label": "Your tokens", "url": "/account/tokens/"}],
            "sign_out_url": "/sign-out/",
        },
        "trail_line": {
            "sentence": "1–48,211 of 48,211 entries; checkpoint signed 9 Mar 2026, 14:05",
            "url": "/trail/verify/",
            "notice": "UNWITNESSED",
            "notice_title": "No outside party has countersigned this checkpoint.",
        },
        "csrf_token": "sample",
        "release": "0.1.0",
    }


def _models() -> dict[str, Any]:
    return {
        "id": "models",
        "caption": "Registered models",
        "columns": [
            {"label": "Model"}, {"label": "Stage"}, {"label": "Waiting"}, {"label": "AUC", "right": True},
            {"label": "Digest"}, {"label": "Changed"},
        ],
        "rows": [
            [
                {"text": "credit-risk", "url": "/models/credit-risk/", "note": "version 14"}, {"status": "PRODUCTION"},
                {"status": "OPEN"}, {"text": "0.781", "low": "0.752", "high": "0.809", "right": True},
                {"digest": DIGEST}, {"when": WHEN},
            ],
            [
                {"text": LONG_NAME, "url": "/models/long/", "note": "version 2"}, {"status": "STAGING"},
                {"status": "CHANGES_REQUESTED"}, {"text": "0.799", "low": "0.771", "high": "0.826", "right": True},
                {"digest": OTHER_DIGEST}, {"when": WHEN},
            ],
            [
                {"text": "churn", "url": "/models/churn/", "note": "version 1"}, {"status": "ARCHIVED"}, "–",
                {"text": "–", "right": True}, {"text": "not computed yet"}, {"when": WHEN},
            ],
        ],
    }  # fmt: skip


def _entries() -> list[dict[str, Any]]:
    return [
        {"sentence": "Promotion applied: credit-risk 14 to Production", "who": "ana", "when": WHEN, "index": "48,211",
         "url": "/trail/48211/", "tone": "ok", "status": "APPLIED",
         "changes": [{"field": "stage", "before": "Staging", "after": "Production"},
                     {"field": "grant", "before": None, "after": "until 12 March 2027"}]},
        {"sentence": "Approved", "who": "reviewer", "when": WHEN, "index": "48,209", "url": "/trail/48209/",
         "tone": "ok",
         "reason": "Ratios hold on the evaluation set.\nWatch the group aged at most 25 for the first month."},
        {"sentence": "Refused: approving their own request", "who": "ana", "when": WHEN, "index": "48,205",
         "url": "/trail/48205/", "tone": "bad",
         "reason": "You filed this request; somebody else has to decide on it."},
        {"sentence": "Fairness report attached", "who": "service", "when": WHEN, "index": "48,198",
         "url": "/trail/48198/"},
    ]  # fmt: skip


def _gates() -> list[dict[str, Any]]:
    return [
        {"outcome": "FAIL", "name": "Disparate impact, age at most 25", "value": "0.627", "low": "0.521",
         "high": "0.748", "n": "1,000", "url": "/reports/7/",
         "sentence": "The policy accepts 0.80 to 1.25. The whole interval lies below."},
        {"outcome": "INCONCLUSIVE", "name": "Disparate impact, foreign worker", "value": "1.224", "low": "0.950",
         "high": "1.610", "n": "37", "url": "/reports/7/",
         "sentence": "37 cases in the smaller group; 50 are needed to decide. Too few cases do not pass."},
        {"outcome": "WAIVED", "name": "Drift against the training data", "sentence": "No production data yet.",
         "waiver": "Waived by risk-owner until 9 June 2026: first release of this model."},
        {"outcome": "PASS", "name": "Disparate impact, sex", "value": "0.896", "low": "0.801", "high": "0.998",
         "n": "1,000", "url": "/reports/7/", "sentence": "The policy accepts 0.80 to 1.25."},
        {"outcome": "PASS", "name": "Artifact digest verified", "url": "/artifacts/14/", "label": "Manifest",
         "sentence": "5 files read again on 9 March 2026, 14:02; every digest agrees."},
        {"outcome": "PASS", "name": "Data sets pinned", "url": "/lineage/14/", "label": "Lineage",
         "sentence": "Training and evaluation data are pinned by digest."},
    ]  # fmt: skip


def _metrics() -> list[dict[str, Any]]:
    return [
        {"label": "AUC", "value": "0.781", "low": "0.752", "high": "0.809", "confidence": "95 %", "n": "1,000",
         "outcome": "PASS"},
        {"label": "Accuracy", "value": "0.752", "low": "0.724", "high": "0.778", "confidence": "95 %", "n": "1,000"},
        {"label": "Brier score", "value": None, "reason": "the model returns labels, not probabilities",
         "outcome": "ERROR"},
        {"label": "Rows erased", "value": "14", "n": "1,000", "note": "a count, so no interval"},
    ]  # fmt: skip


def styleguide() -> dict[str, Any]:
    form = SampleForm({"model": "x" * 41, "justification": "", "stage": "Production"})
    refused = "You filed this request; somebody else has to decide on it."
    return {
        **frame(),
        "form": form,
        "statuses": STATUSES,
        "breadcrumb": [{"label": "Models", "url": "/models/"}, {"label": "credit-risk", "url": "/models/credit-risk/"},
                       {"label": "version 14"}],
        "actions": [
            {"label": "Ask for promotion", "url": "/promotions/new/", "kind": "primary"},
            {"label": "Compare", "url": "/compare/"},
        ],
        "more_actions": [
            {"label": "Apply", "url": "/apply/", "method": "post", "kind": "primary"},
            {"label": "Withdraw", "url": "/withdraw/", "method": "post", "kind": "danger"},
            {"label": "Approve", "name": "approve", "why_not": refused},
        ],
        "facts": [
            {"term": "Model", "value": {"text": "credit-risk", "url": "/models/credit-risk/"}},
            {"term": "Stage", "value": {"status": "PRODUCTION"}},
            {"term": "Artifact", "value": {"digest": DIGEST}},
            {"term": "Registered", "value": {"when": WHEN, "note": "by ana"}},
            {"term": "Long name", "value": LONG_NAME},
            {"term": "Rows", "value": 1000},
            {"term": "Grant", "value": {"text": "–", "note": "issued when a promotion is applied"}},
        ],
        "table": _models(),
        "empty_table": {"id": "none", "rows": [], "empty": {
            "title": "No erasure request yet", "url": "/erasure/new/", "label": "File an erasure request",
            "sentence": "A request from a data subject appears here with its day counter until the certificate."}},
        "empty_with_command": {
            "title": "No registered model yet",
            "sentence": "Models appear here when a client registers them. Point the stock MLflow client here:",
            "command": "export MLFLOW_TRACKING_URI=http://127.0.0.1:8000"},
        "entries": _entries(),
        "gates": _gates(),
        "metrics": _metrics(),
        "page": {"summary": "Entries 48,211 to 48,162 of 48,211", "previous_url": "?after=48261",
                 "next_url": "?before=48162"},
        "figures": [fairness_figure(), rates_figure(), shap_figure(), awkward_figure(),
                    interval_figure("Nothing given", [])],
    }  # fmt: skip


def review() -> dict[str, Any]:
    return {
        **frame(),
        "breadcrumb": [{"label": "Promotions", "url": "/promotions/"}, {"label": "Request 112"}],
        "gates": _gates(),
        "figures": [rates_figure(), shap_figure("Mean |SHAP|, version 14"), shap_figure("Mean |SHAP|, version 13")],
        "ratios": fairness_figure(),
        "entries": _entries()[1:],
        "when": WHEN,
        "digest": DIGEST,
        "lineage": [
            {"term": "Model files", "value": {"digest": DIGEST, "note": "5 files, 1.2 MB; read again today, 14:02"}},
            {"term": "Training data", "value": {"digest": OTHER_DIGEST, "note": "german-credit, 700 rows"}},
            {"term": "Evaluation data", "value": {"digest": OTHER_DIGEST, "note": "german-credit-holdout, 300 rows"}},
        ],
        "bound": [
            {"term": "Evidence", "value": {"digest": OTHER_DIGEST, "note": "2 reports"}},
            {"term": "Policy", "value": {"digest": DIGEST, "note": "default, edition 3"}},
            {"term": "Base", "value": {"digest": OTHER_DIGEST, "note": "version 13 holds Production now"}},
        ],
        "comparison": [
            {"name": "AUC", "candidate": "0.781", "c_low": "0.752", "c_high": "0.809", "current": "0.764",
             "p_low": "0.734", "p_high": "0.792", "change": "+0.017"},
            {"name": "Accuracy", "candidate": "0.752", "c_low": "0.724", "c_high": "0.778", "current": "0.741",
             "p_low": "0.713", "p_high": "0.767", "change": "+0.011"},
            {"name": "Disparate impact, sex", "candidate": "0.896", "c_low": "0.801", "c_high": "0.998",
             "current": "0.874", "p_low": "0.779", "p_high": "0.972", "change": "+0.022"},
        ],
    }  # fmt: skip
