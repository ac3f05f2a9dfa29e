"""An erasure request as tables and facts for its page and for the board. Nothing is decided here."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from django.urls import reverse
from django.utils.dateformat import format as format_date

from audit.queries import Entry
from erasure import rules
from erasure.actions import closing
from erasure.actions.filing import SOURCE
from erasure.models import ErasureRequest, ErasureTask, ModelObligation
from erasure.queries import View, due
from erasure.rules import Due
from erasure.states import GROUNDS, IDENTIFIER_WORDS, Outcome, State, TaskState
from registry.models import DataSet
from web.pages.names import Names, name_in

Cell = dict[str, Any]

# state → the status it looks like, and its words
STATUSES: Final[dict[State, tuple[str, str]]] = {
    State.RECEIVED: ("RECEIVED", "Received"),
    State.DISCOVERING: ("DISCOVERING", "Searching"),
    State.PLAN_READY: ("WAITING", "Waiting for approval"),
    State.APPROVED: ("APPROVED", "Approved"),
    State.EXECUTING: ("EXECUTING", "Executing"),
    State.VERIFYING: ("RUNNING", "Verifying"),
    State.AWAITING_SIGNOFF: ("WAITING", "Waiting for sign-off"),
    State.COMPLETED: ("COMPLETED", "Completed"),
    State.REFUSED: ("REFUSED", "Refused"),
    State.CANCELLED: ("CANCELLED", "Cancelled"),
    State.NEEDS_ATTENTION: ("ERROR", "Needs attention"),
}
_OUTCOMES: Final[dict[str, str]] = {
    Outcome.ERASED.value: "Erased",
    Outcome.NOT_FOUND.value: "Not found in any data set",
    Outcome.REFUSED.value: "Refused",
    Outcome.WITHDRAWN.value: "Taken back",
}
_TASKS: Final[dict[str, tuple[str, str]]] = {
    TaskState.WAITING.value: ("QUEUED", "To be replaced"),
    TaskState.REPLACED.value: ("RUNNING", "Replaced"),
    TaskState.DONE.value: ("DONE", "Old content deleted"),
}
_KINDS: Final = {
    "retrain": "Retrain without the erased rows",
    "justify": "Justify keeping it",
    "retire": "Retire it",
    "restrict_output": "Restrict what it gives out",
}
# What can be pressed, by state, in the order of the buttons; whoever may not do it reads why beside it.
BUTTONS: Final[dict[State, tuple[str, ...]]] = {
    State.RECEIVED: ("refuse", "cancel"),
    State.DISCOVERING: ("refuse", "cancel"),
    State.PLAN_READY: ("approve", "discover", "refuse", "cancel"),
    State.APPROVED: ("cancel",),
    State.AWAITING_SIGNOFF: ("sign_off",),
    State.NEEDS_ATTENTION: ("execute", "discover", "refuse", "cancel"),
}
# These need a reason.
REASONED: Final = ("refuse", "cancel")
_LABELS: Final[dict[str, tuple[str, str]]] = {
    "approve": ("Approve this plan", "primary"),
    "sign_off": ("Sign off and issue the certificate", "primary"),
    "execute": ("Try the execution again", ""),
    "discover": ("Search again", ""),
    "refuse": ("Refuse the request", "danger"),
    "cancel": ("Cancel the request", "danger"),
}


def status(state: str) -> dict[str, str]:
    """A state as a pill."""
    look, word = STATUSES[State(state)]
    return {"status": look, "word": word}


def days(counted: Due) -> Cell:
    """The day counter as a cell."""
    looks = {"bad": "OVERDUE", "warn": "STALE"}
    return {"status": looks[counted.tone], "word": counted.words} if counted.tone in looks else {"text": counted.words}


def day(moment: date) -> str:
    """A date as people read it."""
    return format_date(moment, "j M Y")


def open_table(rows: Sequence[ErasureRequest], names: Names) -> dict[str, Any]:
    """The board: what is still to be done."""
    return {
        "id": "open",
        "caption": "Open requests, the most urgent first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Case", "State", "Days", "Due", "Received", "Filed by")],
        "rows": [
            [
                {"text": row.external_id, "url": _url(row), "note": identifier_words(row.identifier_type)},
                status(row.state),
                days(due(row)),
                {"text": day(row.nominal_due), "note": _legal(row)},
                {"text": day(row.received_on)},
                {"text": name_in(names, row.filer)},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No open erasure request",
            "sentence": "When a person asks that their data be erased, file it here: the data sets are searched, and"
            " you see what an erasure would reach before anything is changed.",
            "url": reverse("erasure-new"),
            "label": "File an erasure request",
        },
    }


def _legal(row: ErasureRequest) -> str:
    return "" if row.legal_due == row.nominal_due else f"by law {day(row.legal_due)}"


def _url(row: ErasureRequest) -> str:
    return reverse("erasure-request", args=[row.pk])


def identifier_words(kind: str) -> str:
    """A type of identifier as people read it."""
    return IDENTIFIER_WORDS.get(kind, kind)


def closed_table(rows: Sequence[ErasureRequest], names: Names) -> dict[str, Any]:
    """What has come to an end."""
    return {
        "id": "closed",
        "caption": "Closed requests, newest first",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Case", "Outcome", "Received", "Closed", "By")],
        "rows": [
            [
                {"text": row.external_id, "url": _url(row), "note": identifier_words(row.identifier_type)},
                status(row.state) | {"note": _OUTCOMES.get(row.outcome, "")},
                {"text": day(row.received_on)},
                {"when": row.closed_at},
                {"text": name_in(names, row.closed_by)},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No request was closed yet",
            "sentence": "Requests move here once they are completed, refused or cancelled, and stay.",
        },
    }


def coverage_table(counts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """For the form of a new case: how much can be searched, by type of identifier."""
    return {
        "id": "coverage",
        "caption": "What can be searched",
        "caption_hidden": True,
        "columns": [
            {"label": "Identifier"},
            {"label": "Data sets", "right": True},
            {"label": "Rows", "right": True},
        ],
        "rows": [
            [
                {"text": identifier_words(entry["type"])},
                {"text": f"{entry['data_sets']:,}", "right": True},
                {"text": f"{entry['rows']:,}", "right": True},
            ]
            for entry in counts
        ],
        "empty": {
            "title": "No data set can be searched yet",
            "sentence": "A data set can be searched once its registration says which column holds an identifier."
            " A request can be filed all the same; it will say that nothing was covered.",
        },
    }


def case_facts(view: View, names: Names) -> list[dict[str, Any]]:
    """What was filed."""
    row = view.request
    place = f"{row.country}-{row.subdivision}" if row.subdivision else row.country
    found = [
        ("Case", {"text": row.external_id, "note": "" if row.source == SOURCE else f"from {row.source}"}),
        ("Data subject", {"text": identifier_words(row.identifier_type), "note": _seal(row)}),
        ("Ground", {"text": f"Article {row.ground} GDPR", "note": GROUNDS.get(row.ground, "")}),
        ("Place", {"text": place, "note": "" if row.holidays_known else "holidays unknown: only weekends are counted"}),
        ("Filed", {"when": row.filed_at, "note": f"by {name_in(names, row.filer)}"}),
    ]
    if row.outcome:
        found.append(("Outcome", {"text": _OUTCOMES[row.outcome]}))
    if row.reason:
        found.append(("Reason", {"text": row.reason}))
    return _facts(found)


def certificate_facts(view: View) -> list[dict[str, Any]]:
    """The file that can be downloaded, and how to check it."""
    if view.certificate is None:
        return []
    return _facts(
        [
            ("SHA-256 of the file", {"digest": view.certificate.sha256}),
            ("Signed with", {"text": closing.key_id(), "note": f"Ed25519 public key {closing.public_key_text()}"}),
            (
                "To check it",
                {"text": "python manage.py verify_certificate FILE", "note": "offline; elsewhere with --public-key"},
            ),
        ]
    )


def history(entries: Sequence[Entry], listed: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries for parts/entries.html: what a step led to says more than the name of the act."""
    found = []
    for entry, shown in zip(entries, listed, strict=True):
        after = (entry.leaf.get("change") or {}).get("after") or {}
        words = _STEPS.get(str(after.get("state", "")), "") if entry.leaf["outcome"] == "success" else ""
        if "erased" in after:
            words = f"Replaced a data set by {after['data_set']}"
        elif after.get("repeated"):
            words = "Filed the same request again"
        found.append({**shown, "sentence": words} if words else shown)
    return found


