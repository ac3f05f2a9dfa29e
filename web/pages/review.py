"""One promotion request as its page shows it: the sentence, the gates, the evidence, who is barred, what can be done.

Everything comes from ``registry.queries.promotion.view``; here it is only put into words and parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from django.utils.timesince import timeuntil

from access import grants, policy
from access.policy import ENTANGLED, Relation
from access.roles import LABELS, Role
from audit.actors import Actor
from audit.clock import now
from audit.events import Action
from registry import rules
from registry.models import Decision, Evidence, PromotionRequest
from registry.queries.promotion import View
from registry.rules import Gate
from registry.states import LIVE, DecisionKind, EvidenceKind, EvidenceStatus, RequestState
from web.charts import Figure
from web.pages import reports
from web.pages.names import Names, name_in

DECIDED: Final = {
    DecisionKind.APPROVE: "Approved",
    DecisionKind.REQUEST_CHANGES: "Changes requested",
    DecisionKind.REJECT: "Rejected",
    DecisionKind.COMMENT: "Commented",
}


def accounts_in(view: View) -> set[str]:
    """Every account the page names."""
    involved = view.request.subject().involved
    return {
        view.request.requested_by,
        *(row.by for row in view.decisions),
        *(a for group in involved.values() for a in group),
    }


def time_left(request: PromotionRequest) -> str:
    """``expires in 3 days``, in one unit."""
    if request.expires_at <= now():
        return "its time is over"
    left = request.expires_at - now()
    if left.days >= 1:
        days = round(left.total_seconds() / 86400)
        return f"expires in {days} day{'' if days == 1 else 's'}"
    return f"expires in {timeuntil(request.expires_at, now(), depth=1)}"


def deciding_as(by: Actor, request: PromotionRequest) -> str:
    """The viewer's roles that let them decide here, in words; empty when there are none."""
    here = grants.roles_on(grants.held_by(by), request.model.name)
    wanted = policy.POLICY[Action.PROMOTION_DECIDE].roles
    return " and ".join(LABELS[role] for role in Role if role in here & wanted)


# -- what moved ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """What is not as it was when it was last judged."""

    title: str
    sentence: str
    rows: list[dict[str, str]]


def moved_since(view: View, by: Actor) -> Moved | None:
    """What moved since the viewer decided, or, for anyone else, since the request was last judged."""
    if view.request.state not in LIVE:
        return None
    own = [row for row in view.decisions if row.by == by.account and row.kind != DecisionKind.COMMENT]
    known = own[-1].sections if own else view.request.sections
    names = rules.changed(known, view.now.sections)
    if not names:
        return None
    what = ", ".join(rules.SECTION_WORDS[name] for name in names)
    since = "since you decided" if own else "since this request was last judged"
    return Moved(
        title=f"Stale: {what} changed {since}",
        sentence="Decisions made before do not count for what stands here now. Read it again, then decide on it.",
        rows=[
            {"what": rules.SECTION_WORDS[name], "before": known.get(name, ""), "after": view.now.sections[name]}
            for name in names
        ],
    )


# -- gates -----------------------------------------------------------------------------------------------------------


def gates(found: Sequence[Gate], record: rules.Record, *, say_required: bool = True) -> list[dict[str, Any]]:
    """Every gate, failures first, what the policy asks for before what was only measured."""
    metrics = _metrics(record)
    ordered = sorted(found, key=lambda gate: (reports.severity(gate.outcome), not gate.required))
    return [_gate(gate, metrics.get(gate.name), say_required) for gate in ordered]


def _gate(gate: Gate, metric: reports.Json | None, say_required: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "outcome": gate.outcome.value,
        "name": gate.label,
        "sentence": gate.reason if metric is None else reports.found_words(metric),
        "waiver": "The policy asks for this." if gate.required and say_required else "",
    }
    if gate.evidence:
        shown |= {"url": reverse("evidence", args=[gate.evidence]), "label": "Evidence"}
    return shown | (reports.figures_of(metric) if metric else {"value": None})


def _metrics(record: rules.Record) -> dict[str, reports.Json]:
    row = _report(record, EvidenceKind.FAIRNESS)
    if row is None:
        return {}
    return {
        f"{metric['name']}:{attribute['name']}": metric
        for attribute in row.result["attributes"]
        for metric in attribute["metrics"]
    }


