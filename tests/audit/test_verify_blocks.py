"""The verdict does not depend on how the entries are cut into blocks, nor on how many processes look at them."""

import ast
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import verify
from tests.audit.sample_log import BUNDLES, KEY, Log, judge, unpacked


def a_varied_log() -> Log:
    """Chains, ticks, foreign lines, an entry that lies in time, and one that continues no chain."""
    log = Log()
    for number in range(60):
        if number % 9 == 0:
            log.tick(f"2025-01-01T{number // 9:02d}:00:00.000000Z")
        log.append(f"m{number % 4}", time=f"2025-01-01T{number // 9:02d}:{number % 60:02d}:00.000000Z")
    log.leaves[30] = b"no event"
    return log


VARIED = a_varied_log()
ARCHIVES = {
    **BUNDLES,
    "varied": VARIED.zip_of_range(),
    "varied part": VARIED.zip_of_range(13, 50),
    "varied chosen": VARIED.zip_of_entries(range(5, 66, 3)),
}

Change = Callable[[list[bytes], random.Random], None]


def flip(lines: list[bytes], chosen: random.Random) -> None:
    at = chosen.randrange(len(lines))
    line = bytearray(lines[at])
    line[chosen.randrange(len(line))] ^= 1 << chosen.randrange(8)
    lines[at] = bytes(line)


def drop(lines: list[bytes], chosen: random.Random) -> None:
    del lines[chosen.randrange(len(lines))]


def double(lines: list[bytes], chosen: random.Random) -> None:
    lines.insert(chosen.randrange(len(lines)), chosen.choice(lines))


def swap(lines: list[bytes], chosen: random.Random) -> None:
    one, other = chosen.randrange(len(lines)), chosen.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def halve(lines: list[bytes], chosen: random.Random) -> None:
    del lines[chosen.randrange(len(lines)) :]


CHANGES: dict[str, Change] = {each.__name__: each for each in (flip, drop, double, swap, halve)}
FILES = ["events.ndjson", "leaf-hashes", "disclosures.ndjson", "proofs.ndjson"]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    def cut(size: int) -> None:
        monkeypatch.setattr(verify, "BLOCK", size)
        monkeypatch.setattr(verify, "APART", size)

    yield cut
    monkeypatch.undo()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(choose=st.data())
def test_any_cut_gives_the_same_report(
    tmp_path: Path, small_blocks: Callable[[int], None], choose: st.DataObject
) -> None:
    kind = choose.draw(st.sampled_from(sorted(ARCHIVES)))
    folder = unpacked(ARCHIVES[kind], tmp_path / kind)
    names = [name for name in FILES if (folder / name).exists()]
    chosen = random.Random(choose.draw(st.integers(0, 2**32)))
    for change in choose.draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=2)):
        path = folder / choose.draw(st.sampled_from(names))
        lines = path.read_bytes().splitlines(keepends=True)
        if lines:
            CHANGES[change](lines, chosen)
        path.write_bytes(b"".join(lines))
    previous = tmp_path / "kept"
    size = choose.draw(st.integers(1, len(VARIED.leaves)))
    previous.write_text(VARIED.checkpoint(size=size))
    options = choose.draw(st.sampled_from([[], ["--previous", str(previous)]]))
    small_blocks(1 << 20)
    whole = judge(folder, "--jobs", "1", *options)
    for block in (1, choose.draw(st.integers(2, 3000)), choose.draw(st.integers(3000, 30_000))):
        small_blocks(block)
        assert judge(folder, "--jobs", "1", *options) == whole


SIGNED_FAULTS: dict[str, Callable[[Log], object]] = {
    "none": lambda log: None,
    "hole in a chain": lambda log: log.append("m2", n=99),
    "wrong link": lambda log: log.append("m2", prev="0" * 64),
    "late": lambda log: (log.append("m2", time="2024-01-01T00:00:00.000000Z"), log.append("m3")),
    "same id": lambda log: log.append("m2", id="018f0000-0000-7000-8000-000000000003"),
    "ambiguous": lambda log: log.leaves.append(b'{"a":1,"a":1}'),
}


@pytest.mark.parametrize("fault", SIGNED_FAULTS)
@pytest.mark.parametrize("archive", ["folder", "zip"])
def test_any_number_of_processes_gives_the_same_report(
    fault: str,
    archive: str,
    tmp_path: Path,
    small_blocks: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = a_varied_log()
    SIGNED_FAULTS[fault](log)
    log.tick("2025-01-01T07:00:00.000000Z")
    for kind, made in {"all": log.zip_of_range(), "some": log.zip_of_entries(range(3, len(log.leaves), 2))}.items():
        path = unpacked(made, tmp_path / kind) if archive == "folder" else tmp_path / f"{kind}.zip"
        if archive == "zip":
            path.write_bytes(made)
        alone = judge(path, "--jobs", "1", "--key", KEY.verifier)
        small_blocks(2000)
        monkeypatch.setattr(verify, "WORTH", 0)
        used = []
        monkeypatch.setattr(
            verify, "workers", lambda *a, made=verify.workers, used=used: used.append(made(*a)) or used[-1]
        )
        assert judge(path, "--jobs", "2", "--key", KEY.verifier) == alone
        assert judge(path, "--jobs", "3", "--key", KEY.verifier) == alone
        assert len(used) == 2
        assert None not in used
        monkeypatch.undo()


SPAWNED = """
import multiprocessing, sys
sys.path.insert(0, sys.argv[1])
multiprocessing.set_start_method("spawn")
import verify
verify.WORTH, verify.APART = 0, 2000
made, workers = [], verify.workers
verify.workers = lambda *given: made.append(workers(*given)) or made[0]
code = verify.main([sys.argv[1], "--jobs", "2"])
assert made[0] is not None
sys.exit(code)
"""


def test_processes_that_begin_afresh_know_the_rule_too(tmp_path: Path) -> None:
    """As on Windows and macOS, where nothing is inherited."""
    folder = unpacked(ARCHIVES["varied"], tmp_path)
    done = subprocess.run([sys.executable, "-c", SPAWNED, str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == judge(folder, "--jobs", "1")


def test_where_no_process_can_be_made_one_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpacked(ARCHIVES["varied"], tmp_path)
    alone = judge(folder, "--jobs", "1")
    monkeypatch.setattr(verify, "WORTH", 0)
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", _refuse)
    assert judge(folder, "--jobs", "4") == alone
    assert verify.workers(verify.Rule(0, 0, b""), 2) is None


def _refuse(*_arguments: object, **_options: object) -> None:
    raise PermissionError("no shared memory here")


def test_an_error_in_another_process_is_unusable_input_too(
    tmp_path: Path, small_blocks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked(BUNDLES["chosen"], tmp_path)
    lines = (folder / "proofs.ndjson").read_bytes().splitlines(keepends=True)
    lines[4] = json.dumps({"index": 7, "hashes": ["no hash"]}).encode() + b"\n"
    (folder / "proofs.ndjson").write_bytes(b"".join(lines))
    small_blocks(700)
    monkeypatch.setattr(verify, "WORTH", 0)
    assert judge(folder, "--jobs", "1") == judge(folder, "--jobs", "2")
    assert judge(folder, "--jobs", "2")[0] == 3


def test_it_is_one_file_for_python_3_8_and_its_library() -> None:
    tree = ast.parse(Path(verify.__file__).read_text(), feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported == {
        "__future__", "argparse", "array", "base64", "binascii", "collections", "concurrent", "datetime", "hashlib",
        "io", "itertools", "json", "os", "pathlib", "re", "sys", "time", "typing", "zipfile",
    }  # fmt: skip