_STEPS: Final[dict[str, str]] = {
    State.RECEIVED.value: "Filed the request",
    State.DISCOVERING.value: "Began to search",
    State.PLAN_READY.value: "Made the plan",
    State.APPROVED.value: "Approved the plan",
    State.EXECUTING.value: "Began to execute the plan",
    State.VERIFYING.value: "Replaced every data set of the plan",
    State.AWAITING_SIGNOFF.value: "Verified the erasure",
    State.COMPLETED.value: "Signed off",
    State.REFUSED.value: "Refused the request",
    State.CANCELLED.value: "Cancelled the request",
    State.NEEDS_ATTENTION.value: "Could not go on",
}


def _seal(row: ErasureRequest) -> str:
    return "the identifier is sealed and is not shown" if row.box is not None else "the identifier was destroyed"


def day_facts(view: View, names: Names) -> list[dict[str, Any]]:
    """The days, and who decided."""
    row = view.request
    found: list[tuple[str, Any]] = [
        ("Days", days(view.due)),
        ("Received", {"text": day(row.received_on)}),
        ("Due", {"text": day(row.nominal_due), "note": "one month; the alarm counts to this day"}),
        ("Due by law", {"text": day(row.legal_due), "note": "moved to a working day where the month ends on none"}),
        ("If extended", {"text": day(row.extended_due), "note": "two months more, told with reasons within the first"}),
    ]
    if row.approver:
        found.append(("Approved", {"when": row.approved_at, "note": f"by {name_in(names, row.approver)}"}))
    if row.plan_digest:
        found.append(("Plan", {"digest": row.plan_digest}))
    if row.signer:
        found.append(("Signed off", {"when": row.closed_at, "note": f"by {name_in(names, row.signer)}"}))
    return _facts(found)


