"""Step 6: the auditor filters the trail, exports it and verifies it with plain python3."""

import subprocess
import sys
import time
import zipfile
from pathlib import Path

from demo.case import Case
from demo.client import expect
from demo.deciding import text_of


def audit(case: Case) -> str:
    """The auditor filters the trail, exports it, verifies it offline, and sees a flipped byte named."""
    auditor = case["auditor"]
    auditor.sign_in()
    page = text_of(auditor.page("/trail/?action=promotion.decide"))
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
    answer = case["auditor"].call("POST", "trail/export/", raw=True)
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
