"""A promotion with evidence, small enough for many tests: the rows are written inside doors, the reports by hand.

The reports have the shapes of ``fairness/engine/report.py`` and ``explain/report.py``; the figures are the German
Credit counts of its own documentation (690 men and 310 women), not computed here.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.test import Client

from access.authenticate import actor_of
from access.models import Session, User
from access.roles import Role
from audit import door, guard
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.events import Action
from registry import rules
from registry.actions import evidence, models, promotion
from registry.actions.evidence import Finding
from registry.models import DataSet, ModelVersion, PromotionRequest, VersionDataSet
from registry.states import EvidenceKind
from tests import factories
from web import sessions

ARTIFACT = "a" * 64


def client_of(user: User) -> Client:
    """A browser in which this account is signed in."""
    client = Client()
    session = client.session
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "web.sessions.AccountBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session[sessions.OURS] = str(signed_in(user).pk)
    session.save()
    client.cookies["plimsoll_session"] = session.session_key
    return client


def signed_in(user: User) -> Session:
    """A session without its entry in the trail: what a test counts there is its own."""
    with guard.allow("session.open"):
        return Session.objects.create(user=user, auth="password", expires_at=now() + timedelta(hours=12))


def actor(user: User) -> Actor:
    return actor_of(user, "session", request_id="test-request", ip="192.0.2.1")


def browser(*roles: Role, **options: Any) -> tuple[User, Client]:
    """A new account with these roles, and its browser."""
    user = factories.account(*roles, **options)
    return user, client_of(user)


def version(by: Actor, name: str = "credit", description: str = "") -> ModelVersion:
    """A registered version whose files are hashed."""
    model = models.create(by=by, name=name)
    with door.open(by, Action.VERSION_CREATE, on=model) as entry:
        row = ModelVersion.objects.create(
            model=model,
            number=1,
            source="mlflow-artifacts:/1/model",
            created_by=by.account,
            description=description,
            artifact_digest=ARTIFACT,
            artifact_manifest={"files": [{"path": "MLmodel", "size": 1200, "sha256": "b" * 64}]},
            artifact_pinned_at=now(),
        )
        entry.record(on=row, after={"number": 1})
    return row


def data_set(by: Actor, name: str, number: int = 1) -> DataSet:
    """A registered data set."""
    row = DataSet(
        name=name,
        number=number,
        role="training",
        digest="c" * 64,
        manifest={"files": [{"path": "rows.parquet", "size": 9000, "sha256": "d" * 64}]},
        rows=1000,
        columns=[{"name": "age", "type": "BIGINT"}, {"name": "credit", "type": "BIGINT"}],
        protected=[{"name": "age", "column": "age", "privileged": {"op": ">", "value": 25}}],
        label="credit",
        favourable=1,
        path=f"data-sets/{name}/rows.parquet",
        created_by=by.account,
    )
    with door.open(by, Action.DATA_SET_CREATE, on=row.subject()) as entry:
        row.save(force_insert=True)
        entry.record(after={"number": number})
    return row


def link(by: Actor, row: ModelVersion, rows: DataSet) -> None:
    """What the version was trained and evaluated on."""
    with door.open(by, Action.DATA_SET_LINK, on=row) as entry:
        for role in ("training", "evaluation"):
            VersionDataSet.objects.create(version=row, data_set=rows, role=role, created_by=by.account)
        entry.record(after={"data_set": str(rows)})


def attach(row: ModelVersion, finding: Finding) -> Any:
    """Evidence as a job leaves it."""
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=row) as entry:
        made = evidence.create(entry.locked, finding, requested_by=row.created_by)
        entry.record(on=made, after={"kind": made.kind})
    return made


def reports(row: ModelVersion) -> None:
    """All the evidence that Production asks for."""
    inputs = {"artifact": row.artifact_digest}
    counted = {"kind": "artifact", "files": 1, "bytes": 1200, "digest": row.artifact_digest}
    attach(row, Finding(kind=EvidenceKind.ARTIFACT, inputs=inputs, result=counted))
    attach(row, Finding(kind=EvidenceKind.FAIRNESS, inputs=inputs, result=fairness_report(), seed=20240613))
    attach(row, Finding(kind=EvidenceKind.EXPLANATION, inputs=inputs, result=explanation_report(), seed=0))


@dataclass
class Case:
    """A request that waits for its reviewer."""

    scientist: User
    reviewer: User
    version: ModelVersion
    request: PromotionRequest

    @property
    def url(self) -> str:
        return f"/promotions/{self.request.pk}/"

    @property
    def digest(self) -> str:
        """What a page rendered now carries."""
        return rules.current(PromotionRequest.objects.get(pk=self.request.pk)).subject_digest


def waiting(name: str = "credit", justification: str = "It is better.", *, with_reports: bool = True) -> Case:
    """A scientist's request with its evidence, and a reviewer who may decide."""
    scientist, reviewer = factories.account(Role.DATA_SCIENTIST), factories.account(Role.REVIEWER)
    row = version(actor(scientist), name)
    if with_reports:
        link(actor(scientist), row, data_set(actor(scientist), f"{name[:200]} rows"))
        reports(row)
    request = promotion.open_request(
        by=actor(scientist), version=row, target_stage="Production", justification=justification
    )
    return Case(scientist, reviewer, row, request)


