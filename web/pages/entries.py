"""Trail entries as sentences people read: who did what on what, how it came out, what changed."""

import json
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

from django.urls import reverse

from audit.events import WORDS, Action
from audit.queries import Entry
from web.pages.context import url_or_none
from web.pages.names import GONE, Names

# The verbs of ``audit.events.WORDS`` in the past: "see" and "saw" have no rule in common. A test holds it complete.
PAST: Final = {
    "add": "added",
    "apply": "applied",
    "approve": "approved",
    "ask": "asked",
    "attach": "attached",
    "bring": "brought",
    "cancel": "cancelled",
    "change": "changed",
    "check": "checked",
    "close": "closed",
    "create": "created",
    "decide": "decided",
    "delete": "deleted",
    "discover": "discovered",
    "drop": "dropped",
    "edit": "edited",
    "end": "ended",
    "erase": "erased",
    "execute": "executed",
    "export": "exported",
    "file": "filed",
    "give": "gave",
    "grant": "granted",
    "have": "had",
    "link": "linked",
    "move": "moved",
    "name": "named",
    "note": "noted",
    "pin": "pinned",
    "raise": "raised",
    "read": "read",
    "record": "recorded",
    "refuse": "refused",
    "register": "registered",
    "remove": "removed",
    "rename": "renamed",
    "reopen": "reopened",
    "request": "requested",
    "reset": "reset",
    "retire": "retired",
    "revoke": "revoked",
    "see": "saw",
    "set": "set",
    "sign": "signed",
    "tag": "tagged",
    "take": "took",
    "test": "tested",
    "verify": "verified",
    "withdraw": "withdrew",
    "write": "wrote",
}
_DECIDED: Final = {
    "APPROVE": "approved a promotion",
    "REQUEST_CHANGES": "requested changes to a promotion",
    "REJECT": "rejected a promotion",
    "COMMENT": "commented on a promotion",
}
OBJECTS: Final = {
    "model_version": "model version",
    "registered_model": "registered model",
    "data_set": "data set",
    "promotion_request": "promotion request",
    "erasure_request": "erasure request",
    "role_grant": "role grant",
    "sign_in_link": "sign-in link",
    "user": "account",
    "group": "group",
    "evidence": "evidence",
    "token": "token",
    "job": "job",
    "grant": "grant",
    "alias": "alias",
    "trail": "the trail",
    "trail_entry": "entry of the trail",
    "log": "log",
}
_TONES: Final = {"success": "none", "denied": "bad", "error": "warn"}
_OUTCOMES: Final = {
    "success": {"status": "DONE", "word": "Done"},
    "denied": {"status": "REFUSED", "word": "Refused"},
    "error": {"status": "ERROR", "word": "Error"},
}
_NO_LABEL: Final = frozenset({"user", "installation", "trail"})


# What turns the direction of writing: inside a sentence it must end with the name it came in.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def isolated(name: str) -> str:
    """A name that cannot reorder the words around it."""
    return f"\u2068{''.join(letter for letter in name if letter not in _TURNING)}\u2069" if _turns(name) else name


def _turns(name: str) -> bool:
    return any(letter in _TURNING or unicodedata.bidirectional(letter) in {"R", "AL"} for letter in name)


def outcome_value(entry: Entry) -> dict[str, str]:
    """How it came out, as a status."""
    return _OUTCOMES.get(entry.leaf["outcome"], {"status": str(entry.leaf["outcome"])})


def accounts_in(entries: Iterable[Entry]) -> set[str]:
    """The accounts whose names the sentences need."""
    found = set()
    for entry in entries:
        if entry.account:
            found.add(entry.account)
        if entry.leaf["object"]["type"] == "user":
            found.add(entry.leaf["object"]["id"])
    return found


def who(entry: Entry, names: Names) -> str:
    """Who acted: a name while it may still be read, else the pseudonym, which is all the log itself holds."""
    actor = entry.leaf["actor"]
    if actor["type"] == "system":
        return "Plimsoll"
    if actor["type"] == "anonymous":
        return "Somebody not signed in"
    known = (names.get(entry.account) if entry.account else None) or entry.disclosed.get("actor/name")
    return isolated(str(known)) if known else f"{actor['ref']} ({GONE})"


