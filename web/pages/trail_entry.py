"""One entry of the trail as its page shows it: who, what, when, why, what changed, and what proves it."""

import json
import re
from typing import Any, Final

from django.urls import reverse

from access import reads
from audit.actors import Actor
from audit.queries import Entry, length_of, neighbours
from web.pages import entries
from web.pages.context import fresh_standing, url_or_none
from web.pages.names import Names, names_of
from web.pages.trail_logs import LOG_WORDS

# Where a leaf keeps digests of personal values, and how the paths of their openings begin.
_PLACES: Final = (("actor", "actor/"), ("request", "request/"), ("change", "change/"), ("", ""))
_PLACE_WORDS: Final = {
    "actor": "who acted",
    "request": "where the request came from",
    "change": "what was said with it",
    "": "the reason given",
}
_DIGEST: Final = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_PATH_WORDS: Final = {"actor/name": "Name", "request/ip": "Address"}


def entry_context(by: Actor, entry: Entry) -> dict[str, Any]:
    """Everything the page of an entry shows to this reader."""
    names = names_of(entries.accounts_in([entry]))
    before, after = neighbours(entry)
    return {
        "entry": entry,
        "heading": entries.sentence(entry, names),
        "outcome": entries.outcome_value(entry),
        "breadcrumb": [{"label": "Trail", "url": reverse("trail")}, {"label": place_words(entry)}],
        "reason": str(entry.disclosed.get("reason", "")),
        "facts": _facts(entry, names),
        "proof": _proof(entry),
        "diff": diff(entry),
        "private": _private(entry),
        "closed": _closed(entry, may_see_all=reads.openings(by) is None),
        "leaf": entry.leaf_data.decode("utf-8", "replace"),
        "page": _beside(entry, before, after),
    }


def place_words(entry: Entry) -> str:
    return "Not sequenced yet" if entry.index is None else f"Entry {entry.index:,}"


def _facts(entry: Entry, names: Names) -> list[dict[str, Any]]:
    leaf = entry.leaf
    target = leaf["object"]
    life = {"url": _life_url(entry), "text": _object(target)} if leaf["log"] == "admin" else {"text": _object(target)}
    facts: list[dict[str, Any]] = [
        {"term": "Who", "value": {"text": entries.who(entry, names), "note": _auth(leaf["actor"])}},
        {"term": "When", "value": {"when": entry.recorded_at, "note": leaf["time"]}},
        {"term": "Act", "value": leaf["action"]},
        {"term": "Outcome", "value": entries.outcome_value(entry)},
        {"term": "On", "value": life},
    ]
    if page_url := entries.object_page(entry):
        facts.append({"term": "Its page", "value": {"url": page_url, "text": "Open"}})
    if leaf.get("reason_code"):
        facts.append({"term": "Reason code", "value": leaf["reason_code"]})
    if leaf.get("policy"):
        facts.append({"term": "Policy", "value": f"“{leaf['policy'].get('id')}”, revision {leaf['policy'].get('rev')}"})
    facts.append({"term": "Request", "value": leaf.get("request", {}).get("id") or "–"})
    return facts


def _auth(actor: dict[str, Any]) -> str:
    how = actor.get("auth", "unknown")
    return "" if actor["type"] in {"system", "anonymous"} else f"signed in by {how}"


def _object(target: dict[str, Any]) -> str:
    kind = entries.OBJECTS.get(target["type"], target["type"].replace("_", " "))
    return f"{kind} {target['id']}"


def _life_url(entry: Entry) -> str:
    target = entry.leaf["object"]
    return url_or_none("trail-object", target["type"], target["id"]) or ""


def _proof(entry: Entry) -> list[dict[str, Any]]:
    leaf = entry.leaf
    log = leaf["log"]
    chain = leaf["object"]
    facts: list[dict[str, Any]] = [
        {"term": "Log", "value": {"url": f"{reverse('trail-logs')}#{log}", "text": LOG_WORDS[log]}},
        {"term": "Place", "value": _place(entry)},
        {
            "term": "Leaf hash",
            "value": {"digest": entry.leaf_hash, "note": "SHA-256 of 0x00 and the bytes of the leaf"},
        },
    ]
    if chain.get("n"):
        length = length_of(chain["type"], chain["id"])
        facts.append({"term": "Of its object", "value": f"number {chain['n']:,} of {max(length, chain['n']):,}"})
        first = "nothing: it is the first"
        facts.append({"term": "Follows", "value": {"digest": chain["prev"]} if chain.get("prev") else first})
    facts.append({"term": "Pseudonym", "value": leaf["actor"]["ref"]})
    facts.append({"term": "Proof file", "value": _proof_file(entry)})
    return facts


