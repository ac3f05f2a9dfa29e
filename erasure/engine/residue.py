"""Searching the bytes of a file for what no row shows any more.

Belongs here: the raw search of a Parquet or CSV file for identifiers, and the exact reading of dictionaries and
statistics. Does not belong here: the row re-scan, which is another engine's.

Values too short for a byte search (see `needles`) are decided here by reading the key column's dictionaries and
statistics value by value, together with the row re-scan.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from erasure.engine.formats import open_parquet
from erasure.engine.identifiers import IdentifierType, canonical, normalise_all
from erasure.engine.matching import EXACT_IN_FLOAT
from erasure.engine.needles import Needles
from erasure.engine.pages import DICTIONARY_PAGE, Page, pages

_WINDOW_BYTES: Final = 4 << 20
_NUMBERS: Final = {"INT32": "<i4", "INT64": "<i8", "FLOAT": "<f4", "DOUBLE": "<f8"}
_DELTA_TEXT: Final = "DELTA_BYTE_ARRAY"


@dataclass(frozen=True, slots=True)
class ResidueCheck:
    """One way of looking: what was looked at, how much of it (bytes or values), and how often the person was there."""

    name: str
    searched: int
    hits: int
    note: str = ""


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def search_csv(path: Path, identifiers: Sequence[str], kind: IdentifierType) -> list[ResidueCheck]:
    """Search every byte of a CSV file."""
    needles = Needles(kind, identifiers)
    with _mapped(path) as mapped:
        return [*_skipped(needles), _search("bytes", mapped, [(0, len(mapped))], needles)]


def search_parquet(path: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> list[ResidueCheck]:
    """Search dictionaries, statistics, decompressed pages and all bytes outside of pages."""
    needles = Needles(kind, identifiers)
    wanted = frozenset(normalise_all(kind, identifiers))
    with open_parquet(path) as source, _mapped(path) as mapped:
        metadata = source.metadata
        physical = {chunk.path_in_schema: chunk.physical_type for chunk in _chunks(metadata)}
        tally = _Tally(column, physical.get(column, ""), kind, wanted, needles)
        for page in pages(mapped, metadata):
            tally.add(page)
        statistics = _search_statistics(metadata, column, kind, wanted)
        outside = _search("footer, headers and gaps", mapped, _gaps(tally.bodies, len(mapped)), needles)
        delta = sorted({chunk.path_in_schema for chunk in _chunks(metadata) if _DELTA_TEXT in chunk.encodings})
    note = f"prefix-sharing columns are decided by the re-scan alone: {', '.join(delta)}" if delta else ""
    return [
        ResidueCheck("dictionaries of the key column", tally.dictionary_values, tally.dictionary_hits),
        statistics,
        ResidueCheck("decompressed pages of all columns", tally.page_bytes, tally.page_hits, note),
        outside,
        *_skipped(needles),
    ]


class _Tally:
    """What the page walk found, so that only one page is in memory at a time."""

    def __init__(
        self, column: str, physical: str, kind: IdentifierType, wanted: frozenset[str], needles: Needles
    ) -> None:
        self._column, self._physical, self._kind, self._wanted, self._needles = column, physical, kind, wanted, needles
        self.bodies: list[tuple[int, int]] = []
        self.dictionary_values = self.dictionary_hits = self.page_bytes = self.page_hits = 0

    def add(self, page: Page) -> None:
        self.bodies.append((page.start, page.stop))
        if self._needles:
            self.page_bytes += len(page.content)
            self.page_hits += self._needles.hits(page.content)
        if page.kind == DICTIONARY_PAGE and page.column == self._column:
            for value in dictionary_values(page.content, page.values, self._physical):
                self.dictionary_values += 1
                self.dictionary_hits += canonical(self._kind, value) in self._wanted


def dictionary_values(content: bytes, count: int, physical: str) -> Iterator[str]:
    """The values of a PLAIN dictionary page as text; whole floating-point numbers without their fraction."""
    if physical == "BYTE_ARRAY":
        at = 0
        for _ in range(count):
            (size,) = struct.unpack_from("<I", content, at)
            yield content[at + 4 : at + 4 + size].decode("utf-8", errors="replace")
            at += 4 + size
    elif physical in _NUMBERS:
        yield from (number_text(value) for value in np.frombuffer(content, _NUMBERS[physical], count).tolist())


def number_text(value: float) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_IN_FLOAT:
        return str(int(value))
    return str(value)


def _chunks(metadata: Any) -> Iterator[Any]:
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            yield metadata.row_group(group).column(index)


def _search_statistics(metadata: Any, column: str, kind: IdentifierType, wanted: frozenset[str]) -> ResidueCheck:
    searched = hits = 0
    for chunk in _chunks(metadata):
        if chunk.path_in_schema != column or not chunk.is_stats_set or not chunk.statistics.has_min_max:
            continue
        for bound in (chunk.statistics.min, chunk.statistics.max):
            searched += 1
            text = number_text(bound) if isinstance(bound, int | float) else str(bound)
            hits += canonical(kind, text) in wanted
    return ResidueCheck("statistics of the key column", searched, hits)


def _gaps(bodies: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    gaps, at = [], 0
    for start, stop in sorted(bodies):
        if start > at:
            gaps.append((at, start))
        at = max(at, stop)
    return [*gaps, (at, end)]


def _search(name: str, mapped: mmap.mmap, ranges: list[tuple[int, int]], needles: Needles) -> ResidueCheck:
    if not needles:
        return ResidueCheck(name, 0, 0)
    hits = 0
    for start, stop in ranges:
        for at in range(start, stop, _WINDOW_BYTES):
            # Windows overlap; counting a hit twice is harmless, missing one is not.
            hits += needles.hits(mapped[max(at - needles.reach, start) : min(at + _WINDOW_BYTES + needles.reach, stop)])
    return ResidueCheck(name, sum(stop - start for start, stop in ranges), hits)


def _skipped(needles: Needles) -> list[ResidueCheck]:
    if not needles.skipped:
        return []
    note = "too short for a byte search; decided by dictionaries, statistics and the re-scan"
    return [ResidueCheck("byte search left out", needles.skipped, 0, note)]
