"""A ZIP file out of members that are compressed already (PKWARE APPNOTE 6.3.10; sizes beyond 32 bits as ZIP64).

`zipfile` compresses what it is given, so it cannot take a member over from a spool. This writes headers around raw
deflate streams and nothing else: no encryption, no comments, no times (every member carries the earliest date a ZIP can
state, so that equal contents give equal files). What the members are belongs to ``audit/bundle.py``.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from isal import isal_zlib

_LEVEL: Final = 2
END_OF_STREAM: Final = b"\x03\x00"  # an empty last block: what closes a deflate stream that was flushed
_NEVER: Final = 0x21  # 1 January 1980 as MS-DOS writes dates
_UTF8: Final = 0x800
_DEFLATED: Final = 8
_VERSION, _VERSION_64 = 20, 45
_UNIX: Final = 3 << 8
_READABLE: Final = 0o100644 << 16
_FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
MOST_MEMBERS: Final = _FULL_16 - 1


@dataclass(frozen=True)
class Stored:
    """What the headers say of a member; ``compressed`` and ``size`` in bytes."""

    name: str
    crc: int
    compressed: int
    size: int


@dataclass(frozen=True)
class Member:
    """One file of the archive, with its deflate stream in blocks."""

    stored: Stored
    blocks: Iterable[bytes]


def deflated(parts: Iterable[bytes]) -> tuple[bytes, int, int]:
    """A piece of a deflate stream that stands alone, the CRC-32 of its content, and the length of that. Pieces may be
    joined, and ``END_OF_STREAM`` ends them.
    """
    stream = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)
    found, crc, size = [], 0, 0
    for part in parts:
        found.append(stream.compress(part))
        crc, size = isal_zlib.crc32(part, crc), size + len(part)
    return (b"".join([*found, stream.flush(isal_zlib.Z_FULL_FLUSH)]) if size else b""), crc, size


def crc_of_both(first: int, second: int, second_size: int) -> int:
    """The CRC-32 of two contents one behind the other, from theirs."""
    return int(isal_zlib.crc32_combine(first, second, second_size))


def whole(name: str, content: bytes) -> Member:
    """A member that is small enough to be compressed at once."""
    stream, crc, size = deflated([content])
    return Member(Stored(name, crc, len(stream) + len(END_OF_STREAM), size), [stream, END_OF_STREAM])


def write(out: BinaryIO, members: Sequence[Member]) -> tuple[str, int]:
    """Write the archive strictly forwards; the SHA-256 of its bytes in hex, and how many they are.

    Raises ValueError when a member's blocks are not as long as it says, or for names that a ZIP cannot hold.
    """
    names = [member.stored.name for member in members]
    if len(set(names)) != len(names) or len(names) > MOST_MEMBERS:
        raise ValueError("An archive holds at most 65,534 members, each under a name of its own.")
    digest, position = sha256(), 0
    directory: list[bytes] = []

    def put(block: bytes) -> None:
        nonlocal position
        digest.update(block)
        out.write(block)
        position += len(block)

    for member in members:
        directory.append(central_header(member.stored, position))
        put(local_header(member.stored))
        before = position
        for block in member.blocks:
            put(block)
        if position - before != member.stored.compressed:
            raise ValueError(f"{member.stored.name} is not as long as its header says.")
    start = position
    for header in directory:
        put(header)
    put(end_of(len(directory), start, position - start))
    return digest.hexdigest(), position


def local_header(member: Stored) -> bytes:
    """What stands before a member's stream."""
    name = _name(member)
    sizes = [member.size, member.compressed]
    large = max(sizes) >= FULL_32
    extra = struct.pack("<HHQQ", 1, 16, *sizes) if large else b""  # here both sizes must be in it
    shown = (FULL_32, FULL_32) if large else (member.compressed, member.size)
    version = _VERSION_64 if large else _VERSION
    fixed = (0x04034B50, version, _UTF8, _DEFLATED, 0, _NEVER, member.crc, *shown, len(name), len(extra))
    return struct.pack("<IHHHHHIIIHH", *fixed) + name + extra


def central_header(member: Stored, offset: int) -> bytes:
    """A member's entry in the directory; only what does not fit into 32 bits is in its extra field."""
    name = _name(member)
    beyond = [value for value in (member.size, member.compressed, offset) if value >= FULL_32]
    extra = struct.pack(f"<HH{len(beyond)}Q", 1, 8 * len(beyond), *beyond) if beyond else b""
    version = _VERSION_64 if beyond else _VERSION
    shown = (min(member.compressed, FULL_32), min(member.size, FULL_32))
    fixed = (0x02014B50, _UNIX | version, version, _UTF8, _DEFLATED, 0, _NEVER, member.crc, *shown)
    rest = (len(name), len(extra), 0, 0, 0, _READABLE, min(offset, FULL_32))
    return struct.pack("<IHHHHHHIIIHHHHHII", *fixed, *rest) + name + extra


def end_of(members: int, start: int, length: int) -> bytes:
    """The records behind the directory, which begins at ``start`` and is ``length`` bytes long."""
    large = b""
    if max(start, length) >= FULL_32:
        record = (0x06064B50, 44, _UNIX | _VERSION_64, _VERSION_64, 0, 0, members, members, length, start)
        large = struct.pack("<IQHHIIQQQQ", *record) + struct.pack("<IIQI", 0x07064B50, 0, start + length, 1)
    shown = (min(length, FULL_32), min(start, FULL_32))
    return large + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, members, members, *shown, 0)


def _name(member: Stored) -> bytes:
    name = member.name.encode()
    if not name or len(name) > _FULL_16 or "\x00" in member.name or "\\" in member.name or name.startswith(b"/"):
        raise ValueError(f"{member.name!r} cannot name a member of an archive.")
    return name
