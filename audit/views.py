"""Views of entries for reading and for other systems: CSV, OCSF and CloudEvents, one line per entry.

Mapped out of the leaf, never hashed, marked as not authoritative. Parsing a million leaves as JSON would take longer
than exporting them, so those of the usual form are cut up by one expression: RFC 8785 sorts the keys and escapes every
quote inside a string, so `","log":"` can only stand between two members. A leaf of another form, one that holds what
needs escaping, and one that was changed is parsed; both ways give the same line. OCSF is version 1.3.0, class 3004;
CloudEvents is 1.0 in its JSON format.
"""

import base64
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final, cast

from audit.step import HASH, Step

COLUMNS: Final = (
    "index", "time", "log", "id", "action", "outcome", "actor_type", "actor_ref",
    "object_type", "object_id", "object_n", "reason_code", "leaf_hash", "authoritative",
)  # fmt: skip
# view → the member of the bundle it stands in
FILES: Final = {"csv": "events.csv", "ocsf": "events.ocsf.ndjson", "cloudevents": "events.cloudevents.ndjson"}
OCSF_VERSION: Final = "1.3.0"
EVENT_TYPE: Final = "org.plimsoll.audit."  # and the action

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_ACTIVITIES: Final[dict[str, int]] = {
    **dict.fromkeys(("create", "file", "request", "open", "attach", "pin", "link", "grant", "discover"), 1),
    **dict.fromkeys(("view", "read", "export", "verify"), 2),
    **dict.fromkeys(("update", "rename", "tag", "set", "transition_stage", "apply", "rotate", "write"), 3),
    **dict.fromkeys(("delete", "revoke", "close", "withdraw", "cancel", "erase", "prune", "retire"), 4),
}
_OTHER_ACTIVITY: Final = 99
_USER_TYPES: Final = {"user": 1, "system": 3}  # OCSF's enumeration of user.type_id; 99 is another kind
# What means the same in CSV, in JSON and in a spreadsheet.
_WORD: Final = r"[A-Za-z0-9_][A-Za-z0-9_.:/@ -]*+"
_PLAIN: Final = re.compile(_WORD)
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
_PLAIN_LINES: Final = re.compile(rf"(?:{_WORD}\n{_WORD}\n{_WORD}\n{_TIME}\n)*+")
_OF_HOUR: Final = {f"{second // 60:02}:{second % 60:02}": second * 1000 for second in range(3600)}
# A leaf of the usual form: action, pseudonym and kind of the actor, id, log, id, number and type of the object,
# outcome, reason code, time.
_STRING: Final = r'([^"]*)'
_DIGESTS: Final = r'(?:"_sd":\[[^\]]*\],)?'
_LEAF: Final = re.compile(
    rf'^\{{{_DIGESTS}"action":"{_STRING}",'
    rf'"actor":\{{{_DIGESTS}"auth":"[^"]*","ref":"{_STRING}","type":"{_STRING}"\}},"change":.*?'
    rf'"id":"{_STRING}","log":"{_STRING}","object":\{{"id":"{_STRING}"(?:,"n":([0-9]+),"prev":[^,]*)?,'
    rf'"type":"{_STRING}"\}},"outcome":"{_STRING}",(?:"policy":\{{[^}}]*\}},)?(?:"reason_code":"{_STRING}",)?'
    rf'"request":\{{{_DIGESTS}"id":"[^"]*"\}},"time":"([^"]{{26}}Z)","v":[0-9]+\}}$',
    re.MULTILINE,
)
_SHAPE: Final = itemgetter(0, 2, 4, 7, 8, 9)


Fields = tuple[str, ...]  # the groups of _LEAF
Line = tuple[int, str, str, Fields, Fields]  # index, leaf hash in hex, leaf, fields, constant text of its OCSF line
Event = dict[str, Any]