def _rate(hits: int, n: int) -> dict[str, Any]:
    return {"value": hits / n, "low": hits / n - 0.02, "high": hits / n + 0.02, "hits": hits, "n": n}


def _group(rule: str, n: int, selected: int) -> dict[str, Any]:
    chosen = _rate(selected, n)
    return {
        "rule": rule,
        "n": n,
        "positives": selected,
        "negatives": n - selected,
        "selected": selected,
        "rate": chosen["value"],
        "low": chosen["low"],
        "high": chosen["high"],
        "base_rate": chosen,
        "tpr": chosen,
        "fpr": chosen,
    }


def _metric(name: str, label: str, value: float | None, outcome: str, reason: str | None) -> Any:
    return {
        "name": name,
        "label": label,
        "direction": "unprivileged − privileged",
        "value": value,
        "low": None if value is None else value - 0.05,
        "high": None if value is None else value + 0.05,
        "method": "bootstrap",
        "n": 1000,
        "smallest_n": 310,
        "undefined_replicates": 0,
        "closed_form": None,
        "limitation": None,
        "band": [0.8, 1.25] if name == "disparate_impact" else [-0.1, 0.1],
        "outcome": outcome,
        "reason": reason,
    }


def fairness_report() -> dict[str, Any]:
    """Sex on 1,000 rows, with one metric of each outcome and one without a value."""
    unsure = ("INCONCLUSIVE", "straddles")
    return {
        "kind": "fairness",
        "rows": 1000,
        "missing": {"label": 0, "prediction": 0, "left_out": 0},
        "label": "credit",
        "favourable": 1,
        "attributes": [
            {
                "name": "sex",
                "column": "sex",
                "rule": "sex is male",
                "privileged": _group("sex is male", 690, 499),
                "unprivileged": _group("sex is not male", 310, 201),
                "missing_n": 0,
                "metrics": [
                    _metric("statistical_parity_difference", "Statistical parity difference", -0.02, "PASS", None),
                    _metric("disparate_impact", "Disparate impact", 0.6, "FAIL", None),
                    _metric("equal_opportunity_difference", "Equal opportunity difference", -0.09, *unsure),
                    _metric("average_odds_difference", "Average odds difference", None, "INCONCLUSIVE", "no_negatives"),
                ],
            }
        ],
        "cells": [],
        "spec": {},
        "minimum_group_size": 30,
        "confidence": 0.95,
        "replicates": 10000,
        "seed": 20240613,
        "versions": {"aif360": "0.6.1"},
    }  # fmt: skip


def explanation_report() -> dict[str, Any]:
    """Two features, one of them with a name that is markup."""

    def feature(name: str, mean_abs: float) -> dict[str, Any]:
        figures = {"rows": 1000, "sum": 1.0, "sum_abs": 1000 * mean_abs, "sum_sq": 1.0}
        ends = {"mean_abs": mean_abs, "low": mean_abs - 0.01, "high": mean_abs + 0.01, "mean": 0.001}
        return {"name": name, **figures, **ends, "by_group": {}}

    return {
        "kind": "explanation",
        "status": "OK",
        "reason": None,
        "method": "linear",
        "output_space": "log-odds",
        "flavour": "sklearn",
        "tier": "A",
        "model_class": "sklearn.pipeline.Pipeline",
        "features": [feature("month", 0.31), feature("<i>age</i>", 0.13)],
        "rows": 1000,
        "cross_check": {"engine": "shap.LinearExplainer", "rows": 20, "max_difference": 1e-12},
        "model_rows": 1000,
        "notes": [],
        "versions": {"shap": "0.51.0"},
        "base_value": 1.1,
        "additivity_error": 6.7e-16,
        "additivity_tolerance": 0.003,
        "base_check": {"mean_output": 1.1, "error": 0.0, "applies": True},
        "favourable": 1,
        "seed": 0,
        "background_rows": 100,
        "background_digest": "e" * 64,
    }
