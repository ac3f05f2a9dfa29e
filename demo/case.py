"""The seven steps of the case. Each prints one line with what it measured, or raises ``StepFailedError``."""

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from demo.client import Person, StepFailedError, expect
from demo.train import EXCLUDED, LABEL, MODEL

SOURCE = Path(__file__).parent / "data" / "german.parquet"
WAIT = 240.0
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


class Case:
    """One run of the case: what each step found, for the next."""

    def __init__(self, people: dict[str, Person], folder: Path) -> None:
        self.people = people
        self.folder = folder
        self.url = next(iter(people.values())).url
        self.trained: dict[str, Any] = {}
        self.version = ""
        self.data: dict[str, dict[str, Any]] = {}
        self.request: dict[str, Any] = {}

    def run(self, steps: "tuple[Step, ...]") -> None:
        """Carry out the steps in order, one line each."""
        for number, (name, step) in enumerate(steps, start=1):
            started = time.monotonic()
            found = step(self)
            print(f"{number}. {name:<9} {found} ({time.monotonic() - started:.1f} s)", flush=True)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]


def is_prepared(people: dict[str, Person]) -> bool:
    """Whether an earlier start has registered the model already."""
    models = people["scientist"].call("GET", "models/")["models"]
    return any(row["name"] == MODEL for row in models)


# -- 1: train and register ---------------------------------------------------------------------------------------------


def register(case: Case) -> str:
    """The scientist registers data, trains with the stock client, registers two versions."""
    _split(case.folder)
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


def _split(folder: Path) -> None:
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


# -- 2: evidence -------------------------------------------------------------------------------------------------------


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


# -- 3: request --------------------------------------------------------------------------------------------------------


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


# -- 4: decide ---------------------------------------------------------------------------------------------------------


def decide(case: Case) -> str:
    """The scientist is refused on every surface in the same words; the reviewer approves."""
    address = f"promotion-requests/{case.request['id']}/"
    vote = {"decision": "APPROVE", "subject_digest": case.request["subject_digest"], "comment": ""}
    refused = case["scientist"].call("POST", f"{address}decisions/", status=403, json=vote)["error"]["sentence"]
    case["scientist"].sign_in()
    expect(
        refused in _text(case["scientist"].page(f"/promotions/{case.request['id']}/")), "the page gives another reason"
    )
    wire = _refusals_on_the_wire(case)
    case["reviewer"].sign_in()
    expect("/promotions/" in case["reviewer"].page("/promotions/"), "the reviewer's inbox does not link the request")
    page = _text(case["reviewer"].page(f"/promotions/{case.request['id']}/"))
    expect("Disparate impact" in page and "SHAP" in page, "the review page does not show the evidence")
    case.request = case["reviewer"].call(
        "POST", f"{address}decisions/", json={**vote, "comment": "Evidence read; intervals are wide but acceptable."}
    )
    expect(case.request["state"] == "APPROVED", f"after the approval the request is {case.request['state']}")
    return f"own approval refused alike on page and API; {wire}; approved by an independent reviewer"


def _text(html: str) -> str:
    import html as entities

    return re.sub(r"\s+", " ", entities.unescape(re.sub(r"<[^>]+>", " ", html)))


def _refusals_on_the_wire(case: Case) -> str:
    calls = {
        "model-versions/transition-stage": {
            "name": MODEL, "version": case.version, "stage": "Production", "archive_existing_versions": False,
        },
        "registered-models/alias": {"name": MODEL, "alias": "champion", "version": case.version},
    }  # fmt: skip
    for path, values in calls.items():
        answer = requests.post(
            f"{case.url}/api/2.0/mlflow/{path}",
            json=values,
            headers={"Authorization": f"Bearer {case['scientist'].token}"},
            timeout=60,
        )
        expect(
            answer.status_code == 403 and answer.json()["error_code"] == "PERMISSION_DENIED",
            f"{path} → {answer.status_code} {answer.text[:300]}",
        )
        where = f"{case.url}/models/{MODEL}/versions/{case.version}/promote/"
        expect(where in answer.json()["message"], f"the refusal does not name {where}: {answer.text[:300]}")
    return "stage and alias on the wire: 403 PERMISSION_DENIED with the address"