def gate_counts(found: Sequence[Gate]) -> str:
    """``5 of 5 required gates pass; measured: 1 fail, 2 inconclusive, 5 pass``."""
    required = [gate for gate in found if gate.required]
    held = len(required) - len(rules.missing(found))
    text = f"{held} of {len(required)} required gates pass"
    measured = [gate.outcome.value for gate in found if not gate.required]
    if not measured:
        return text
    counts = [f"{measured.count(name)} {name.lower()}" for name in ("ERROR", "FAIL", "INCONCLUSIVE", "WAIVED", "PASS")]
    return f"{text}; measured: {', '.join(count for count in counts if not count.startswith('0 '))}"


# -- evidence --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """The reports as figures, with links to them in full."""

    fairness: Evidence | None
    explanation: Evidence | None
    rates: list[Figure]
    metrics: list[Figure]
    importance: Figure | None
    comparison: list[dict[str, str]]


def evidence(record: rules.Record) -> Shown:
    """Fairness by group, metrics with intervals, SHAP; beside the version now in the stage where it has a report."""
    fairness, explanation = _report(record, EvidenceKind.FAIRNESS), _report(record, EvidenceKind.EXPLANATION)
    rates, metrics, beside = [], [], []
    if fairness is not None:
        rates = [
            reports.rates_figure(attribute, f"Favourable predictions by {attribute['name']}")
            for attribute in fairness.result["attributes"]
        ]
        metrics = reports.metric_figures(fairness.result)
        current = _current_fairness(record)
        beside = reports.comparison(fairness.result, current.result if current else None)
    importance = reports.importance_figure(explanation.result) if explanation else None
    return Shown(fairness, explanation, rates, metrics, importance, beside)


def _report(record: rules.Record, kind: EvidenceKind) -> Evidence | None:
    row = record.evidence.get(kind.value)
    return row if row is not None and row.status == EvidenceStatus.OK else None


def _current_fairness(record: rules.Record) -> Evidence | None:
    if record.base is None:
        return None
    return (
        record.base.evidence.filter(kind=EvidenceKind.FAIRNESS.value, status=EvidenceStatus.OK.value)
        .order_by("-created_at")
        .first()
    )


NO_EVIDENCE: Final = {
    "title": "No report yet",
    "sentence": "Fairness and explanation reports appear here when the worker has computed them; the gates above say"
    " what each is waiting for.",
}


# -- lineage and digests ---------------------------------------------------------------------------------------------


def lineage(view: View) -> list[dict[str, Any]]:
    """What the version was made of."""
    version = view.request.version
    manifest = version.artifact_manifest or {"files": []}
    size = reports.bytes_words(sum(entry["size"] for entry in manifest["files"]))
    files = f"{len(manifest['files'])} files, {size}" if version.artifact_digest else "not hashed yet"
    facts: list[dict[str, Any]] = [
        {"term": "Model files", "value": _digest(version.artifact_digest, files)},
    ]
    facts += [
        {
            "term": f"{role.capitalize()} data",
            "value": _digest(row.digest, f"{row}, {row.rows:,} rows{', erased' if row.state == 'erased' else ''}"),
        }
        for role, row in view.now.record.data
    ]
    facts += [
        {"term": f"{kind.capitalize()} evidence", "value": _digest(row.result_digest, _made(row.status))}
        for kind, row in sorted(view.now.record.evidence.items())
    ]
    return facts


def _made(status: str) -> str:
    return "computed" if status == EvidenceStatus.OK else "could not be computed"


def bound(view: View) -> list[dict[str, Any]]:
    """What a decision is bound to."""
    base, live = view.now.record.base, view.request.state in LIVE
    snapshot = view.request.policy
    # A closed request keeps what was decided on; the world has moved on since, not least by applying it.
    judged = view.now.subject_digest if live else view.request.subject_digest
    said = "a decision names this digest" if live else "the digest that was last judged"
    replaced = f"version {base.number} holds {view.request.target_stage} now" if base else "nothing is there now"
    facts: list[dict[str, Any]] = [
        {"term": "Everything together", "value": _digest(judged, said)},
        {
            "term": "Policy",
            "value": _digest(view.request.policy_digest, f"“{snapshot['id']}”, revision {snapshot['revision']}"),
        },
        {"term": "Alias", "value": view.request.alias},
    ]
    if live:
        facts.append({"term": "Replaces", "value": _digest(base.artifact_digest if base else "", replaced)})
    return facts


