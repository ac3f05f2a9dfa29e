"""How both logs stand: what is signed, by which keys, who outside confirmed it, and what to do when nobody did."""

from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from access import policy
from audit import doctor, published
from audit.events import Action
from audit.standing import Standing, standings
from audit.subjects import TRAIL
from web.pages.context import NOT_WITNESSED, signed_words, url_or_none
from web.pages.guard import actor_of, page

LOG_WORDS: Final = {"admin": "Changes and refusals", "access": "Reads of sensitive things"}
_WHAT: Final = {
    "admin": "Every change and every refusal, written with what it records.",
    "access": "Who looked at evidence, promotions, people, erasure cases and the trail itself.",
}
_ANCHOR_WORDS: Final = {"witness": "witness", "file": "append-only file", "git": "git repository", "webhook": "webhook"}

_MEANS: Final = "Whoever held the database and the signing key could rewrite the log, and nobody could tell."
_NAME_ONE: Final = (
    "Name an anchor that somebody else keeps (a witness, a file on another machine, a git repository, a webhook) in"
    " PLIMSOLL_ANCHORS; until then, export the log now and again and keep the checkpoint yourself."
)
_ASK_THEM: Final = "Anchors are named and none has confirmed the log: the table below says what they answered."


@page(Action.TRAIL_VIEW)
def logs(request: HttpRequest) -> HttpResponse:
    """Both logs."""
    by = actor_of(request)
    policy.require_read(by, Action.TRAIL_VIEW, TRAIL)
    context = {
        "breadcrumb": [{"label": "Trail", "url": reverse("trail")}, {"label": "The logs"}],
        "logs": [_section(each) for each in standings()],
        "alarms": doctor.alarms(),
        "may_export": policy.why_not(by, Action.TRAIL_EXPORT, TRAIL),
    }
    return render(request, "trail/logs.html", context)


def _section(head: Standing) -> dict[str, Any]:
    return {
        "name": head.log,
        "title": LOG_WORDS[head.log],
        "what": _WHAT[head.log],
        "notices": [*_alarms(head), _witness_notice(head)],
        "facts": _facts(head),
        "proof": _proof(head),
        "keys": _keys(head),
        "anchors": _anchors(head),
        "checkpoint": published.newest(head.log).note if head.note else "",
        "checkpoint_url": url_or_none("log:checkpoint", head.log) if head.note else None,
        "search_url": f"{reverse('trail')}?log={head.log}",
    }


# -- notices ---------------------------------------------------------------------------------------------------------


def banner(head: Standing) -> dict[str, str]:
    """What is proven of a log, in one notice: what is wrong before what is missing before what is well."""
    more = {"url": f"{reverse('trail-logs')}#{head.log}", "label": "How the log stands"}
    return next(iter(_alarms(head)), _signed_notice(head)) | more


def _alarms(head: Standing) -> list[dict[str, str]]:
    if not head.overdue:
        return []
    if head.refusal:
        return [{"tone": "bad", "title": "Signing is refused", "sentence": head.refusal}]
    waiting = f"{head.waiting:,} entr{'y' if head.waiting == 1 else 'ies'} without a place" if head.waiting else ""
    unsigned = head.size - head.signed_size
    signature = f"{unsigned:,} without a signature" if unsigned > 0 else ""
    counted = " and ".join(filter(None, (waiting, signature))) or "something without a signature"
    return [
        {
            "tone": "bad",
            "title": "Signing has stopped",
            "sentence": f"Since {_utc(head.waiting_since)} there is {counted}. Nothing is lost, and"
            " nothing newer is proven. Look at the sequencer: whether it runs, and what its log says.",
        }
    ]


def _signed_notice(head: Standing) -> dict[str, str]:
    if head.signed_size == 0:
        return {
            "tone": "warn",
            "title": "Nothing is signed yet",
            "sentence": "The sequencer signs the head of the log a moment after the first entry; if this stays, it is"
            " not running.",
        }
    waiting = head.size - head.signed_size
    later = "1 later entry waits" if waiting == 1 else f"{waiting:,} later entries wait"
    rest = f" {later} for the next signature." if waiting > 0 else ""
    words = signed_words(head)
    start = f"{words[:1].upper()}{words[1:]}"
    if not head.witnessed:
        return {"tone": "warn", "title": f"{start}, UNWITNESSED", "sentence": f"{NOT_WITNESSED}{rest}"}
    return {"tone": "ok", "title": f"{start}, witnessed", "sentence": f"{_confirmed(head)}{rest}"}


