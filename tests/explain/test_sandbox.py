"""The box itself: what code inside cannot reach, and how each way of misbehaving ends. All of it runs in bubblewrap."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from explain import sandbox
from explain.limits import MIB, Limits
from explain.sandbox import ChildJob, Runtime, SandboxError
from explain.seccomp import filter_program

Child = Callable[[str], Runtime]
SMALL = Limits(wall_seconds=20, cpu_seconds=5, memory_bytes=512 * MIB, answer_bytes=MIB, printed_bytes=MIB)


def answer_of(tmp_path: Path, runtime: Runtime, limits: Limits = SMALL) -> str:
    job = ChildJob(request={"greeting": "hello"}, answer=tmp_path / "answer")
    return sandbox.run(job, limits, runtime).answer.read_text()


def error_of(tmp_path: Path, runtime: Runtime, limits: Limits = SMALL) -> SandboxError:
    with pytest.raises(SandboxError) as caught:
        answer_of(tmp_path, runtime, limits)
    return caught.value


def test_probe_finds_the_sandbox_working() -> None:
    assert sandbox.probe() is None


@pytest.mark.parametrize("program", ["/nonexistent/bwrap", "/bin/false", "/bin/true"])
def test_without_a_sandbox_nothing_runs(tmp_path: Path, child: Child, program: str) -> None:
    marker = tmp_path / "marker"
    hostile = child(f"open({str(marker)!r}, 'w')")
    error = error_of(tmp_path, Runtime(bwrap=Path(program), child=hostile.child))
    assert error.code == "unavailable"
    assert error.sentence.startswith("No model can be loaded, because the sandbox does not work on this machine: ")
    assert not marker.exists()
    assert sandbox.probe(Runtime(bwrap=Path(program))) is not None


def test_a_box_without_the_system_call_filter_is_refused_from_inside(tmp_path: Path, child: Child) -> None:
    """A sandbox program that ignores what it was asked for: the child finds out before anything is loaded."""
    careless = tmp_path / "careless"
    careless.write_text(
        "#!/usr/bin/env python3\nimport os, sys\na = sys.argv[1:]\ni = a.index('--seccomp')\ndel a[i:i + 2]\n"
        f"os.execv({str(Runtime().program())!r}, ['bwrap', *a])\n"
    )
    careless.chmod(0o755)
    error = error_of(tmp_path, Runtime(bwrap=careless, child=child("print('loaded')").child))
    assert error.code == "unavailable"
    assert error.sentence.endswith(": not confirmed by the kernel: Seccomp.")


def test_no_filter_is_known_for_a_foreign_processor() -> None:
    assert filter_program("riscv64") is None
    assert filter_program("x86_64") != filter_program("aarch64")


def test_secrets_files_and_network_of_the_host_are_out_of_reach(
    tmp_path: Path, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@db/plimsoll")
    secret = tmp_path / "secret.txt"
    secret.write_text("host secret")
    listener = socket.create_server(("127.0.0.1", 0))
    code = f"""
    import ctypes, json, os, socket
    def attempt(act):
        try:
            return f"did it: {{act()}}"
        except Exception as error:
            return type(error).__name__
    found = {{
        "environment": sorted(os.environ),
        "identity": [os.getuid(), os.getgid()],
        "secret": attempt(lambda: open({str(secret)!r}).read()),
        "project": attempt(lambda: os.listdir({str(Path(sandbox.__file__).parent)!r})),
        "passwords": attempt(lambda: open("/etc/passwd").read()),
        "internet": attempt(lambda: socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}), timeout=2)),
        "marker": attempt(lambda: open({str(tmp_path / "marker")!r}, "w")),
        "packages": attempt(lambda: open(os.path.join(os.path.dirname(json.__file__), "evil.py"), "w")),
        "root": attempt(lambda: open("/evil", "w")),
        "request": attempt(lambda: open("/job/request.json", "w")),
        "replace": attempt(lambda: os.replace("/job/answer", "/job/other")),
        "fork": attempt(os.fork),
        "program": attempt(lambda: __import__("subprocess").run(["/bin/true"])),
        "namespace": attempt(lambda: 1 / (1 + ctypes.CDLL(None).unshare(0x10000000))),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
        "scratch": attempt(lambda: open("/tmp/mine", "w").write("x")),
    }}
    open("/job/answer", "w").write(json.dumps(found))
    """
    found = json.loads(answer_of(tmp_path, child(code)))
    listener.close()
    assert found["environment"] == sorted([*sandbox.ENVIRONMENT, "PWD"])
    assert found["identity"] == [65534, 65534]
    refused = {"secret", "project", "passwords", "internet", "marker", "packages", "root", "request", "replace"}
    refused |= {"fork", "program", "namespace"}
    assert {name: found[name] for name in refused if found[name].startswith("did it")} == {}
    assert found["fork"] == "PermissionError"
    assert found["namespace"] == "ZeroDivisionError"  # unshare returned −1
    assert found["internet"] == "PermissionError"
    assert found["descriptors"] == ["0", "1", "2", "3"]  # 3 is the listing itself
    assert found["processes"] == ["1", "2"]
    assert found["scratch"] == "did it: 1"
    assert not (tmp_path / "marker").exists()


SPIN = "while True: pass"
DEAF = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
ENDS = {
    "sleeps": ("import time\ntime.sleep(60)", "timeout"),
    "closes its output and sleeps": ("import os, time\nos.close(1)\nos.close(2)\ntime.sleep(60)", "timeout"),
    "spins": (SPIN, "cpu"),
    "spins and ignores the signal": (DEAF + SPIN, "cpu"),
    "allocates": ("x = bytearray(3 * 1024**3)", "memory"),
    "allocates and hides it": (
        "try:\n    x = bytearray(3 * 1024**3)\nexcept MemoryError as e:\n    raise ValueError('hidden') from e",
        "memory",
    ),
    "prints without end": ("while True: print('x' * 10000)", "output_too_large"),
    "answers without end": ("f = open('/job/answer', 'wb')\nwhile True: f.write(bytes(65536))", "output_too_large"),
    "claims a large file": ("open('/job/answer', 'r+b').truncate(10 * 1024**3)", "output_too_large"),
    "fills its scratch": ("f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(65536))", "output_too_large"),
    "forks forever": ("import os\nwhile True: os.fork()", "crashed"),
    "starts threads forever": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()",
        "crashed",
    ),
    "segfaults": ("import ctypes\nctypes.string_at(0)", "crashed"),
    "raises": ("raise ValueError('a model of mine')", "crashed"),
}


@pytest.mark.parametrize("case", ENDS)
def test_every_misbehaviour_ends_with_its_name(tmp_path: Path, child: Child, case: str) -> None:
    code, expected = ENDS[case]
    limits = Limits(
        wall_seconds=2 if expected == "timeout" else 30,
        cpu_seconds=1,
        memory_bytes=1024 * MIB,
        answer_bytes=MIB,
        printed_bytes=MIB,
    )
    error = error_of(tmp_path, child(code), limits)
    assert error.code == expected, (error.sentence, error.last_lines)
    assert (tmp_path / "answer").stat().st_size <= MIB
    assert len(error.last_lines) <= 4096


def test_a_crash_is_told_with_its_last_line(tmp_path: Path, child: Child) -> None:
    error = error_of(tmp_path, child("raise ValueError('a model of mine\\x1b[31m')"))
    assert error.sentence == "The model's process ended without an answer (ValueError: a model of mine�[31m)."


def test_no_process_outlives_its_sandbox(tmp_path: Path, child: Child) -> None:
    import psutil

    error_of(tmp_path, child("import time\ntime.sleep(60)"), Limits(wall_seconds=1))
    assert [process for process in psutil.Process().children(recursive=True) if process.name() == "bwrap"] == []


def test_the_child_s_own_refusal_reaches_the_reader(tmp_path: Path, child: Child) -> None:
    code = "error = ValueError()\nerror.refusal = 'The data lacks\\nthe column month.'\nraise error"
    error = error_of(tmp_path, child(code))
    assert (error.code, error.sentence) == ("refused", "The data lacks the column month.")
