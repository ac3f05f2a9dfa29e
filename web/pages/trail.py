"""The trail: find entries, read one, follow one object. How the logs stand is ``trail_logs.py``, exports are
``trail_exports.py``.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import get_current_timezone

from access import policy, reads
from access.queries import user_by_name
from audit.errors import DomainError, Invalid, NotFound
from audit.events import WORDS, Action
from audit.queries import MOST_TEXT, Entry, Filter, Life, number_after
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages import entries, paging
from web.pages.context import fresh_standing
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.names import names_of
from web.pages.trail_entry import entry_context
from web.pages.trail_logs import LOG_WORDS, banner

_OUTCOMES: Final = {"": "any", "success": "done", "denied": "refused", "error": "error"}
_ACTIONS: Final = [("", "any"), *sorted(((action.value, WORDS[action]) for action in Action), key=lambda pair: pair[1])]
_WRONG_DATE: Final = "Enter a date like 2026-03-09."


class FilterForm(PageForm):
    """What an auditor looks for. Empty fields match everything; values no entry has are refused by the query."""

    text = TextField(
        label="Words",
        required=False,
        max_length=MOST_TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "name, address, or words of a reason"}),
    )
    log = TextField(label="Log", required=False, widget=forms.Select(choices=list(LOG_WORDS.items())))
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
        kinds = {"": "any", **entries.OBJECTS}
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
            text=values["text"],
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
    return search_page(request, FilterForm(request.GET), request.GET.get("after", ""))


def search_page(
    request: HttpRequest, form: FilterForm, after: str = "", refused: DomainError | None = None
) -> HttpResponse:
    """The page; a filter that cannot match, or an export that was refused, is said on top."""
    by = actor_of(request)
    status, found, chosen = 200, None, Filter()
    try:
        if not form.is_valid():
            status = 400
        else:
            chosen = form.chosen()
            found = reads.search(by, chosen, after)
    except (Invalid, NotFound) as error:
        form.refused(error, "person" if isinstance(error, NotFound) else None)
        status = 400
    if refused is not None:
        form.refused(refused)
        status = int(face_of(refused).status)
    rows = found.entries if found else []
    if reads.openings(by) is not None:
        del form.fields["text"]  # the sentence in its place says why
    context = {
        "form": form,
        "entries": entries.listed(rows, names_of(entries.accounts_in(rows)), with_changes=False),
        "empty": _empty(form, chosen) if found else _UNREAD,
        "banner": banner(fresh_standing(chosen.log)),
        "page": paging.links(request, _summary(rows), found.after if found else ""),
        "may_export": policy.why_not(by, Action.TRAIL_EXPORT, TRAIL),
        "export_words": _export_words(chosen),
        "hidden": {name: value for name, value in form.data.items() if name in form.fields and value},
        "narrowed": not chosen.is_whole_log(),
        "no_text": "" if "text" in form.fields else _NO_TEXT,
    }
    return render(request, "trail/search.html", context, status=status)


_NO_TEXT: Final = (
    "What people wrote and where they called from is searched by auditors and compliance officers; you can search by"
    " person, act, outcome, object and time."
)
_UNREAD: Final = {"title": "Nothing was searched", "sentence": "Put the filter right and search again."}


def _empty(form: FilterForm, chosen: Filter) -> dict[str, str]:
    """What was looked for, where else it could be, or that nothing is recorded yet."""
    asked = [
        f"{field.label.lower()} {_shown(field)}"
        for field in form
        if field.name != "log" and field.value() not in (None, "")
    ]
    if not asked:
        return {
            "title": "Nothing is recorded here yet",
            "sentence": "Every sign-in, change, decision and refusal is recorded as it happens, and every look at"
            " something sensitive.",
        }
    other = "access" if chosen.log == "admin" else "admin"
    return {
        "title": "No entry matches",
        "sentence": f"Looked in “{LOG_WORDS[chosen.log]}” for {', '.join(asked)}. Every one of these must hold: leave"
        " one out to see more. Words are matched whole; those that were erased are not found.",
        "url": f"?{urlencode({**{name: value for name, value in form.data.items() if name != 'after'}, 'log': other})}",
        "label": f"Look in “{LOG_WORDS[other]}”",
    }


def _shown(field: forms.BoundField) -> str:
    """What was chosen, in the words of the form."""
    value = str(field.value())
    choices = getattr(field.field.widget, "choices", ())
    return next((str(label) for key, label in choices if str(key) == value), f"“{entries.isolated(value[:60])}”")


def _summary(rows: list[Entry]) -> str:
    if not rows:
        return "No entries"
    return f"{len(rows)} entr{'y' if len(rows) == 1 else 'ies'} on this page, newest first"


def _export_words(chosen: Filter) -> str:
    if chosen.is_whole_log():
        return "The whole log as a ZIP with its proofs and its verifier: it shows that nothing is missing."
    return "What matches, as a ZIP with proofs and verifier: it shows that each entry is in the log, not that all are."


@page(Action.TRAIL_VIEW)
def one(request: HttpRequest, entry_id: str) -> HttpResponse:
    """One entry: in words, as it was signed, and where it stands."""
    by = actor_of(request)
    policy.require_read(by, Action.TRAIL_VIEW, TRAIL)
    return render(request, "trail/entry.html", entry_context(by, reads.entry(by, uuid_of(entry_id))))


@page(Action.TRAIL_VIEW)
def life(request: HttpRequest, object_type: str, object_id: str) -> HttpResponse:
    """Everything recorded of one object, oldest first, a part at a time."""
    found = reads.life(actor_of(request), object_type, object_id, number_after(request.GET.get("after", "")))
    names = names_of(entries.accounts_in(found.entries))
    kind = entries.OBJECTS.get(object_type, object_type.replace("_", " "))
    said = (entries.object_words(row, names) for row in reversed(found.entries))
    asked = {"log": "access", "object_type": object_type, "object_id": object_id}
    context = {
        "heading": next((words for words in said if words), kind),
        "breadcrumb": [{"label": "Trail", "url": reverse("trail")}, {"label": f"{kind} {_short(object_id)}"}],
        "lede": _lede(kind, found),
        "entries": entries.listed(found.entries, names, numbered=True),
        "empty": {"title": "Its entries were dropped", "sentence": "Their hashes remain in the log."},
        "dropped": _dropped(found),
        "page": paging.links(request, _part(found), "" if found.after is None else str(found.after)),
        "paged": found.after is not None or "after" in request.GET,
        "looks_url": f"{reverse('trail')}?{urlencode(asked)}",
        "kind": kind,
    }
    return render(request, "trail/object.html", context)


def _short(object_id: str) -> str:
    return object_id if len(object_id) <= 12 else f"{object_id[:8]}…"


def _lede(kind: str, found: Life) -> str:
    count = f"{found.length:,} entr{'y is' if found.length == 1 else 'ies are'}"
    return f"{count} recorded of this {kind}, oldest first. Their numbers have no gap: each names the one before it."


def _part(found: Life) -> str:
    if not found.entries:
        return "No entries"
    first, last = found.entries[0].leaf["object"]["n"], found.entries[-1].leaf["object"]["n"]
    return f"Numbers {first:,} to {last:,} of {found.length:,}"


def _dropped(found: Life) -> str:
    if not found.dropped:
        return ""
    which = "Its first entry was" if found.dropped == 1 else f"Its first {found.dropped:,} entries were"
    return f"{which} dropped when the time set for this log was over. Their hashes remain, so every proof still holds."
