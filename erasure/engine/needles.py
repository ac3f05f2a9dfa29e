"""Identifiers as bytes to look for in bytes.

Belongs here: which identifiers a byte search can decide, and when an occurrence counts. Does not belong here: files and
formats.

A byte search says something only for a value that does not occur by accident. A value is searchable from six bytes on
when it holds a letter, from nine on when it is all digits. Shorter ones ('17') are decided by reading the key column's
dictionaries and statistics value by value, together with the row re-scan. 'anna@x.de' inside 'joanna@x.de' is another
person: a hit counts when the value stands alone, either by its length prefix (as Parquet and Thrift store text) or
between characters that end a word.
"""

import re
import struct
from collections.abc import Sequence
from typing import Final

from erasure.engine.identifiers import IdentifierType, normalise_all

_MIN_BYTES: Final = 6
_MIN_DIGITS: Final = 9
_WORD: Final = re.compile(rb"[\w.%+@\x80-\xff-]")


class Needles:
    """The searchable identifiers as bytes."""

    def __init__(self, kind: IdentifierType, identifiers: Sequence[str]) -> None:
        self.kind = kind
        given = {*normalise_all(kind, identifiers), *(value.strip() for value in identifiers)}
        self._fold = kind is IdentifierType.EMAIL
        texts = {value.encode() for value in given if is_searchable(value)}
        self._patterns = sorted({text.lower() if self._fold else text for text in texts})
        self.skipped = sum(not is_searchable(value) for value in normalise_all(kind, identifiers))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    @property
    def reach(self) -> int:
        """Bytes by which two windows must overlap: the longest pattern and the marks on both sides."""
        return max(map(len, self._patterns), default=0) + 8

    def hits(self, content: bytes) -> int:
        """How often one of the identifiers stands alone in `content`."""
        haystack = content.lower() if self._fold else content
        return sum(_count(haystack, content, pattern) for pattern in self._patterns)


def is_searchable(value: str) -> bool:
    size = len(value.encode())
    return size >= (_MIN_DIGITS if value.isdigit() else _MIN_BYTES)


def _count(haystack: bytes, content: bytes, pattern: bytes) -> int:
    count, at = 0, haystack.find(pattern)
    while at >= 0:
        count += _stands_alone(content, at, at + len(pattern))
        at = haystack.find(pattern, at + 1)
    return count


def _stands_alone(content: bytes, start: int, stop: int) -> bool:
    size = stop - start
    if content[max(start - 4, 0) : start] == struct.pack("<I", size) or (
        size < 0x80 and content[start - 1 : start] == bytes([size])
    ):
        return True
    before = content[start - 1 : start] if start else b""
    # The next value's length prefix may look like a letter; its upper bytes are zero.
    after = b"" if content[stop + 2 : stop + 4] == b"\x00\x00" else content[stop : stop + 1]
    return not _WORD.match(before) and not _WORD.match(after)
