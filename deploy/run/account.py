"""Which account the embedded PostgreSQL runs under, and its way to its own files.

PostgreSQL refuses to run as root. When we are root (a container, a fresh server), it gets an account without rights,
and exactly one permission on the directories above its files: to pass through. It is never given leave to list or
read them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.run.environment import StartRefusedError

ACCOUNT = "plimsoll-db"
_LAST_RESORT = "nobody"  # present everywhere; shared with others, so used only where no account can be made


@dataclass(frozen=True)
class Account:
    """An operating-system account, by number and by the name PostgreSQL will look up."""

    uid: int
    gid: int
    name: str


def serving_account(directory: Path) -> Account | None:
    """The account to drop to, or None when we are not root and PostgreSQL may run as ourselves."""
    if os.geteuid() != 0:
        return None
    if directory.exists() and directory.stat().st_uid != 0:
        return _by_number(directory.stat().st_uid)
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        entry = _created()
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def own_name() -> str:
    """The name of the account we run under ourselves."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StartRefusedError(
            f"The embedded PostgreSQL needs an account with a name, and user number {os.geteuid()} has none here. "
            "Run under a named account, or set DATABASE_URL."
        ) from None


def _by_number(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise StartRefusedError(
            f"The database files belong to user number {uid}, who does not exist on this machine. "
            f"Give them to an account that does (chown -R), for example {ACCOUNT}."
        ) from None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _created() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "--user-group", ACCOUNT]
        # two installations starting at once may both try; whoever loses finds the account below
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name in (ACCOUNT, _LAST_RESORT):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StartRefusedError(
        f"PostgreSQL does not run as root and there is no account to run it under. Create one named {ACCOUNT}."
    )


def let_through(account: Account, target: Path) -> None:
    """Let `account` pass through every directory above `target`. Raises StartRefusedError where that cannot be
    arranged.
    """
    for directory in reversed(target.resolve().parents):
        if not _may_enter(account, directory.stat()):
            _grant_passage(account, directory)


def _may_enter(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _grant_passage(account: Account, directory: Path) -> None:
    try:
        acl = _with_passage(_acl(directory), account.uid)
        os.setxattr(directory, _ACL, acl)
    except OSError:
        try:
            # No access lists on this file system: passing (not listing) has to be granted to everyone.
            directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXOTH)
        except OSError:
            raise StartRefusedError(
                f"The database account {account.name} cannot pass through {directory}. "
                "Set PLIMSOLL_DATA to a directory it can reach, or run Plimsoll under an ordinary account."
            ) from None


# POSIX access lists as the kernel stores them (include/uapi/linux/posix_acl_xattr.h): a version, then entries of
# tag, permissions, id in little-endian order, sorted by tag and id.
_ACL = "system.posix_acl_access"
_VERSION = 2
_OWNER, _USER, _OWNING_GROUP, _GROUP, _UPPER_BOUND, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY_IN_PARTICULAR = 0xFFFFFFFF
_PASS = 1

_Entry = tuple[int, int, int]


def _acl(directory: Path) -> list[_Entry]:
    try:
        stored = os.getxattr(directory, _ACL)
    except OSError:  # none yet: the mode bits are the list
        mode = directory.stat().st_mode
        return [
            (_OWNER, mode >> 6 & 7, _NOBODY_IN_PARTICULAR),
            (_OWNING_GROUP, mode >> 3 & 7, _NOBODY_IN_PARTICULAR),
            (_OTHER, mode & 7, _NOBODY_IN_PARTICULAR),
        ]
    return [struct.unpack_from("<HHI", stored, offset) for offset in range(4, len(stored), 8)]


def _with_passage(entries: list[_Entry], uid: int) -> bytes:
    kept = {(tag, who): permissions for tag, permissions, who in entries}
    kept[_USER, uid] = kept.get((_USER, uid), 0) | _PASS
    group = kept.get((_OWNING_GROUP, _NOBODY_IN_PARTICULAR), 0)
    # Without a bound so far, the group's own permissions were effective; the bound must not narrow them.
    bound = kept.get((_UPPER_BOUND, _NOBODY_IN_PARTICULAR), group)
    kept[_UPPER_BOUND, _NOBODY_IN_PARTICULAR] = bound | _PASS
    packed = [struct.pack("<HHI", tag, permissions, who) for (tag, who), permissions in sorted(kept.items())]
    return struct.pack("<I", _VERSION) + b"".join(packed)


def make_readable(account: Account, tree: Path) -> None:
    """Where a strict umask kept the installed programs private, open them for reading. They hold no secrets."""
    probe = (tree / "bin" / "postgres").stat()
    if _may_enter(account, probe) and _may_enter(account, tree.stat()):
        return
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        runs = stat.S_IXOTH if path.is_dir() or mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | runs)