def _facts(found: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"term": term, "value": value} for term, value in found]


def reached_table(view: View) -> dict[str, Any]:
    """The data sets of the plan and what became of each."""
    tasks = {str(task.data_set_id): task for task in view.tasks}
    plan = view.request.plan or {"data_sets": [], "searched": []}
    return {
        "id": "reached",
        "caption": "Data sets that hold the person",
        "caption_hidden": True,
        "columns": [
            {"label": "Data set"},
            {"label": "Rows of the person", "right": True},
            {"label": "Rows", "right": True},
            {"label": "Digest"},
            {"label": "State"},
            {"label": "Replaced by"},
        ],
        "rows": [_reached_row(hit, tasks.get(hit["id"])) for hit in plan["data_sets"]],
        "empty": {
            "title": "The person is in no data set that can be searched",
            "sentence": f"{len(plan['searched']):,} were searched, by two engines. A sign-off certifies that.",
        },
    }


def _reached_row(hit: dict[str, Any], task: ErasureTask | None) -> list[Cell]:
    residue = "no row, but the identifier is left in the file" if not hit["rows_found"] else ""
    look, word = _TASKS[task.state] if task else ("PLANNED", "Planned")
    counts = f"{task.erased:,} erased, {task.rows_out:,} kept" if task and task.erased is not None else ""
    return [
        {"text": f"{hit['name']} v{hit['number']}", "url": reverse("data-set", args=[hit["name"], hit["number"]])},
        {"text": f"{hit['rows_found']:,}", "note": residue, "right": True},
        {"text": f"{hit['rows']:,}", "right": True},
        {"digest": hit["digest"]},
        {"status": look, "word": word, "note": counts},
        _successor(task.successor if task else None),
    ]


def _successor(row: DataSet | None) -> Cell:
    if row is None:
        return {"text": ""}
    return {"text": str(row), "url": reverse("data-set", args=[row.name, row.number])}


def versions_table(view: View) -> dict[str, Any]:
    """The model versions behind the data, and what they owe."""
    owed = _owed(view.obligations)
    plan = view.request.plan or {"versions": []}
    return {
        "id": "versions",
        "caption": "Model versions built or judged on it",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Model version", "Data", "Stage", "Obligation", "Due")],
        "rows": [_version_row(entry, owed.get(entry["id"])) for entry in plan["versions"]],
        "empty": {
            "title": "No model version is reached",
            "sentence": "None is linked to the data sets above or to what they came from.",
        },
    }


def _owed(rows: Iterable[ModelObligation]) -> dict[str, ModelObligation]:
    """One obligation per version: the earliest due."""
    found: dict[str, ModelObligation] = {}
    for row in sorted(rows, key=lambda one: one.due_on, reverse=True):
        found[str(row.version_id)] = row
    return found


def _version_row(entry: dict[str, Any], owed: ModelObligation | None) -> list[Cell]:
    title = {"text": f"{entry['model']} v{entry['number']}"}
    if entry["deleted"]:
        title |= {"note": "deleted"}
    else:
        title |= {"url": reverse("version", args=[entry["model"], entry["number"]])}
    data = ", ".join(f"{link['role']}: {link['data_set']}" for link in entry["data"])
    kind = {"text": _KINDS[owed.kind], "note": owed.state} if owed else {"text": "comes with the execution"}
    return [title, {"text": data}, {"text": entry["stage"]}, kind, {"text": day(owed.due_on) if owed else ""}]


def uncovered_table(view: View) -> dict[str, Any]:
    """What the plan says it does not cover."""
    plan = view.request.plan or {"not_covered": []}
    return {
        "id": "uncovered",
        "caption": "Not covered",
        "caption_hidden": True,
        "columns": [{"label": "What"}, {"label": "Why, and what to do"}],
        "rows": [[{"text": entry["asset"]}, {"text": entry["reason"]}] for entry in plan["not_covered"]],
        "empty": {"title": "Everything is covered", "sentence": "Nothing was left out."},
    }


def buttons(view: View) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """What can be pressed in this state, and the sentences for what cannot. Equal sentences are said once."""
    shown = BUTTONS.get(State(view.request.state), ())
    if view.request.state in {State.APPROVED, State.EXECUTING, State.VERIFYING} and rules.is_free(view.request):
        shown = ("execute", *shown)
    ids: dict[str, str] = {}
    found = []
    for name in shown:
        sentence = view.why_not[name]
        label, kind = _LABELS[name]
        why_id = ids.setdefault(sentence, f"why-{len(ids) + 1}") if sentence else ""
        url = reverse(f"erasure-{name.replace('_', '-')}", args=[view.request.pk])
        found.append({"label": label, "kind": kind, "why_id": why_id, "url": url})
    return found, [{"id": why_id, "sentence": sentence} for sentence, why_id in ids.items()]