def _place(entry: Entry) -> str:
    return "not sequenced yet" if entry.index is None else f"{entry.index:,}"


def _proof_file(entry: Entry) -> dict[str, str]:
    """Where its ``.tlog-proof`` is; an entry that is not signed yet has none."""
    log = entry.leaf["log"]
    signed = fresh_standing(log).signed_size
    if entry.index is None or entry.index >= signed:
        return {"text": "not signed yet", "note": "A signature follows within a second; load the page again."}
    url = url_or_none("log:proof", log, str(entry.index))
    words = {"text": f"{entry.index}.tlog-proof", "note": "the entry's path to the signed root, with the checkpoint"}
    return words | ({"url": url} if url else {})


def _beside(entry: Entry, before: object, after: object) -> dict[str, str]:
    """Links to the entries before and after it in the log."""
    if entry.index is None:
        return {"summary": "It has no place in the log yet."}
    return {
        "summary": f"{place_words(entry)} of “{LOG_WORDS[entry.leaf['log']]}”",
        "previous_url": reverse("trail-entry", args=[before]) if before else "",
        "previous_label": f"Entry {entry.index - 1:,}",
        "next_url": reverse("trail-entry", args=[after]) if after else "",
        "next_label": f"Entry {entry.index + 1:,}",
    }


# -- what changed ----------------------------------------------------------------------------------------------------


def diff(entry: Entry) -> dict[str, Any]:
    """The fields of an entry before and after: changed and added and removed ones first, unchanged ones last."""
    change = entry.leaf.get("change") or {}
    before, after = change.get("before") or {}, change.get("after") or {}
    rows = [_row(name, before, after) for name in dict.fromkeys([*before, *after])]
    rows.sort(key=lambda row: row["kind"] == "same")
    return {"rows": rows, "two": bool(before), "label": change.get("on", "")}


_KINDS: Final = {"changed": "Changed", "added": "Added", "removed": "Removed", "same": "As before"}


def _row(name: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    if name not in before:
        kind = "added"
    elif name not in after:
        kind = "removed"
    else:
        kind = "same" if before[name] == after[name] else "changed"
    return {
        "field": name.replace("_", " "),
        "kind": kind,
        "word": _KINDS[kind],
        "before": _value(before, name),
        "after": _value(after, name),
    }


def _value(side: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A value as text; lists and objects as JSON laid out, and None where there is none."""
    if name not in side:
        return None
    value = side[name]
    if isinstance(value, str):
        return {"text": value, "empty": value == "", "digest": _DIGEST.fullmatch(value) is not None}
    if isinstance(value, dict | list):
        return {"text": json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True), "code": True}
    if value is None or isinstance(value, bool):
        return {"text": "nothing" if value is None else "yes" if value else "no"}
    return {"text": str(value)}


# -- personal values -------------------------------------------------------------------------------------------------


def _private(entry: Entry) -> list[dict[str, Any]]:
    """The openings this reader may see; the reason stands on top of the page."""
    return [
        {"term": _PATH_WORDS.get(path) or _last(path), "value": {"text": str(value), "note": path}}
        for path, value in sorted(entry.disclosed.items())
        if path != "reason"
    ]


def _last(path: str) -> str:
    return path.rpartition("/")[2].replace("_", " ").capitalize()


def _closed(entry: Entry, *, may_see_all: bool) -> list[str]:
    """Digests in the leaf that nothing here opens: erased, or not for this reader."""
    found = []
    for place, start in _PLACES:
        holder = entry.leaf if place == "" else entry.leaf.get(place) or {}
        digests = len(holder.get("_sd") or [])
        opened = sum(_belongs(path, start) for path in entry.disclosed)
        if digests > opened:
            what = f"{_PLACE_WORDS[place]}{'' if digests - opened == 1 else f' ({digests - opened} values)'}"
            found.append(f"{what}: {'erased' if may_see_all else 'erased or withheld from your role'}")
    return found


def _belongs(path: str, start: str) -> bool:
    return path.startswith(start) if start else "/" not in path
