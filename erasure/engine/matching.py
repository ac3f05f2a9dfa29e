"""Which cells of an Arrow column name the person.

Belongs here: the eraser's comparison, the same for finding and for rewriting. Does not belong here: the verifier's
comparison, which runs in another engine on purpose.

Cells are compared as text, so the number 17 matches the identifier '17'. NULL never matches and is never dropped.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from erasure.engine.errors import EngineError
from erasure.engine.formats import is_text
from erasure.engine.identifiers import IdentifierType, canonical, normalise_all

_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,37}")
# Printable ASCII with no blank at either end: normalising leaves it as it is but for case.
_PLAIN: Final = r"^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$"
EXACT_IN_FLOAT: Final = 2**53


def whole_numbers(identifiers: Sequence[str]) -> list[int]:
    """The identifiers that are the usual spelling of a whole number: '17', but neither '017' nor '1e3'."""
    return [int(text) for text in identifiers if _WHOLE.fullmatch(text)]


class Matcher:
    """Answers, per cell of one column, whether it holds one of the identifiers."""

    def __init__(self, kind: IdentifierType, identifiers: Sequence[str], arrow: Any) -> None:
        self._kind = kind
        self._wanted = frozenset(normalise_all(kind, identifiers))
        self._arrow = arrow
        self._values = self._value_set()

    def _value_set(self) -> Any:
        if is_text(self._arrow):
            return pa.array(sorted(self._wanted), self._arrow)
        numbers = whole_numbers(sorted(self._wanted))
        if pa.types.is_floating(self._arrow) and any(abs(number) >= EXACT_IN_FLOAT for number in numbers):
            raise EngineError(
                "identifier_not_exact",
                "The column holds floating-point numbers, which cannot tell ids this large apart.",
            )
        if pa.types.is_floating(self._arrow):
            return pa.array([float(number) for number in numbers], pa.float64())
        if pa.types.is_decimal(self._arrow):
            return pa.array([str(number) for number in numbers], pa.string())
        return pa.array([number for number in numbers if _fits(number, self._arrow)], self._arrow)

    def mask(self, cells: Any) -> Any:
        """A boolean array as long as `cells`, without NULL."""
        if pa.types.is_dictionary(cells.type):
            cells = cells.cast(cells.type.value_type)
        if is_text(self._arrow):
            found = self._mask_text(cells)
        elif pa.types.is_decimal(self._arrow):
            found = pc.is_in(cells.cast(pa.string()), value_set=self._values)
        elif pa.types.is_floating(self._arrow):
            found = pc.is_in(cells.cast(pa.float64()), value_set=self._values)
        else:
            found = pc.is_in(cells, value_set=self._values)
        return pc.and_(pc.fill_null(found, False), cells.is_valid())

    def _mask_text(self, cells: Any) -> Any:
        if self._kind is IdentifierType.STRING:
            return pc.is_in(cells, value_set=self._values)
        text = cells.cast(pa.large_string())
        folded = pc.ascii_lower(text) if self._kind is IdentifierType.EMAIL else text
        found = pc.is_in(folded, value_set=self._values.cast(pa.large_string()))
        if _holds_only_graphic_ascii(text):
            return found
        odd = pc.fill_null(pc.invert(pc.match_substring_regex(text, _PLAIN)), False)
        if not pc.any(odd).as_py():
            return found
        # Accents, blanks and foreign scripts go through the one Python rule; they are rare in key columns.
        rare = text.filter(odd).unique()
        hits = [cell for cell in rare.to_pylist() if canonical(self._kind, cell) in self._wanted]
        return pc.or_(pc.and_not(found, odd), pc.is_in(text, value_set=pa.array(hits, pa.large_string())))


def _holds_only_graphic_ascii(text: Any) -> bool:
    """Whether no cell holds a blank, a control or a foreign character; one look at all bytes, the usual case."""
    _, offsets, content = text.buffers()
    if content is None or not len(text):
        return True
    bounds = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    used = np.frombuffer(content, np.uint8)[int(bounds[0]) : int(bounds[-1])]
    return not len(used) or bool(used.min() > 0x20 and used.max() < 0x7F)


def _fits(number: int, arrow: Any) -> bool:
    bits = arrow.bit_width
    if pa.types.is_signed_integer(arrow):
        return bool(-(1 << (bits - 1)) <= number < 1 << (bits - 1))
    return bool(0 <= number < 1 << bits)
