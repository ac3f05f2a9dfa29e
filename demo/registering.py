"""Steps 1 to 3: the scientist registers, the service computes the evidence, the scientist asks for promotion."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from demo.case import WAIT, Case
from demo.client import Person, expect
from demo.train import EXCLUDED, LABEL, MODEL

SOURCE = Path(__file__).parent / "data" / "german.parquet"
ABOUT = {
    "label": LABEL,
    "favourable": 1,
    "protected": [
        {"name": "sex", "column": "sex", "privileged": {"op": "in", "value": ["male"]}},
        {"name": "age", "column": "age", "privileged": {"op": ">", "value": 25}},
    ],
    "identifiers": {"row_id": "row_id"},
    "excluded": list(EXCLUDED),
}
REPORTS = ("artifact", "predictions", "fairness", "explanation")


def is_prepared(people: dict[str, Person]) -> bool:
    """Whether an earlier start has registered the model already."""
    models = people["scientist"].call("GET", "models/")["models"]
    return any(row["name"] == MODEL for row in models)


def register(case: Case) -> str:
    """The scientist registers data, trains with the stock client, registers two versions."""
    split(case.folder)
    for role in ("training", "evaluation"):
        case.data[role] = _registered(case, role)
    case.trained = _train(case)
    first = case.trained["versions"][0]
    case.version = first["version"]
    for version in case.trained["versions"]:
        for role, row in case.data.items():
            _link(case, version["version"], role, row)
    seen = case["scientist"].call("GET", f"models/{MODEL}/versions/{case.version}/")
    expect(seen["created_by"] != "", "the version's creator was not taken from the login")
    rows = ", ".join(f"{role} {row['rows']} rows" for role, row in case.data.items())
    scores = ", ".join(
        f"v{v['version']} accuracy {v['accuracy']:.3f} AUC {v['auc']:.3f}" for v in case.trained["versions"]
    )
    return f"{MODEL} by {seen['created_by']}: {scores}; data: {rows}"


def split(folder: Path) -> None:
    import pandas as pd

    frame = pd.read_parquet(SOURCE)
    chosen = frame.sample(n=600, random_state=20260101).index
    frame.loc[frame.index.isin(chosen)].to_parquet(folder / "training.parquet", index=False)
    frame.loc[~frame.index.isin(chosen)].to_parquet(folder / "evaluation.parquet", index=False)


def _registered(case: Case, role: str) -> dict[str, Any]:
    """The newest present data set under this name; the upload makes the first."""
    name = f"german-credit-{role}"
    known = [row for row in case["scientist"].call("GET", "data-sets/")["data_sets"] if row["name"] == name]
    present: list[dict[str, Any]] = [row for row in known if row["state"] == "present"]
    if present:
        return max(present, key=lambda row: int(row["version"]))
    path = case.folder / f"{role}.parquet"
    with path.open("rb") as file:
        found: dict[str, Any] = case["scientist"].call(
            "POST",
            "data-sets/",
            files={"file": (path.name, file, "application/octet-stream")},
            data={"about": json.dumps({"name": name, "role": role, **ABOUT})},
        )
    return found


def _train(case: Case) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", "demo.train", str(case.folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "MLFLOW_TRACKING_URI": case.url, "MLFLOW_TRACKING_TOKEN": case["scientist"].token},
    )
    expect(done.returncode == 0, f"training failed: {done.stderr[-1500:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _link(case: Case, version: str, role: str, row: dict[str, Any]) -> None:
    case["scientist"].call(
        "POST",
        f"models/{MODEL}/versions/{version}/data-sets/",
        json={"name": row["name"], "version": row["version"], "role": role},
    )


def compute(case: Case) -> str:
    """The worker hashes the artifact, predicts in the sandbox, and makes the fairness and SHAP reports."""
    found = {version["version"]: _evidence_of(case, version["version"]) for version in case.trained["versions"]}
    reports = {
        kind: case["reviewer"].call("GET", f"evidence/{row['id']}/")["result"]
        for kind, row in found[case.version].items()
    }
    metrics = [
        f"{attribute['name']} {metric['name'].replace('_', ' ')} {_number(metric['value'])}"
        f" [{_number(metric['low'])}, {_number(metric['high'])}] n={metric['n']}"
        for attribute in reports["fairness"]["attributes"]
        for metric in attribute["metrics"]
        if metric["name"] == "disparate_impact"
    ]
    explained = reports["explanation"]
    top = ", ".join(feature["name"] for feature in explained["features"][:3])
    return (
        f"{reports['artifact']['files']} files hashed; {'; '.join(metrics)}; SHAP of {explained['rows']} rows,"
        f" additivity error {explained['additivity_error']:.1e}, top: {top}"
    )


def _evidence_of(case: Case, version: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT
    while True:
        seen = case["reviewer"].call("GET", f"models/{MODEL}/versions/{version}/")
        newest = {row["kind"]: row for row in seen["evidence"]}
        for row in newest.values():
            expect(row["status"] == "OK", f"the {row['kind']} report of v{version} is {row['status']}: {row['reason']}")
        if all(kind in newest for kind in REPORTS):
            return newest
        states = ", ".join(f"{job['kind']} {job['state']} {job['error']}" for job in seen["jobs"])
        expect(time.monotonic() < deadline, f"the reports of v{version} did not come in {WAIT:.0f} s: {states}")
        time.sleep(0.5)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def request_promotion(case: Case) -> str:
    """The scientist files the promotion."""
    live = [
        row
        for row in case["scientist"].call("GET", "promotion-requests/")["promotion_requests"]
        if row["model"] == MODEL
    ]
    for row in live:
        case["scientist"].call(
            "POST", f"promotion-requests/{row['id']}/withdraw/", json={"comment": "A newer version."}
        )
    case.request = case["scientist"].call(
        "POST",
        f"models/{MODEL}/versions/{case.version}/promotion-requests/",
        json={
            "target_stage": "Production",
            "justification": "Replaces the manual scorecard. Same data, every decision explained, reviewed quarterly.",
        },
    )
    expect(case.request["state"] == "OPEN", f"the request is {case.request['state']}")
    held = sum(gate["outcome"] == "PASS" for gate in case.request["gates"] if gate["required"])
    need = sum(gate["required"] for gate in case.request["gates"])
    digest = case.request["subject_digest"][:12]
    return f"v{case.version} to Production filed, {held} of {need} required gates pass, subject {digest}…"