class Views:
    """Writes the chosen views of the entries of one log; ``origin`` is the log's name to the world."""

    def __init__(self, log: str, origin: str, chosen: Iterable[str], version: str) -> None:
        self._log = log
        self._origin = origin
        self._chosen = [name for name in sorted(FILES) if name in set(chosen)]
        self._product = {"name": "Plimsoll", "vendor_name": "Plimsoll", "version": version}
        self._shapes: dict[Fields, Fields | None] = {}
        self._hours = _Hours()

    def files(self) -> list[str]:
        """The members of the bundle that the views are."""
        return [FILES[name] for name in self._chosen]

    def opening(self) -> dict[str, bytes]:
        """What stands before the first entry."""
        return {FILES["csv"]: _csv_row(COLUMNS)} if "csv" in self._chosen else {}

    def of(self, step: Step) -> dict[str, bytes]:
        """The lines of some entries, by the file they belong to. An entry whose event is gone has none."""
        if not self._chosen:
            return {}
        marks = step.hashes.hex("\n", HASH).split("\n")
        usual = None if step.gone or step.changed else self._usual(step, marks)
        if usual is not None:
            return {FILES[name]: "".join(self._written(name, usual)).encode() for name in self._chosen}
        there = [position for position in range(len(step.indices)) if position not in step.gone]
        parts: dict[str, list[bytes]] = {FILES[name]: [] for name in self._chosen}
        for position, leaf in zip(there, step.lines.split(b"\n"), strict=False):
            for file, line in self._one(step.indices[position], marks[position], leaf).items():
                parts[file].append(line)
        return {file: b"".join(found) for file, found in parts.items()}

    def _usual(self, step: Step, marks: Sequence[str]) -> list[Line] | None:
        """All entries of a step, when none of them needs to be parsed."""
        try:
            text = step.lines.decode()
        except UnicodeDecodeError:
            return None
        found: list[Fields] = _LEAF.findall(text)
        if len(found) != len(step.indices):
            return None
        return self._lines(step.indices, marks, text.split("\n"), found)

    def _lines(
        self, indices: Sequence[int], marks: Sequence[str], leaves: Sequence[str], found: list[Fields]
    ) -> list[Line] | None:
        """Lines, when no field of any of them needs escaping; what many entries share is looked at once."""
        shapes = list(map(_SHAPE, found))
        if len(self._shapes) > 10_000:
            self._shapes.clear()
        known = self._shapes
        for shape in set(shapes):
            if shape not in known:
                self._learn(shape)
            if known[shape] is None:
                return None
        if not _PLAIN_LINES.fullmatch("".join([f"{each[1]}\n{each[3]}\n{each[5]}\n{each[10]}\n" for each in found])):
            return None
        constant = cast("list[Fields]", [known[shape] for shape in shapes])
        return list(zip(indices, marks, leaves, found, constant, strict=False))

    def _learn(self, shape: Fields) -> None:
        *words, reason = shape
        plain = all(_PLAIN.fullmatch(word) for word in words) and (not reason or _PLAIN.fullmatch(reason))
        self._shapes[shape] = self._ocsf_parts(shape) if plain and shape[2] == self._log else None

    def _one(self, index: int, mark: str, leaf: bytes) -> dict[str, bytes]:
        text = leaf.decode("utf-8", "replace")
        match = _LEAF.fullmatch(text)
        if match is not None and sha256(b"\x00" + leaf).hexdigest() == mark:
            line = self._lines([index], [mark], [text], [match.groups("")])
            if line is not None:
                return {FILES[name]: self._written(name, line)[0].encode() for name in self._chosen}
        event = _event(leaf)
        return {FILES[name]: self._parsed(name, index, mark, leaf, event) for name in self._chosen}

    def _written(self, name: str, lines: list[Line]) -> list[str]:
        return {"csv": self._csv, "ocsf": self._ocsf, "cloudevents": self._cloudevents}[name](lines)

    def _parsed(self, name: str, index: int, mark: str, leaf: bytes, event: Event) -> bytes:
        parsed = {"csv": self._csv_parsed, "ocsf": self._ocsf_parsed, "cloudevents": self._cloudevents_parsed}
        return parsed[name](index, mark, leaf, event)

    # -- CSV

    def _csv(self, lines: list[Line]) -> list[str]:
        return [
            f"{index},{time},{log},{uid},{action},{outcome},{kind},{ref},{object_type},{object_id},{n},{reason},{mark},no\r\n"
            for index, mark, _, (
                action,
                ref,
                kind,
                uid,
                log,
                object_id,
                n,
                object_type,
                outcome,
                reason,
                time,
            ), _ in lines
        ]

    def _csv_parsed(self, index: int, mark: str, leaf: bytes, event: Event) -> bytes:
        actor, subject = _mapping(event.get("actor")), _mapping(event.get("object"))
        return _csv_row(
            (
                index,
                *(event.get(name) for name in ("time", "log", "id", "action", "outcome")),
                *(actor.get(name) for name in ("type", "ref")),
                *(subject.get(name) for name in ("type", "id", "n")),
                event.get("reason_code"),
                mark,
                "no",
            )
        )

    # -- OCSF: class 3004 with all of its required attributes and those recommended ones that we know

    def _ocsf(self, lines: list[Line]) -> list[str]:
        hours = self._hours
        return [
            f"{parts[0]}{fields[1]}{parts[1]}{fields[5]}{parts[2]}{(time := fields[10])}{parts[3]}{index}{parts[4]}"
            f"{fields[3]}{parts[5]}{hours[time[:13]] + _OF_HOUR[time[14:19]] + int(time[20:23])}{parts[6]}{mark}"
            f"{parts[7]}"
            for index, mark, _, fields, parts in lines
        ]

    def _ocsf_parsed(self, index: int, mark: str, leaf: bytes, event: Event) -> bytes:
        actor, subject = _mapping(event.get("actor")), _mapping(event.get("object"))
        time = _text(event.get("time"))
        words = (event.get("action"), actor.get("type"), event.get("log"), subject.get("type"), event.get("outcome"))
        found = self._ocsf_event(
            tuple(map(_text, (*words, event.get("reason_code")))), ref=_text(actor.get("ref")), time=time, index=index,
            object_id=_text(subject.get("id")), uid=_text(event.get("id")), milliseconds=_milliseconds(time), mark=mark,
        )  # fmt: skip
        return _json(found) + b"\n"

    def _ocsf_parts(self, shape: Fields) -> Fields:
        """The constant text around the values of a line."""
        found = self._ocsf_event(
            shape, ref="\x01", object_id="\x02", time="\x03", index=-4, uid="\x05", milliseconds=-6, mark="\x07"
        )
        text = _json(found).decode()
        return tuple(re.split(r"\\u000[12357]|-4|-6", text[:-1] + "}\n"))

    def _ocsf_event(
        self, shape: Fields, *, ref: str, object_id: str, time: str, index: int, uid: str, milliseconds: int, mark: str
    ) -> dict[str, Any]:
        action, kind, _, object_type, outcome, reason = shape
        activity = _ACTIVITIES.get(action.rpartition(".")[2], _OTHER_ACTIVITY)
        succeeded = outcome == "success"
        return {
            "activity_id": activity,
            **({"activity_name": action} if activity == _OTHER_ACTIVITY else {}),
            "actor": {"user": {"type": kind, "type_id": _USER_TYPES.get(kind, 99), "uid": ref}},
            "category_uid": 3,
            "class_uid": 3004,
            "entity": {"type": object_type, "type_id": 99, "uid": object_id},
            "metadata": {
                "event_code": action,
                "log_name": self._origin,
                "original_time": time,
                "product": self._product,
                "sequence": index,
                "uid": uid,
                "version": OCSF_VERSION,
            },
            "severity_id": 1,
            "status": "Success" if succeeded else "Failure",
            **({"status_code": reason} if reason else {}),
            "status_id": 1 if succeeded else 2,
            "time": milliseconds,
            "type_uid": 300_400 + activity,
            "unmapped": {"authoritative": False, "leaf_hash": mark},
        }

    # -- CloudEvents: the leaf itself is the data, byte for byte

    def _cloudevents(self, lines: list[Line]) -> list[str]:
        source = json.dumps(self._origin, ensure_ascii=False)
        return [
            f'{{"specversion":"1.0","id":"{fields[3]}","source":{source},"type":"{EVENT_TYPE}{fields[0]}",'
            f'"subject":"{fields[7]}/{fields[5]}","time":"{fields[10]}","datacontenttype":"application/json",'
            f'"authoritative":false,"leafhash":"{mark}","sequence":"{index:016}","data":{leaf}}}\n'
            for index, mark, leaf, fields, _ in lines
        ]

    def _cloudevents_parsed(self, index: int, mark: str, leaf: bytes, event: Event) -> bytes:
        subject = _mapping(event.get("object"))
        told = {
            "specversion": "1.0",
            "id": _text(event.get("id")) or str(index),
            "source": self._origin,
            "type": EVENT_TYPE + (_text(event.get("action")) or "unreadable"),
            "subject": f"{_text(subject.get('type'))}/{_text(subject.get('id'))}",
            **({"time": event["time"]} if _milliseconds(_text(event.get("time"))) else {}),
            "datacontenttype": "application/json" if event else "application/octet-stream",
            "authoritative": False,
            "leafhash": mark,
            "sequence": f"{index:016}",
        }
        if event:
            return _json(told)[:-1] + b',"data":' + leaf + b"}\n"
        return _json(told | {"data_base64": base64.b64encode(leaf).decode()}) + b"\n"


class _Hours(dict[str, int]):
    """The milliseconds at which an hour like ``2026-11-22T14`` begins."""

    def __missing__(self, hour: str) -> int:
        if len(self) > 100_000:
            self.clear()
        self[hour] = _milliseconds(f"{hour}:00:00Z")
        return self[hour]


def _event(leaf: bytes) -> Event:
    """The leaf as JSON; nothing at all when it is none."""
    try:
        return _mapping(json.loads(leaf))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")  # a damaged leaf may hold half a surrogate pair


def _milliseconds(time: str) -> int:
    """Milliseconds since 1970; 0 for what is no time."""
    try:
        instant = datetime.fromisoformat(time)
        since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return 0
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _csv_row(values: Iterable[object]) -> bytes:
    row = io.StringIO()
    csv.writer(row).writerow([_cell(value) for value in values])
    return row.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> str:
    """Spreadsheets run a cell that looks like a formula; a leading apostrophe makes it text."""
    text = _text(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text
