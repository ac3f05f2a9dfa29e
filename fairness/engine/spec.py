"""What a fairness report is asked to compute: label, favourable value, protected attributes and their privileged rules.

What belongs here: the shape of the request and the sentences that refuse a wrong one. What does not: looking at any
file; whether the columns exist and hold the right type is decided in `inputs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fairness.engine.errors import SpecError

Scalar = str | int | float | bool

#: Every threshold operator with its complement, so that both groups can be written out in full.
COMPLEMENT: Final[dict[str, str]] = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}

MAX_ATTRIBUTES: Final = 6
MAX_VALUES: Final = 100
MAX_TEXT: Final = 200
#: Doubles, JSON and DuckDB agree on whole numbers up to here.
MAX_NUMBER: Final = 2**53

DEFAULT_MINIMUM_GROUP_SIZE: Final = 30
DEFAULT_SEED: Final = 20240613
DEFAULT_REPLICATES: Final = 10_000
DEFAULT_CONFIDENCE: Final = 0.95

_SPEC_KEYS: Final = frozenset(
    {"label", "favourable", "protected", "minimum_group_size", "seed", "replicates", "confidence"}
)


@dataclass(frozen=True)
class Rule:
    """Who is privileged: `op` is "in" with a tuple of values, or a threshold operator with one number."""

    op: str
    values: tuple[Scalar, ...]

    def text(self, column: str) -> str:
        """The rule in words, for example "age > 25" or "sex is male"."""
        if self.op == "in":
            return f"{column} is {_either(self.values)}"
        return f"{column} {self.op} {_written(self.values[0])}"

    def complement_text(self, column: str) -> str:
        """The other side in words, for example "age <= 25"."""
        if self.op == "in":
            return f"{column} is not {_either(self.values)}"
        return f"{column} {COMPLEMENT[self.op]} {_written(self.values[0])}"

    def to_json(self) -> dict[str, object]:
        return {"op": self.op, "value": list(self.values) if self.op == "in" else self.values[0]}


@dataclass(frozen=True)
class Protected:
    """One protected attribute: a column of the data set, the name to show, and the privileged rule."""

    column: str
    name: str
    privileged: Rule


@dataclass(frozen=True)
class FairnessSpec:
    """A complete request for a report. Build it with `from_json`, which checks everything."""

    label: str
    favourable: Scalar
    protected: tuple[Protected, ...]
    minimum_group_size: int = DEFAULT_MINIMUM_GROUP_SIZE
    seed: int = DEFAULT_SEED
    replicates: int = DEFAULT_REPLICATES
    confidence: float = DEFAULT_CONFIDENCE

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "FairnessSpec":
        """Check `content` and build the spec. Raises SpecError with one sentence naming the first fault."""
        if not isinstance(content, Mapping):
            raise SpecError("The fairness spec must be a JSON object.")
        _refuse_unknown(content, _SPEC_KEYS, "The fairness spec")
        label = _text(content.get("label"), "“label”")
        protected = _protected_list(content.get("protected"))
        for attribute in protected:
            if attribute.column == label:
                raise SpecError(f"The label column “{label}” cannot be a protected attribute as well.")
        return cls(
            label=label,
            favourable=_scalar(content.get("favourable"), "“favourable”"),
            protected=protected,
            minimum_group_size=_whole(content, "minimum_group_size", DEFAULT_MINIMUM_GROUP_SIZE, 1, 1_000_000),
            seed=_whole(content, "seed", DEFAULT_SEED, 0, 2**32 - 1),
            replicates=_whole(content, "replicates", DEFAULT_REPLICATES, 1_000, 100_000),
            confidence=_confidence(content.get("confidence", DEFAULT_CONFIDENCE)),
        )

    def to_json(self) -> dict[str, object]:
        return {
            "label": self.label,
            "favourable": self.favourable,
            "protected": [
                {"column": item.column, "name": item.name, "privileged": item.privileged.to_json()}
                for item in self.protected
            ],
            "minimum_group_size": self.minimum_group_size,
            "seed": self.seed,
            "replicates": self.replicates,
            "confidence": self.confidence,
        }


def kind_of(value: Scalar) -> str:
    """One of text, number and boolean. Values of different kinds are never equal, though Python thinks True == 1."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _written(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.12g}"