def _witness_notice(head: Standing) -> dict[str, str]:
    """The same for the page of the logs, where an UNWITNESSED log also says what that means and what to do."""
    notice = _signed_notice(head)
    if head.signed_size and not head.witnessed:
        todo = _ASK_THEM if head.anchors else _NAME_ONE
        return notice | {"sentence": f"{NOT_WITNESSED} {_MEANS} {todo}"}
    return notice


def _confirmed(head: Standing) -> str:
    """Who confirmed the log, and how far."""
    furthest = head.confirmations[0]
    others = len(head.confirmations) - 1
    more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    if furthest.size >= head.signed_size:
        return f"{furthest.anchor}{more} outside this installation confirmed this checkpoint."
    return f"{furthest.anchor}{more} outside this installation confirmed the first {furthest.size:,} entries."


# -- facts -----------------------------------------------------------------------------------------------------------


def _facts(head: Standing) -> list[dict[str, Any]]:
    signed = f"{head.signed_size:,}" if head.signed_size else "none"
    facts: list[dict[str, Any]] = [
        {"term": "Entries", "value": f"{head.size:,}"},
        {"term": "Signed", "value": {"text": signed, "note": _unsigned(head)}},
        {"term": "Last signature", "value": {"when": head.signed_at} if head.signed_at else "none yet"},
        {"term": "Last hourly tick", "value": _tick(head)},
        {"term": "Oldest entry held", "value": {"when": head.oldest_at} if head.oldest_at else "none yet"},
    ]
    if head.minimum_index:
        note = "earlier ones were dropped when their time was over; their hashes remain"
        facts.append({"term": "Held from entry", "value": {"text": f"{head.minimum_index:,}", "note": note}})
    return facts


def _unsigned(head: Standing) -> str:
    if head.waiting_since is None:
        return "nothing waits"
    return f"unsigned entries wait since {_utc(head.waiting_since)}"


def _utc(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def _tick(head: Standing) -> dict[str, Any] | str:
    if head.tick is None:
        return "none yet"
    return {"when": head.tick.at, "note": "" if head.tick.index is None else f"entry {head.tick.index:,}"}


def _proof(head: Standing) -> list[dict[str, Any]]:
    return [
        {"term": "Origin", "value": head.origin},
        {"term": "Root", "value": {"digest": head.root} if head.root else "nothing signed yet"},
        {"term": "Confirmed to", "value": _furthest(head)},
    ]


def _furthest(head: Standing) -> dict[str, Any] | str:
    if not head.confirmations:
        return "nobody outside has confirmed it"
    furthest = head.confirmations[0]
    return {"text": f"entry {furthest.size - 1:,}", "note": f"by {furthest.anchor}"}


def _keys(head: Standing) -> dict[str, Any]:
    return {
        "id": f"{head.log}-keys",
        "caption": "Keys",
        "caption_hidden": True,
        "columns": [
            {"label": "Key and fingerprint"},
            {"label": "Signs from size", "right": True},
            {"label": "To", "right": True},
        ],
        "rows": [
            [
                {"text": each.key_id, "note": each.fingerprint},
                {"text": f"{each.from_size:,}", "right": True},
                {"text": "in use" if each.to_size is None else f"{each.to_size:,}", "right": True},
            ]
            for each in head.keys
        ],
        "empty": {"title": "No key yet", "sentence": "The sequencer makes the first one when it first starts."},
    }


def _anchors(head: Standing) -> dict[str, Any]:
    confirmed = {each.anchor: each for each in head.confirmations}
    wrong = {each.anchor: each.sentence for each in head.troubles}
    return {
        "id": f"{head.log}-anchors",
        "caption": "Anchors",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Anchor", "Kind", "Confirmed", "When")],
        "rows": [
            [
                {"text": name, "note": wrong.get(name, "")},
                {"text": _ANCHOR_WORDS.get(kind, kind)},
                {"text": f"{confirmed[name].size:,} entries" if name in confirmed else "nothing yet"},
                {"when": confirmed[name].at} if name in confirmed else {"text": "–"},
            ]
            for name, kind in head.anchors
        ],
        "empty": {
            "title": "No anchor",
            "sentence": "Outside parties that confirm the log appear here once PLIMSOLL_ANCHORS names them.",
        },
    }
