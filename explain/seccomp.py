"""The system call filter of the sandbox, as the bytes bubblewrap loads. Which calls a model is refused, and nothing
else.

Namespaces already hide the host; the filter closes what namespaces leave: a fork bomb (processes are counted per
user, so no limit stops one that runs as root's user id), and kernel interfaces with a history of ways out. Threads
stay allowed.
"""

import errno
import platform
import socket
import struct
from dataclasses import dataclass

CLONE_THREAD = 0x00010000
X32_BIT = 0x40000000

# linux/seccomp.h and linux/filter.h
RET_ALLOW = 0x7FFF0000
RET_ERRNO = 0x00050000
RET_KILL = 0x80000000
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
OFFSET_CALL, OFFSET_ARCH, OFFSET_ARGUMENT = 0, 4, 16

# The same numbers on every architecture since Linux 5.x's unified table.
UNIFIED_DENIED = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)  # io_uring, the new mount calls
CLONE3 = 435


@dataclass(frozen=True)
class Machine:
    """Numbers of the calls in question, from the kernel's syscall tables (x86: syscall_64.tbl, arm: unistd.h)."""

    audit_arch: int
    clone: int
    socket: int
    denied: tuple[int, ...]


MACHINES = {
    # fork vfork ptrace pivot_root chroot mount umount2 init_module delete_module kexec_load add_key request_key keyctl
    # unshare perf_event_open open_by_handle_at setns process_vm_readv process_vm_writev finit_module bpf userfaultfd
    "x86_64": Machine(
        audit_arch=0xC000003E,
        clone=56,
        socket=41,
        denied=(
            *(57, 58, 101, 155, 161, 165, 166, 175, 176, 246, 248, 249, 250),
            *(272, 298, 304, 308, 310, 311, 313, 321, 323),
        ),
    ),
    # umount2 mount pivot_root chroot unshare kexec_load init_module delete_module ptrace add_key request_key keyctl
    # perf_event_open open_by_handle_at setns process_vm_readv process_vm_writev finit_module bpf userfaultfd
    "aarch64": Machine(
        audit_arch=0xC00000B7,
        clone=220,
        socket=198,
        denied=(
            *(39, 40, 41, 51, 97, 104, 105, 106, 117, 217, 218, 219),
            *(241, 265, 268, 270, 271, 273, 280, 282),
        ),
    ),
}


def _step(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)


def _refuse(number: int) -> bytes:
    return _step(RETURN, RET_ERRNO | number)


def filter_program(machine: str | None = None) -> bytes | None:
    """Classic BPF for this machine (or the named one); None where no table is known, and then no model may load."""
    table = MACHINES.get(machine or platform.machine())
    if table is None:
        return None
    steps = [
        _step(LOAD_WORD, OFFSET_ARCH),
        _step(JUMP_EQUAL, table.audit_arch, 1, 0),
        _step(RETURN, RET_KILL),
        _step(LOAD_WORD, OFFSET_CALL),
        _step(JUMP_AT_LEAST, X32_BIT, 0, 1),
        _refuse(errno.ENOSYS),
        # clone3 takes its flags by pointer, which a filter cannot read: "not there" makes the C library use clone.
        _step(JUMP_EQUAL, CLONE3, 0, 1),
        _refuse(errno.ENOSYS),
    ]
    for number in (*table.denied, *UNIFIED_DENIED):
        steps += [_step(JUMP_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    # A thread, yes; a process, no.
    steps += [
        _step(JUMP_EQUAL, table.clone, 0, 4),
        _step(LOAD_WORD, OFFSET_ARGUMENT),
        _step(JUMP_ANY_BIT, CLONE_THREAD, 0, 1),
        _step(RETURN, RET_ALLOW),
        _refuse(errno.EPERM),
    ]
    # Local sockets only: some address families (vsock) are not confined by a network namespace.
    steps += [
        _step(JUMP_EQUAL, table.socket, 0, 4),
        _step(LOAD_WORD, OFFSET_ARGUMENT),
        _step(JUMP_EQUAL, socket.AF_UNIX, 0, 1),
        _step(RETURN, RET_ALLOW),
        _refuse(errno.EPERM),
    ]
    return b"".join([*steps, _step(RETURN, RET_ALLOW)])
