"""Artifacts through us against the same bytes sent to MLflow's own server directly, in the same run.

One large file and many small ones, up and down, over one keep-alive connection each way, as MLflow's client keeps one.
Rounds alternate between the two, and the quickest of each counts: a machine that is busy makes one slower, never
quicker. Budget: at least 0.8 of the direct throughput.

    python -m bench.artifacts [--megabytes 200] [--files 100] [--rounds 5]
"""

import argparse
import hashlib
import http.client
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from deploy.run.stack import Stack
from tests.integration import accounts

MB = 1 << 20
SMALL = 20_000
BUDGET = 0.8
STORE = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Way:
    """One way to the artifact store: an open connection, and the headers that go with each request."""

    name: str
    url: str
    headers: dict[str, str]

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=300, blocksize=MB)

    def send(self, path: str, body: object, length: int) -> None:
        headers = {**self.headers, "Content-Length": str(length), "Content-Type": "application/octet-stream"}
        self.connection.request("PUT", f"{STORE}/{path}", body=body, headers=headers)  # type: ignore[arg-type]
        self._end()

    def take(self, path: str) -> int:
        self.connection.request("GET", f"{STORE}/{path}", headers=self.headers)
        return self._end()

    def _end(self) -> int:
        answer = self.connection.getresponse()
        taken = 0
        while piece := answer.read(MB):
            taken += len(piece)
        if answer.status != 200:
            raise SystemExit(f"{self.name} answered {answer.status}")
        return taken


def run_root(url: str, headers: dict[str, str]) -> str:
    """The folder of a new run, where the client would put its files."""

    def call(path: str, body: dict[str, object]) -> dict[str, dict[str, dict[str, str]]]:
        asked = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), method="POST")
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            asked.add_header(name, value)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found: dict[str, dict[str, dict[str, str]]] = json.load(answer)
        return found

    info = call("runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]
    return urlsplit(info["artifact_uri"]).path.strip("/")


def pieces(megabytes: int) -> Iterator[bytes]:
    piece = hashlib.sha256(b"artifact").digest() * (MB // 32)
    return (piece for _ in range(megabytes))


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def small_up(way: Way, root: str, files: int) -> None:
    for number in range(files):
        way.send(f"{root}/small/{number}.bin", bytes(SMALL), SMALL)


def small_down(way: Way, root: str, files: int) -> None:
    for number in range(files):
        assert way.take(f"{root}/small/{number}.bin") == SMALL


def web_memory(pid: int) -> float:
    """The largest web process, resident, in MB."""
    family = psutil.Process(pid).children(recursive=True)
    return max(process.memory_info().rss for process in family if "gunicorn" in " ".join(process.cmdline())) / MB


def measure(stack: Stack, megabytes: int, files: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Per row: seconds through us, seconds directly."""
    token = accounts.tokens(stack, bench="data_scientist")["bench"]
    ours = Way("Plimsoll", stack.url, {"Authorization": f"Bearer {token}"})
    theirs = Way("MLflow", stack.environment["PLIMSOLL_TRACKING_URL"], {})
    root = run_root(ours.url, ours.headers)
    size = megabytes * MB
    rows: dict[str, Callable[[Way], object]] = {
        f"{megabytes} MB up": lambda way: way.send(f"{root}/large.bin", pieces(megabytes), size),
        f"{megabytes} MB down": lambda way: way.take(f"{root}/large.bin"),
        f"{files} files of {SMALL // 1000} kB up": lambda way: small_up(way, root, files),
        f"{files} files of {SMALL // 1000} kB down": lambda way: small_down(way, root, files),
    }
    found: dict[str, tuple[float, float]] = {}
    for name, act in rows.items():
        for way in (ours, theirs):
            act(way)
        pairs = [(seconds(lambda: act(ours)), seconds(lambda: act(theirs))) for _ in range(rounds)]  # noqa: B023
        found[name] = (min(pair[0] for pair in pairs), min(pair[1] for pair in pairs))
    return found


def main() -> int:
    """Measure and print; 1 when a ratio is below the budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), port=0) as stack:
        before = web_memory(stack.pid)
        rows = measure(stack, wanted.megabytes, wanted.files, wanted.rounds)
        growth = web_memory(stack.pid) - before
    for name, (ours, theirs) in rows.items():
        print(f"{name}: {ours:.2f} s, directly {theirs:.2f} s, ratio {theirs / ours:.2f} (budget {BUDGET})")
    print(f"growth of the largest web process: {growth:.0f} MB")
    return int(any(theirs / ours < BUDGET for ours, theirs in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
