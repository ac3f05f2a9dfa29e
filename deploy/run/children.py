"""Starting and ending operating-system processes so that none outlives its parent.

Every child leads its own session and group (a Ctrl-C at the terminal reaches the supervisor alone, and a stop reaches
the child's own children), and asks the kernel for a signal when its parent dies, for the case that the parent is
killed outright.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from deploy.run.account import Account

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec a child must not load libraries.
_libc = ctypes.CDLL(None, use_errno=True)


def _follow_parent(number: int, parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        # If the parent died before the request was made, nobody will ever send the signal.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    output: int | IO[bytes],
    orphan_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start one child with its output (both streams) going to `output` and nothing on its input."""
    return subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        umask=0o077,
        # runs after the change of user, which would otherwise cancel the request
        preexec_fn=_follow_parent(orphan_signal, os.getpid()),  # noqa: PLW1509 - one system call, library loaded above
    )


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a child and everything it started that stayed in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def group_is_gone(leader: int) -> bool:
    """Whether no process of that group is left (a zombie not yet collected still counts)."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def wait_until(condition: Callable[[], bool], seconds: float, *, pause: float = 0.02) -> bool:
    """Wait for something that nothing announces. Returns whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True
