"""Step 7: a person leaves the training data, with a certificate, and the trail still verifies."""

import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.auditing import export, verify
from demo.case import WAIT, Case
from demo.client import Person, expect
from demo.registering import split


def erase(case: Case) -> str:
    """One officer files, another approves; the rows go, the certificate comes, the trail still verifies."""
    officer, second = case["officer"], case["officer2"]
    person = _somebody(case)
    filed = officer.call(
        "POST",
        "erasure-requests/",
        json={
            "identifier_type": "row_id",
            "identifier_value": person,
            "external_id": f"demo-{uuid.uuid4()}",
            "ground": "17(1)(b)",
            "country": "DE",
            "received_on": datetime.now(UTC).date().isoformat(),
        },
    )
    address = f"erasure-requests/{filed['id']}/"
    found = _await_state(officer, address, "plan_ready")
    plan = found["plan"]
    expect(bool(plan["data_sets"]), "discovery reached no data set")
    vote = {"plan_digest": found["plan_digest"]}
    own = officer.call("POST", f"{address}approve/", status=403, json=vote)["error"]["sentence"]
    expect(own.startswith("You filed this erasure request"), f"the filer was refused with another sentence: {own}")
    second.call("POST", f"{address}approve/", json=vote)
    done = _await_state(second, address, "awaiting_signoff")
    second.call("POST", f"{address}sign-off/", json={})
    done = second.call("GET", address)
    expect(done["state"] == "completed", f"after the sign-off the request is {done['state']}")
    _check_rows_gone(case, done, person)
    certificate = case.folder / "certificate.json"
    certificate.write_bytes(officer.call("GET", f"{address}certificate/", raw=True).content)
    _check_certificate(certificate)
    code, said = verify_all(case, case.folder / "export-after")
    expect(code == 0, f"after the erasure the trail does not verify: {said}")
    rows = sum(task["erased"] for task in done["tasks"])
    versions = sorted({obligation["version"] for obligation in done["obligations"]}, key=int)
    return (
        f"{rows} row in {len(done['tasks'])} data set erased, {sum(t['residual'] for t in done['tasks'])} left;"
        f" obligations for versions {', '.join(versions)}; certificate verified; trail still verifies"
    )


def _somebody(case: Case) -> str:
    """Somebody who is in the training data now: whoever was not erased by an earlier run."""
    import pandas as pd

    earlier = len(case["officer"].call("GET", "erasure-requests/")["erasure_requests"])
    split(case.folder)
    training = pd.read_parquet(case.folder / "training.parquet")
    return str(int(training["row_id"].iloc[(17 + earlier) % len(training)]))


def _await_state(person: Person, address: str, wanted: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT
    while True:
        found: dict[str, Any] = person.call("GET", address)
        if found["state"] == wanted:
            return found
        expect(found["state"] != "needs_attention", f"the erasure needs attention: {found['problem']}")
        expect(time.monotonic() < deadline, f"the erasure is {found['state']} and not {wanted} after {WAIT:.0f} s")
        time.sleep(0.3)


def _check_rows_gone(case: Case, done: dict[str, Any], person: str) -> None:
    expect(all(task["residual"] == 0 for task in done["tasks"]), "rows of the person are left")
    present = [row for row in case["viewer"].call("GET", "data-sets/")["data_sets"] if row["state"] == "present"]
    successors = {f"{row['name']} v{row['version']}" for row in present}
    expect({task["successor"] for task in done["tasks"]} <= successors, "a new data set version is missing")
    expect(bool(done["obligations"]), "no model version carries an obligation")
    expect(f'"{person}"' not in json.dumps(done), "the answer names the person")


def _check_certificate(certificate: Path) -> None:
    command = [sys.executable, "manage.py", "verify_certificate", str(certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    expect(done.returncode == 0 and done.stdout.startswith("VERIFIED"), f"the certificate: {done.stdout}{done.stderr}")
    content = bytearray(certificate.read_bytes())
    content[len(content) // 3] ^= 0x01
    spoiled = certificate.with_name("spoiled.json")
    spoiled.write_bytes(bytes(content))
    done = subprocess.run(
        [*command[:-1], str(spoiled)], capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent
    )
    expect(done.returncode != 0, "a certificate with a flipped byte verifies")


def verify_all(case: Case, folder: Path) -> tuple[int, str]:
    """Export everything and verify it."""
    _, key = export(case, folder)
    return verify(folder, key)