# -- 5: apply ----------------------------------------------------------------------------------------------------------


def apply(case: Case) -> str:
    """Applying moves stage and alias and issues the grant."""
    case.request = case["scientist"].call(
        "POST",
        f"promotion-requests/{case.request['id']}/apply/",
        json={"subject_digest": case.request["subject_digest"]},
    )
    seen = case["viewer"].call("GET", f"models/{MODEL}/versions/{case.version}/")
    expect(seen["stage"] == "Production" and "champion" in seen["aliases"], f"after applying: {seen['stage']}")
    answer = requests.get(
        f"{case.url}/api/2.0/mlflow/registered-models/alias",
        params={"name": MODEL, "alias": "champion"},
        headers={"Authorization": f"Bearer {case['viewer'].token}"},
        timeout=60,
    ).json()
    expect(answer["model_version"]["version"] == case.version, "the wire's champion is another version")
    grant = case.request["grant"]
    return f"v{case.version} in Production, alias champion, grant {grant['id']} valid until {grant['valid_until'][:10]}"


# -- 6: the trail ------------------------------------------------------------------------------------------------------


def audit(case: Case) -> str:
    """The auditor filters the trail, exports it, verifies it offline, and sees a flipped byte named."""
    auditor = case["auditor"]
    auditor.sign_in()
    page = _text(auditor.page("/trail/?action=promotion.decide"))
    expect(
        "decide on a promotion" in page or "promotion.decide" in page, "the filtered trail does not show the decision"
    )
    folder = case.folder / "export"
    count, key = export(case, folder)
    code, said = verify(folder, key)
    expect(code == 0, f"the export does not verify: {said}")
    events = folder / "events.ndjson"
    lines = events.read_bytes().splitlines(keepends=True)
    victim = len(lines) // 2
    spoiled = bytearray(lines[victim])
    spoiled[len(spoiled) // 2] ^= 0x01
    events.write_bytes(b"".join([*lines[:victim], bytes(spoiled), *lines[victim + 1 :]]))
    code, said = verify(folder, key)
    expect(code == 1 and str(victim) in said, f"a flipped byte in entry {victim} was not named: {code} {said}")
    return f"{count} entries exported and verified by plain python3; a flipped byte in entry {victim} is named"


def export(case: Case, folder: Path) -> tuple[int, str]:
    """Export everything signed so far, once all that has happened is signed; entries and the log's key."""
    _await_signature(case)
    answer = case["auditor"].call("POST", "trail/export/")
    archive = case.folder / "trail.zip"
    archive.write_bytes(answer.content)
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
    state = case["auditor"].call("GET", "trail/state/")
    return int(answer.headers["X-Plimsoll-Entries"]), state[0]["verifiers"][0]["key"]


def _await_signature(case: Case) -> None:
    deadline = time.monotonic() + 30
    while True:
        newest = case["auditor"].call("GET", "trail/")["entries"][0]
        state = case["auditor"].call("GET", "trail/state/")[0]
        if newest["index"] is not None and newest["index"] < state["signed_size"]:
            return
        expect(time.monotonic() < deadline, "the newest entry was not signed within 30 s")
        time.sleep(0.2)


def verify(folder: Path, key: str) -> tuple[int, str]:
    """Run the verifier that came with the export: no packages, no environment."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "verify.py"), "--key", key],
        capture_output=True,
        text=True,
        check=False,
        env={},
        cwd=folder,
    )
    return done.returncode, done.stdout + done.stderr


# -- 7: erasure --------------------------------------------------------------------------------------------------------


def erase(case: Case) -> str:
    """One officer files, another approves; the rows go, the certificate comes, the trail still verifies."""
    raise StepFailedError("the erasure step is not here yet")


Step = tuple[str, Callable[[Case], str]]
PREPARATION: tuple[Step, ...] = (("register", register), ("compute", compute), ("request", request_promotion))
COMPLETION: tuple[Step, ...] = (("decide", decide), ("apply", apply), ("audit", audit), ("erase", erase))