def _either(values: tuple[Scalar, ...]) -> str:
    return " or ".join(_written(value) for value in values)


def _refuse_unknown(content: Mapping[str, object], known: frozenset[str], what: str) -> None:
    unknown = sorted(str(key) for key in content if key not in known)
    if unknown:
        raise SpecError(f"{what} has an unknown key “{unknown[0][:MAX_TEXT]}”; it may have {', '.join(sorted(known))}.")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SpecError(f"{what} must be a text that is not empty.")
    if len(value) > MAX_TEXT:
        raise SpecError(f"{what} is longer than {MAX_TEXT} characters.")
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise SpecError(f"{what} holds a character that text cannot carry.")
    return value


def _number(value: object, what: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{what} must be a number.")
    # The comparison is false for NaN and works on whole numbers too large for a float.
    if not abs(value) <= MAX_NUMBER:
        raise SpecError(f"{what} must be a finite number of ordinary size.")
    # 25 and 25.0 are one threshold and must give one report digest.
    return int(value) if float(value).is_integer() else float(value)


def _scalar(value: object, what: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, what)
    if value is None:
        raise SpecError(f"{what} is missing.")
    if not isinstance(value, int | float):
        raise SpecError(f"{what} must be a text, a number or a boolean.")
    return _number(value, what)


def _whole(content: Mapping[str, object], key: str, default: int, low: int, high: int) -> int:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SpecError(f"“{key}” must be a whole number from {low} to {high}.")
    return value


def _confidence(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value <= 0.999:
        raise SpecError("“confidence” must be a number from 0.5 to 0.999.")
    return float(value)


def _protected_list(value: object) -> tuple[Protected, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise SpecError("“protected” must be a list with at least one protected attribute.")
    if len(value) > MAX_ATTRIBUTES:
        raise SpecError(f"“protected” holds {len(value)} attributes; a report takes at most {MAX_ATTRIBUTES}.")
    attributes = tuple(_protected(item, f"Protected attribute {position}") for position, item in enumerate(value, 1))
    names = [attribute.name for attribute in attributes]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"Two protected attributes are called “{name}”; give each a name of its own.")
    return attributes


def _protected(value: object, what: str) -> Protected:
    if not isinstance(value, Mapping):
        raise SpecError(f"{what} must be an object with “column” and “privileged”.")
    _refuse_unknown(value, frozenset({"column", "name", "privileged"}), what)
    column = _text(value.get("column"), f"{what}: “column”")
    name = _text(value.get("name", column), f"{what}: “name”")
    return Protected(column=column, name=name, privileged=_rule(value.get("privileged"), f"{what} (“{name}”)"))


def _rule(value: object, what: str) -> Rule:
    if not isinstance(value, Mapping):
        raise SpecError(f'{what} needs a “privileged” rule such as {{"op": ">", "value": 25}}.')
    _refuse_unknown(value, frozenset({"op", "value"}), f"{what}: the privileged rule")
    op, operand = value.get("op"), value.get("value")
    if isinstance(op, str) and op in COMPLEMENT:
        return Rule(op=op, values=(_number(operand, f"{what}: the value after “{op}”"),))
    if op != "in":
        raise SpecError(f"{what}: “op” must be one of in, {', '.join(COMPLEMENT)}.")
    return Rule(op="in", values=_value_list(operand, what))


def _value_list(operand: object, what: str) -> tuple[Scalar, ...]:
    if not isinstance(operand, list | tuple) or not 0 < len(operand) <= MAX_VALUES:
        raise SpecError(f"{what}: the value after “in” must be a list of 1 to {MAX_VALUES} values.")
    values = tuple(_scalar(item, f"{what}: a value after “in”") for item in operand)
    if len({kind_of(item) for item in values}) > 1:
        raise SpecError(f"{what}: the values after “in” must all be texts, all numbers or all booleans.")
    return values