def grant_facts(view: View) -> list[dict[str, Any]]:
    """The permission that applying issued."""
    if view.grant is None:
        return []
    return [
        {"term": "State", "value": {"status": view.grant.state}},
        {"term": "Issued", "value": {"when": view.grant.issued_at}},
        {"term": "Valid until", "value": {"when": view.grant.valid_until}},
        {"term": "Format", "value": "in-toto statement in a DSSE envelope, signed with Ed25519"},
    ]


def _digest(digest: str, note: str) -> dict[str, Any]:
    return {"digest": digest, "note": note} if digest else {"text": "–", "note": note}


# -- people ----------------------------------------------------------------------------------------------------------


def barred(view: View, by: Actor, names: Names) -> list[dict[str, str]]:
    """Who may not decide, with the recorded reason."""
    reasons: dict[str, list[str]] = {}
    for relation, accounts in view.request.subject().involved.items():
        for account in accounts:
            said = ENTANGLED[Relation(relation)].removeprefix("You ")
            reasons.setdefault(account, []).append(said)
    return [
        {
            "who": "You" if account == by.account else name_in(names, account),
            "why": f"may not decide: {' and '.join(said)}.",
        }
        for account, said in sorted(reasons.items(), key=lambda item: name_in(names, item[0]))
        if account
    ]


def history(view: View, names: Names) -> list[dict[str, Any]]:
    """What was said and done so far, oldest first."""
    request = view.request
    entries: list[dict[str, Any]] = [
        {
            "sentence": "Promotion requested",
            "who": name_in(names, request.requested_by),
            "when": request.opened_at,
            "tone": "info",
        }
    ]
    counted = _counted(view)
    entries += [_decision(row, str(row.pk) in counted, names) for row in view.decisions]
    if view.grant is not None:
        entries.append(
            {"sentence": f"Applied: in {view.grant.stage}", "who": "", "when": view.grant.issued_at, "tone": "ok"}
        )
    elif request.closed_at is not None and request.state != RequestState.REJECTED:
        entries.append({"sentence": rules.words(request).capitalize(), "who": "", "when": request.closed_at})
    return entries


_TONES: Final = {DecisionKind.APPROVE: "ok", DecisionKind.REQUEST_CHANGES: "warn", DecisionKind.REJECT: "bad"}


def _counted(view: View) -> frozenset[str]:
    """The decisions that count; for a closed request those that counted when it was closed."""
    if view.request.state in LIVE:
        return view.counted
    return frozenset(str(row.pk) for row in rules.effective(view.decisions, view.request.subject_digest).values())


def _decision(row: Decision, counts: bool, names: Names) -> dict[str, Any]:
    kind = DecisionKind(row.kind)
    return {
        "sentence": DECIDED[kind],
        "who": name_in(names, row.by),
        "when": row.created_at,
        "reason": row.comment,
        "tone": _TONES.get(kind, "none"),
        "status": "" if kind is DecisionKind.COMMENT or counts else "STALE",
        "status_word": "Not counted: the content moved, or the same reviewer decided again",
    }


# -- what can be done ------------------------------------------------------------------------------------------------

_VOTES: Final = (
    ("approve", "Approve", "primary"),
    ("request_changes", "Request changes", ""),
    ("reject", "Reject", "danger"),
)


def votes(view: View) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The three buttons, and each distinct refusal once: buttons that share one point at the same sentence."""
    sentences: list[str] = []
    buttons = []
    for name, label, kind in _VOTES:
        refusal = view.why_not[name]
        if refusal and refusal not in sentences:
            sentences.append(refusal)
        why_id = f"why-{sentences.index(refusal) + 1}" if refusal else ""
        buttons.append({"name": name, "label": label, "kind": kind, "why_id": why_id})
    return buttons, [{"id": f"why-{n}", "sentence": text} for n, text in enumerate(sentences, 1)]


def effect(view: View) -> str:
    """What applying does, in one sentence, to be read before it is done."""
    request, base = view.request, view.now.record.base
    replaced = f" and archives version {base.number}, which is there now" if base else ""
    until = (now() + rules.days(request.policy, "grant_days")).strftime("%-d %B %Y")
    return (
        f"Applying moves version {request.version.number} to {request.target_stage}, points the alias {request.alias}"
        f" at it{replaced}, and issues a signed grant until {until}."
    )
