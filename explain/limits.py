"""What one sandboxed child may spend. Numbers only: how they are enforced is in `boot.py` and `sandbox.py`."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ceilings for one child. Seconds, bytes and counts; every one is hard."""

    wall_seconds: float = 600.0
    cpu_seconds: int = 600
    memory_bytes: int = 4096 * MIB  # address space, which numeric libraries reserve generously
    answer_bytes: int = 256 * MIB
    scratch_bytes: int = 256 * MIB  # the child's own in-memory /tmp
    printed_bytes: int = 16 * MIB  # stdout and stderr together; only the last lines are kept
    open_files: int = 256
