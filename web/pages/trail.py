"""The trail: find entries, read one, follow one object, see how far the log is signed, take an export away."""

import json
import tempfile
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.http import FileResponse, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import get_current_timezone

from access import policy
from access.queries import user_by_name
from audit import export, queries
from audit.errors import DomainError, Invalid, NotFound, Unavailable
from audit.events import LOGS, WORDS, Action
from audit.queries import Entry, Filter, State
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages import entries, paging
from web.pages.context import NOT_WITNESSED, fresh_state, is_witnessed, signed_words
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.names import names_of

_LOGS: Final = {"admin": "Changes and refusals", "access": "Reads of sensitive things"}
_OUTCOMES: Final = {"": "any", "success": "done", "denied": "refused", "error": "error"}
_ACTIONS: Final = [("", "any"), *sorted(((action.value, WORDS[action]) for action in Action), key=lambda pair: pair[1])]
_WRONG_DATE: Final = "Enter a date like 2026-03-09."


class FilterForm(PageForm):
    """What an auditor looks for. Empty fields match everything; values no entry has are refused by the query."""

    log = TextField(label="Log", required=False, widget=forms.Select(choices=[(log, _LOGS[log]) for log in LOGS]))
    action = TextField(label="Act", required=False, widget=forms.Select(choices=_ACTIONS))
    outcome = TextField(label="Outcome", required=False, widget=forms.Select(choices=list(_OUTCOMES.items())))
    person = TextField(label="Person", required=False, widget=forms.TextInput(attrs={"placeholder": "user name"}))
    object_type = TextField(label="Kind of object", required=False, widget=forms.Select)
    object_id = TextField(label="Object id", required=False)
    since = forms.DateField(
        label="From",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": _WRONG_DATE},
    )
    until = forms.DateField(
        label="Until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": _WRONG_DATE},
    )

    def __init__(self, data: QueryDict | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        sent = "" if data is None else data.get("object_type", "")
        kinds = {"": "any", **entries.OBJECTS, "evidence": "evidence", "token": "token", "trail": "the trail"}
        if sent and isinstance(sent, str):
            kinds.setdefault(sent, sent)  # a link may name a kind that has no words
        self.fields["object_type"].widget.choices = list(kinds.items())

    def chosen(self) -> Filter:
        """The filter that was asked for. Raises Invalid or NotFound (an unknown person)."""
        values = self.cleaned_data
        person = values["person"]
        made = Filter(
            log=values["log"] or "admin",
            action=values["action"],
            outcome=values["outcome"],
            object_type=values["object_type"],
            object_id=values["object_id"],
            account=str(user_by_name(person).pk) if person else "",
            since=_midnight(values["since"]),
            until=_midnight(values["until"], days=1),
        )
        made.check()
        return made


def _midnight(day: date | None, days: int = 0) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime.combine(day + timedelta(days=days), time.min, tzinfo=get_current_timezone())
    except OverflowError:
        raise Invalid("The period ends beyond the calendar.", code="bad_filter") from None


@page(Action.TRAIL_VIEW)
def search(request: HttpRequest) -> HttpResponse:
    """Entries that match, newest first, under what is proven of them."""
    policy.require_read(actor_of(request), Action.TRAIL_VIEW, TRAIL)
    return _search(request, FilterForm(request.GET), request.GET.get("after", ""))


def _search(
    request: HttpRequest, form: FilterForm, after: str = "", refused: DomainError | None = None
) -> HttpResponse:
    """The page; a filter that cannot match, or an export that was refused, is said on top."""
    status, found, chosen = 200, None, Filter()
    try:
        if not form.is_valid():
            status = 400
        else:
            chosen = form.chosen()
            found = queries.search(chosen, after)
    except (Invalid, NotFound) as error:
        form.refused(error, "person" if isinstance(error, NotFound) else None)
        status = 400
    if refused is not None:
        form.refused(refused)
        status = int(face_of(refused).status)
    rows = found.entries if found else []
    log = chosen.log
    context = {
        "form": form,
        "entries": entries.listed(rows, names_of(entries.accounts_in(rows)), with_changes=False),
        "empty": _EMPTY,
        "banner": banner(fresh_state(log)),
        "page": paging.links(request, _summary(rows), found.after if found else ""),
        "may_export": policy.why_not(actor_of(request), Action.TRAIL_EXPORT, TRAIL),
        "export_words": _export_words(chosen),
        "hidden": {name: value for name, value in form.data.items() if name in form.fields and value},
        "narrowed": not chosen.is_whole_log(),
    }
    return render(request, "trail/search.html", context, status=status)


_EMPTY: Final = {
    "title": "No entry matches",
    "sentence": "Every sign-in, change, decision and refusal is recorded here as it happens. Widen the filter to see"
    " more.",
}


def _summary(rows: list[Entry]) -> str:
    if not rows:
        return "No entries"
    return f"{len(rows)} entr{'y' if len(rows) == 1 else 'ies'} on this page, newest first"


def _export_words(chosen: Filter) -> str:
    if chosen.is_whole_log():
        return "The whole log as a ZIP with its proofs and its verifier: it shows that nothing is missing."
    return "What matches, as a ZIP with proofs and verifier: it shows that each entry is in the log, not that all are."


def banner(head: State) -> dict[str, str]:
    """What is proven of this log, with its scope."""
    if head.signed_size == 0:
        return {
            "tone": "warn",
            "title": "Nothing is signed yet",
            "sentence": "The sequencer signs the head of the log a moment after the first entry; if this stays, it is"
            " not running.",
        }
    waiting = head.size - head.signed_size
    rest = f" {waiting:,} later entries wait for the next signature." if waiting > 0 else ""
    words = signed_words(head)
    if is_witnessed(head):
        return {
            "tone": "ok",
            "title": f"{words[:1].upper()}{words[1:]}, witnessed",
            "sentence": f"A party outside has countersigned this checkpoint.{rest}",
        }
    return {
        "tone": "info",
        "title": f"{words[:1].upper()}{words[1:]}, UNWITNESSED",
        "sentence": f"{NOT_WITNESSED} Export the log and verify it with a key you got another way.{rest}",
    }


@page(Action.TRAIL_VIEW)
def one(request: HttpRequest, entry_id: str) -> HttpResponse:
    """One entry: in words, as it was signed, and where it stands."""
    policy.require_read(actor_of(request), Action.TRAIL_VIEW, TRAIL)
    entry = queries.entry(uuid_of(entry_id))
    names = names_of(entries.accounts_in([entry]))
    context = {
        "entry": entry,
        "heading": entries.sentence(entry, names),
        "outcome": entries.outcome_value(entry),
        "breadcrumb": [{"label": "Trail", "url": reverse("trail")}, {"label": _place(entry)}],
        "facts": _facts(entry, entries.who(entry, names)),
        "proof": _proof(entry),
        "changes": entries.changes(entry),
        "disclosed": [{"term": path, "value": {"text": str(value)}} for path, value in sorted(entry.disclosed.items())],
        "leaf": json.dumps(entry.leaf, indent=2, ensure_ascii=False, sort_keys=True),
    }
    return render(request, "trail/entry.html", context)


def _place(entry: Entry) -> str:
    return "Entry not sequenced yet" if entry.index is None else f"Entry {entry.index:,}"


def _facts(entry: Entry, who: str) -> list[dict[str, Any]]:
    leaf = entry.leaf
    target = leaf["object"]
    page_url = entries.object_page(entry)
    life = reverse("trail-object", args=[target["type"], target["id"]])
    facts: list[dict[str, Any]] = [
        {"term": "Who", "value": {"text": who, "note": f"signed in by {leaf['actor'].get('auth', 'unknown')}"}},
        {"term": "When", "value": {"when": entry.recorded_at}},
        {"term": "Act", "value": leaf["action"]},
        {"term": "Outcome", "value": entries.outcome_value(entry)},
        {"term": "On", "value": {"url": life, "text": f"{target['type'].replace('_', ' ')} {target['id']}"}},
    ]
    if page_url:
        facts.append({"term": "Its page", "value": {"url": page_url, "text": "Open"}})
    if leaf.get("reason_code"):
        facts.append({"term": "Reason code", "value": leaf["reason_code"]})
    if entry.disclosed.get("reason"):
        facts.append({"term": "Reason given", "value": {"text": str(entry.disclosed["reason"])}})
    if leaf.get("policy"):
        facts.append({"term": "Policy", "value": f"“{leaf['policy'].get('id')}”, revision {leaf['policy'].get('rev')}"})
    return facts


def _proof(entry: Entry) -> list[dict[str, Any]]:
    leaf = entry.leaf
    number = leaf["object"].get("n")
    place = "not sequenced yet" if entry.index is None else f"{entry.index:,} in the log “{leaf['log']}”"
    return [
        {"term": "Place", "value": place},
        {
            "term": "Leaf hash",
            "value": {"digest": entry.leaf_hash, "note": "SHA-256 of 0x00 and the bytes of the leaf"},
        },
        {"term": "Of its object", "value": f"entry number {number}" if number else "not numbered"},
        {"term": "Pseudonym", "value": leaf["actor"]["ref"]},
        {"term": "Request", "value": leaf.get("request", {}).get("id") or "–"},
    ]


@page(Action.TRAIL_VIEW)
def life(request: HttpRequest, object_type: str, object_id: str) -> HttpResponse:
    """Everything recorded of one object, oldest first."""
    policy.require_read(actor_of(request), Action.TRAIL_VIEW, TRAIL)
    rows = queries.life_of(object_type, object_id)
    if not rows:
        raise NotFound("Nothing is recorded of such an object.")
    names = names_of(entries.accounts_in(rows))
    kind = entries.OBJECTS.get(object_type, object_type.replace("_", " "))
    label = next((entries.object_words(row, names) for row in reversed(rows) if entries.object_words(row, names)), kind)
    context = {
        "heading": label,
        "breadcrumb": [{"label": "Trail", "url": reverse("trail")}, {"label": f"{kind} {object_id[:8]}…"}],
        "lede": f"Everything recorded of this {kind}, oldest first.",
        "entries": entries.listed(rows, names),
        "is_cut": len(rows) == 200,
    }
    return render(request, "trail/object.html", context)


@page(Action.TRAIL_EXPORT, "POST")
def take_export(request: HttpRequest) -> HttpResponseBase:
    """The export as a file. It is written to disk first: a bundle that fails half-way must not look like one."""
    form = FilterForm(request.POST)
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it when it is sent
    try:
        if not form.is_valid():
            raise Invalid("The filter of this export cannot be read; choose it again.", code="bad_filter")
        made = export.export(by=actor_of(request), chosen=form.chosen(), out=out)
    except (Invalid, NotFound, Unavailable) as error:
        out.close()
        policy.require_read(actor_of(request), Action.TRAIL_VIEW, TRAIL)
        return _search(request, form, refused=error)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    name = f"plimsoll-trail-{form.cleaned_data['log'] or 'admin'}-{made.size}.zip"
    response = FileResponse(out, as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "no-store"
    response["Digest"] = f"sha-256={made.digest}"
    return response