def sentence(entry: Entry, names: Names) -> str:
    """``approved a promotion: credit-risk v1 to Production``; a refusal says what was tried."""
    words = act_words(entry)
    what = ", ".join(filter(None, (object_words(entry, names), _role_words(entry))))
    about = f": {what}" if what else ""
    if entry.leaf["outcome"] == "success":
        return f"{words[:1].upper()}{words[1:]}{about}"
    action = _action(entry)
    tried = WORDS[action] if action is not None else entry.leaf["action"]
    return f"Tried to {tried}{about}"


def _action(entry: Entry) -> Action | None:
    try:
        return Action(entry.leaf["action"])
    except ValueError:
        return None  # an entry of a later or earlier release


def act_words(entry: Entry) -> str:
    """What was done, in the past tense."""
    action = _action(entry)
    if action is None:
        return str(entry.leaf["action"])
    after = (entry.leaf.get("change") or {}).get("after") or {}
    if action is Action.PROMOTION_DECIDE and after.get("decision") in _DECIDED:
        return _DECIDED[after["decision"]]
    verb, _, rest = WORDS[action].partition(" ")
    return f"{PAST[verb]} {rest}".rstrip()


def object_words(entry: Entry, names: Names) -> str:
    """What it was done to, by name where it has one."""
    target = entry.leaf["object"]
    label = (entry.leaf.get("change") or {}).get("on")
    if label and target["type"] not in _NO_LABEL:
        return isolated(str(label))
    if target["type"] == "user":
        return isolated(names.get(target["id"], GONE)) if _action(entry) not in _ON_ONESELF else ""
    return "" if target["type"] in _NO_LABEL else OBJECTS.get(target["type"], target["type"].replace("_", " "))


def _role_words(entry: Entry) -> str:
    """Which role was granted, and where: what tells one grant from the next."""
    after = (entry.leaf.get("change") or {}).get("after") or {}
    role, pattern = after.get("role"), after.get("pattern")
    if _action(entry) is not Action.ROLE_GRANT or not isinstance(role, str) or not isinstance(pattern, str):
        return ""
    return f"{role.replace('_', ' ')}{'' if pattern == '*' else f' on {isolated(pattern)}'}"


_ON_ONESELF: Final = frozenset({Action.SESSION_OPEN, Action.SESSION_CLOSE, Action.PASSWORD_CHANGE})


def listed(
    entries: Iterable[Entry], names: Names, *, with_changes: bool = True, numbered: bool = False
) -> list[dict[str, Any]]:
    """Entries for parts/entries.html; a long list leaves what changed to the page of each, one object's life says the
    number of each in its chain.
    """
    return [
        {
            "sentence": sentence(entry, names),
            "who": who(entry, names),
            "when": entry.recorded_at,
            "index": "not sequenced yet" if entry.index is None else f"{entry.index:,}",
            "number": entry.leaf["object"].get("n") if numbered else None,
            "url": reverse("trail-entry", args=[entry.id]),
            "reason": entry.disclosed.get("reason", ""),
            "tone": "ok" if _is_decisive(entry) else _TONES.get(entry.leaf["outcome"], "none"),
            "status": "" if entry.leaf["outcome"] == "success" else outcome_value(entry)["status"],
            "status_word": outcome_value(entry).get("word", ""),
            "changes": changes(entry) if with_changes else [],
        }
        for entry in entries
    ]


def _is_decisive(entry: Entry) -> bool:
    return entry.leaf["outcome"] == "success" and entry.leaf["action"] in {
        Action.PROMOTION_APPLY.value,
        Action.ERASURE_SIGN.value,
    }


def changes(entry: Entry) -> list[dict[str, str]]:
    """Fields with their values before and after."""
    change = entry.leaf.get("change") or {}
    before, after = change.get("before") or {}, change.get("after") or {}
    return [
        {"field": name.replace("_", " "), "before": _text(before.get(name)), "after": _text(after.get(name))}
        for name in dict.fromkeys([*before, *after])
    ]


def _text(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def object_page(entry: Entry) -> str | None:
    """The page of what was acted on, where its id alone leads there."""
    target = entry.leaf["object"]
    name = {"promotion_request": "promotion", "evidence": "evidence", "erasure_request": "erasure-request"}.get(
        target["type"]
    )
    return url_or_none(name, target["id"]) if name else None
