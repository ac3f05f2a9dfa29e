"""A small log of the shape the service writes, its export bundles, and the verifier called on them."""

import contextlib
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit import bundle, canonical, disclosure, merkle, note, verify

VECTORS = Path(__file__).parents[1] / "vectors" / "audit"
ORIGIN = "plimsoll.example.org/audit/admin"
KEY = note.SigningKey(ORIGIN, hashlib.sha256(b"a key for tests").digest())
SIZE = 36


@dataclass
class Log:
    """Objects with chained events, personal values as digests with their disclosures beside."""

    leaves: list[bytes] = field(default_factory=list)
    disclosures: list[dict[str, str]] = field(default_factory=list)
    last: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def append(
        self,
        subject: str,
        n: int | None = None,
        prev: str | None = "chain",
        kind: str = "model_version",
        **more: object,
    ) -> None:
        number = len(self.leaves)
        last_n, last_hash = self.last.get(subject, (0, None))
        said, said_digest = disclosure.disclose("comment", f"Kommentar {number}")
        address, address_digest = disclosure.disclose("address", "192.0.2.7")
        event: dict[str, object] = {
            "v": 1,
            "id": f"018f0000-0000-7000-8000-{number:012d}",
            "log": "admin",
            "time": f"2025-01-01T00:{number:02d}:00.000000Z",
            "action": "model_version.create",
            "outcome": "success",
            "actor": {"type": "user", "ref": "p:1", "auth": "session"},
            "object": {
                "type": kind,
                "id": subject,
                "n": n or last_n + 1,
                "prev": last_hash if prev == "chain" else prev,
            },
            "request": {"id": f"r{number}", "_sd": [address_digest]},
            "_sd": [said_digest],
            **more,
        }
        leaf = canonical.encode(event)
        self.leaves.append(leaf)
        self.last[subject] = (n or last_n + 1, merkle.leaf_hash(leaf).hex())
        for path, text in (("comment", said), ("request.address", address)):
            self.disclosures.append({"event_id": str(event["id"]), "path": path, "disclosure": text})

    def tick(self, time: str) -> None:
        """A tick as the service writes it each hour."""
        self.append("admin", action="audit.tick", time=time, kind="log")

    @property
    def tree(self) -> merkle.MemoryTree:
        return merkle.MemoryTree([merkle.leaf_hash(leaf) for leaf in self.leaves])

    def checkpoint(self, extra: str = "", size: int | None = None) -> str:
        """The signed checkpoint, or that of an earlier size; `extra`: more signature lines."""
        size = len(self.leaves) if size is None else size
        return KEY.sign(note.Checkpoint(ORIGIN, size, self.tree.root(size)).text()) + extra

    def common(self, **changes: Any) -> dict[str, Any]:
        return {
            "log": "admin",
            "origin": ORIGIN,
            "size": len(self.leaves),
            "checkpoint_note": self.checkpoint(),
            "verifier_keys": [{"key": KEY.verifier, "from_size": 0, "to_size": None}],
            "query": {"log": "admin"},
            "exporter": "p:2",
            "made_at": "2025-01-02T00:00:00.000000Z",
            **changes,
        }

    def shown(self, indices: Sequence[int]) -> list[dict[str, str]]:
        return [each for index in indices for each in self.disclosures[2 * index : 2 * index + 2]]

    def zip_of_range(self, start: int = 0, end: int | None = None, **changes: Any) -> bytes:
        end = len(self.leaves) if end is None else end
        left, right = merkle.range_proof(start, end, len(self.leaves), self.tree.node)
        out = io.BytesIO()
        digest = bundle.write_bundle(
            out,
            start=start,
            leaves=self.leaves[start:end],
            left=left,
            right=right,
            completeness="range",
            **self.common(**{"disclosures": self.shown(range(start, end)), **changes}),
        )
        assert digest == hashlib.sha256(out.getvalue()).hexdigest()
        return out.getvalue()

    def zip_of_entries(self, indices: Sequence[int], completeness: str = "inclusion", **changes: Any) -> bytes:
        """Chosen entries with a proof for each; for completeness "object", also `subject`, its type and id."""
        out = io.BytesIO()
        bundle.write_bundle(
            out,
            start=0,
            leaves=[self.leaves[index] for index in indices],
            left=[],
            right=[],
            completeness=completeness,
            indices=indices,
            proofs=[merkle.inclusion_proof(index, len(self.leaves), self.tree.node) for index in indices],
            **self.common(**{"disclosures": self.shown(indices), **changes}),
        )
        return out.getvalue()


def a_log(size: int = SIZE) -> Log:
    log = Log()
    for number in range(size):
        log.append(f"m{number * number % 5}")
    return log


LOG = a_log()
RANGE = (7, 29)
CHOSEN = [3, 4, 9, 20, 21, 35]
BUNDLES = {"whole": LOG.zip_of_range(), "part": LOG.zip_of_range(*RANGE), "chosen": LOG.zip_of_entries(CHOSEN)}
INDICES: dict[str, Sequence[int]] = {"whole": range(SIZE), "part": range(*RANGE), "chosen": CHOSEN}


def unpacked(archive: bytes, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder)
    return folder


def edit(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(change((folder / name).read_bytes()))


def edit_lines(folder: Path, name: str, change: Callable[[list[bytes]], Any]) -> None:
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    change(lines)
    (folder / name).write_bytes(b"".join(lines))


def alone(folder: Path, *arguments: str) -> tuple[int, str]:
    """The verifier of the bundle as an auditor runs it: no packages, no environment, from any directory."""
    command = [sys.executable, "-I", "-S", "-W", "error", str(folder / "verify.py"), *arguments]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, check=False)
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


def judge(path: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the verifier, run in this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = verify.main([str(path), *arguments])
    return code, out.getvalue()


def last_line(path: Path, *arguments: str) -> tuple[int, str]:
    code, out = judge(path, *arguments)
    return code, out.splitlines()[-1]
