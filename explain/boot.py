"""The first file that runs inside the sandbox: prove the box is closed, set the limits, then run the package `child`.

Standard library only, and nothing of this project: the child sees this file and its own package, not the service.
The parent imports the exit codes from here; importing has no effect.
"""

import contextlib
import errno
import os
import resource
import runpy
import sys
import traceback
from pathlib import Path

EXIT_REFUSED = 70  # the child explains itself in the answer file
EXIT_MEMORY = 71
EXIT_ANSWER_TOO_LARGE = 72
EXIT_NOT_BOXED = 73
EXIT_FAILED = 74

PROGRAM_ROOT = "/job/program"
ANSWER = "/job/answer"
SCRATCH = "/tmp"  # noqa: S108 — the sandbox's own, in memory
# The kernel's own account of this process: no capabilities, no way to gain any, a system call filter in force.
BOXED = {"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}


def why_not_boxed() -> str | None:
    """None when the kernel confirms the sandbox, else what is missing. A model must not load outside of it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    missing = [name for name, wanted in BOXED.items() if status.get(name) != wanted]
    return f"not confirmed by the kernel: {', '.join(missing)}" if missing else None


def set_limits(*, memory: int, cpu: int, file_size: int, open_files: int) -> None:
    """Soft and hard limits at once: without capabilities nothing in this process can raise them again."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # The soft limit's signal names the cause; one second later the hard limit kills what ignores it.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def causes(error: BaseException) -> list[BaseException]:
    """The error and everything it was raised from: libraries like to wrap a MemoryError in their own class."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def exit_code_for(error: BaseException) -> int:
    for cause in causes(error):
        if isinstance(cause, MemoryError):
            return EXIT_MEMORY
        if isinstance(cause, OSError) and cause.errno == errno.EFBIG:
            return EXIT_ANSWER_TOO_LARGE
    return EXIT_FAILED


def main(arguments: list[str]) -> int:
    memory, cpu, file_size, open_files = (int(argument) for argument in arguments)
    reason = why_not_boxed()
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
        return EXIT_NOT_BOXED
    set_limits(memory=memory, cpu=cpu, file_size=file_size, open_files=open_files)
    sys.path.insert(0, PROGRAM_ROOT)
    sys.argv = ["child"]
    try:
        runpy.run_module("child", run_name="__main__", alter_sys=True)
    except Exception as error:  # noqa: BLE001 — whatever a model raises ends here, as an exit code and a few last lines
        return conclude(error)
    return 0


def conclude(error: Exception) -> int:
    """The exit code of a child that raised, after it has said what it can."""
    sentence = getattr(error, "refusal", None)
    if isinstance(sentence, str):
        Path(ANSWER).write_text(sentence, encoding="utf-8")
        return EXIT_REFUSED
    with contextlib.suppress(Exception):
        traceback.print_exc(limit=-6)
    return exit_code_for(error)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The answer is on disk: skip the interpreter's shutdown, where model libraries like to crash or linger.
    os._exit(code)
