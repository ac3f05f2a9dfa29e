"""Promotion: open a request, decide on it, apply it, withdraw it. One function, one transaction, one entry each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from access import grants as role_grants
from access.roles import Role, either
from audit import digests, door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Denied, Duplicate, Invalid, Stale
from audit.events import Action
from registry import grants, outbox, protection, rules
from registry.actions import stages, versions
from registry.models import Decision, Grant, ModelVersion, PromotionRequest, RegisteredModel
from registry.states import (
    ALIAS_OF_STAGE,
    LIVE,
    TRANSITIONS,
    DecisionKind,
    GrantState,
    RequestAct,
    RequestState,
    Stage,
)


def open_request(*, by: Actor, version: ModelVersion, target_stage: str, justification: str) -> PromotionRequest:
    """Ask that ``version`` reach ``target_stage``.

    Raises Invalid (no such protected stage, no justification), Conflict (already there, nobody could decide),
    Duplicate (the model has a live request for that stage).
    """
    with door.open(by, Action.PROMOTION_REQUEST, on=version.subject()) as entry:
        version = versions.locked(by, Action.PROMOTION_REQUEST, version)
        stage = _protected(target_stage)
        text = _text(justification, "justification", rules.MOST_JUSTIFICATION)
        if not text:
            raise Invalid(
                "Say why this version should be promoted: the justification is empty.", code="no_justification"
            )
        _check_can_open(by, version, stage)
        policy = rules.POLICIES[stage]
        opened_at = now()
        request = PromotionRequest(
            model=version.model,
            version=version,
            target_stage=stage.value,
            alias=ALIAS_OF_STAGE[stage],
            justification=text,
            policy=policy,
            policy_digest=digests.of_json(policy),
            requested_by=by.account or "",
            opened_at=opened_at,
            expires_at=opened_at + rules.days(policy, "request_days"),
        )
        seen = rules.current(request)
        request.sections, request.subject_digest = seen.sections, seen.subject_digest
        request.save(force_insert=True)
        outbox.of_promotion(request, "requested", subject_digest=request.subject_digest)
        entry.record(
            on=request,
            after={"state": request.state, "stage": stage.value, "subject_digest": request.subject_digest},
            private={"justification": text},
            policy={"id": policy["id"], "rev": policy["revision"]},
        )
        return request


def _protected(target_stage: str) -> Stage:
    if protection.is_open():
        raise Invalid(
            "This installation protects no stage (PLIMSOLL_POLICIES=open): move the version there directly.",
            code="nothing_protected",
        )
    for stage in rules.POLICIES:
        if target_stage.lower() == stage.value.lower():
            return stage
    names = ", ".join(stage.value for stage in rules.POLICIES)
    raise Invalid(
        f"Promotions lead to a protected stage: {names}. {target_stage[:40]!r} is none.", code="unknown_stage"
    )


def _text(value: str, name: str, most: int) -> str:
    text = value.replace("\r\n", "\n").strip()
    if "\x00" in text:
        raise Invalid(f"The {name} holds a NUL character.", code="bad_text")
    if len(text) > most:
        raise Invalid(f"The {name} has {len(text):,} characters; at most {most:,} are kept.", code="too_long")
    return text


def _check_can_open(by: Actor, version: ModelVersion, stage: Stage) -> None:
    alarm = rules.alarm_on(version)
    if alarm is not None:
        raise Conflict(rules.alarm_words(alarm), code="artifact_alarm")
    if version.stage == stage:
        raise Conflict(f"{version} is in {stage.value} already.", code="already_there")
    live = PromotionRequest.objects.filter(
        model=version.model, target_stage=stage.value, state__in=[state.value for state in LIVE]
    ).first()
    if live is not None and not _expire_if_due(live):
        raise Duplicate(
            f"{version.model.name} has a live promotion request for {stage.value} already: {live.pk}.",
            code="live_request",
            details={"request": str(live.pk)},
        )
    roles = frozenset(Role(name) for name in rules.POLICIES[stage]["quorum"]["roles"])
    people = {account for account in (by.account, version.created_by) if account}
    entangled = {account for each in role_grants.selves_of(people).values() for account in each}
    if not any(str(user.pk) not in entangled for user in role_grants.holders(roles, version.model.name)):
        raise Conflict(
            f"Nobody could decide on this: no account but yours or the author's has the role {either(roles)} on"
            f" {version.model.name}. Ask an administrator to grant it.",
            code="nobody_can_decide",
        )


def _expire_if_due(request: PromotionRequest) -> bool:
    """Close a request whose time is over (a sweep may be late; a read never is). Whether it was closed.

    Nobody is waited for: whoever holds the request is about to decide its fate, and may wait for the model we hold.
    """
    if request.expires_at > now() or (RequestState(request.state), RequestAct.EXPIRE) not in TRANSITIONS:
        return False
    held = PromotionRequest.objects.select_for_update(skip_locked=True).filter(pk=request.pk, state=request.state)
    if not held.exists():
        return False
    _move(request, RequestAct.EXPIRE)
    request.closed_at = now()
    request.save(update_fields=["state", "closed_at"])
    return True


def _hold_version(request: PromotionRequest) -> ModelVersion:
    """The request's version as it is now, held still until the decision or its application is written: description,
    data links and evidence change under the version's lock only.
    """
    version = ModelVersion.objects.select_related("model").select_for_update(of=("self",)).get(pk=request.version_id)
    request.version = version
    return version


def _move(request: PromotionRequest, act: RequestAct) -> None:
    state = TRANSITIONS.get((RequestState(request.state), act))
    if state is None:
        raise Conflict(
            f"This request is {rules.words(request)}; {act.value.replace('_', ' ')} is not possible now.",
            code="wrong_state",
            details={"state": request.state},
        )
    request.state = state.value


def decide(
    *, by: Actor, request: PromotionRequest, kind: DecisionKind, subject_digest: str, comment: str = ""
) -> Decision:
    """Approve, reject, ask for changes or comment, on exactly the content behind ``subject_digest``.

    Raises Stale (409) when that content has moved, Conflict when the request is not open or evidence is missing.
    """
    with door.open(by, Action.PROMOTION_DECIDE, on=request) as entry:
        request = entry.locked
        before = request.state
        text = _text(comment, "comment", rules.MOST_COMMENT)
        _hold_version(request)
        seen = rules.current(request)
        _reopen_if_moved(request, seen)
        _check_can_decide(request, seen, kind, subject_digest, text)
        decision = Decision.objects.create(
            request=request,
            kind=kind.value,
            by=by.account or "",
            comment=text,
            subject_digest=seen.subject_digest,
            sections=seen.sections,
        )
        _count(request, seen, kind)
        request.sections, request.subject_digest = seen.sections, seen.subject_digest
        request.save(update_fields=["state", "approved_at", "closed_at", "sections", "subject_digest"])
        outbox.of_promotion(request, "decided", decision=kind.value, subject_digest=seen.subject_digest)
        entry.record(
            before={"state": before},
            after={"state": request.state, "decision": kind.value, "subject_digest": seen.subject_digest},
            reason=text,
            policy={"id": request.policy["id"], "rev": request.policy["revision"]},
        )
        return decision


def _reopen_if_moved(request: PromotionRequest, seen: rules.Current) -> None:
    """An approval holds for exactly what was judged: once that moved, the request is open again."""
    if request.state == RequestState.APPROVED and rules.has_moved(request, seen):
        _move(request, RequestAct.GO_STALE)
        request.approved_at = None


def _check_can_decide(
    request: PromotionRequest, seen: rules.Current, kind: DecisionKind, subject_digest: str, comment: str
) -> None:
    _refuse(rules.why_not_decidable(request, seen), "wrong_state", request)
    if subject_digest != seen.subject_digest:
        raise stale(request, seen, subject_digest)
    if kind is not DecisionKind.APPROVE and not comment:
        raise Invalid("Say why: only a plain approval may come without a comment.", code="no_comment")
    if kind is DecisionKind.APPROVE:
        _refuse(rules.why_not_approvable(rules.gates(seen.record, request.policy)), "evidence_missing", request)


def _refuse(sentence: str | None, code: str, request: PromotionRequest) -> None:
    if sentence is not None:
        raise Conflict(sentence, code=code, details={"state": request.state})


def stale(request: PromotionRequest, seen: rules.Current, sent: str) -> Stale:
    """The refusal for a digest that is not the present one; it names what moved since the last recorded state."""
    known = request.decisions.filter(subject_digest=sent).first() if sent else None
    reference: Mapping[str, str] = known.sections if known else request.sections
    moved = [rules.SECTION_WORDS[name] for name in rules.changed(reference, seen.sections)]
    what = ", ".join(moved) or "something"
    return Stale(
        f"What you judged is not what stands there now: {what} changed. Read the request again and decide on what it"
        " says now.",
        details={"subject_digest": seen.subject_digest, "changed": rules.changed(reference, seen.sections)},
    )


def _count(request: PromotionRequest, seen: rules.Current, kind: DecisionKind) -> None:
    if kind is DecisionKind.REJECT:
        _move(request, RequestAct.REJECT)
        request.closed_at = now()
    elif kind is DecisionKind.REQUEST_CHANGES:
        _move(request, RequestAct.REQUEST_CHANGES)
    elif kind is DecisionKind.APPROVE:
        votes = rules.approvals(list(request.decisions.order_by("created_at")), seen.subject_digest)
        if len(votes) >= request.policy["quorum"]["count"]:
            _move(request, RequestAct.REACH_QUORUM)
            request.approved_at = now()


def resubmit(*, by: Actor, request: PromotionRequest, comment: str) -> PromotionRequest:
    """Put a request with requested changes before the reviewers again."""
    with door.open(by, Action.PROMOTION_REQUEST, on=request) as entry:
        request = entry.locked
        before = request.state
        _check_own(by, request)
        _refuse(rules.why_not_resubmittable(request), "wrong_state", request)
        _move(request, RequestAct.RESUBMIT)
        seen = rules.current(request)
        request.sections, request.subject_digest = seen.sections, seen.subject_digest
        request.save(update_fields=["state", "sections", "subject_digest"])
        outbox.of_promotion(request, "resubmitted", subject_digest=seen.subject_digest)
        entry.record(
            before={"state": before},
            after={"state": request.state, "subject_digest": seen.subject_digest},
            reason=_text(comment, "comment", rules.MOST_COMMENT),
        )
        return request


def withdraw(*, by: Actor, request: PromotionRequest, comment: str = "") -> PromotionRequest:
    """Take one's own request back. It is a state of its own, never a vote."""
    with door.open(by, Action.PROMOTION_WITHDRAW, on=request) as entry:
        request = entry.locked
        before = request.state
        _check_own(by, request)
        _refuse(rules.why_not_withdrawable(request), "wrong_state", request)
        _move(request, RequestAct.WITHDRAW)
        request.closed_at = now()
        request.save(update_fields=["state", "closed_at"])
        outbox.of_promotion(request, "withdrawn")
        entry.record(
            before={"state": before},
            after={"state": request.state},
            reason=_text(comment, "comment", rules.MOST_COMMENT),
        )
        return request


def _check_own(by: Actor, request: PromotionRequest) -> None:
    sentence = rules.why_not_own(by.account, request)
    if sentence is not None:
        raise Denied(sentence, code="not_yours")


def apply(*, by: Actor, request: PromotionRequest, subject_digest: str) -> Grant:
    """Carry out an approved request: stage, alias, grant and entry, all or nothing.

    The version that held the stage is archived. Applying twice returns the grant of the first time.
    Raises Stale when what was approved has moved, Conflict when the request is not approved or too old.
    """
    with door.open(by, Action.PROMOTION_APPLY, on=request) as entry:
        request = entry.locked
        if request.state == RequestState.APPLIED:
            grant = Grant.objects.get(request=request)
            entry.record(after={"state": request.state, "grant": str(grant.pk), "repeated": True})
            return grant
        RegisteredModel.objects.select_for_update().get(pk=request.model_id)
        version = _hold_version(request)
        seen = rules.current(request)
        _check_can_apply(request, seen, subject_digest)
        before, replaced, moment = request.state, seen.record.base, now()
        grant = _issue(request)
        _clear_stage(request, by=by, grant=grant, at=moment)
        stages.move(version, Stage(request.target_stage), by=by, grant=grant, at=moment)
        stages.point(request.model, request.alias, version, by=by, grant=grant, at=moment)
        _move(request, RequestAct.APPLY)
        request.closed_at = now()
        request.save(update_fields=["state", "closed_at"])
        outbox.of_promotion(request, "applied", alias=request.alias, grant=str(grant.pk))
        entry.record(
            before={"state": before, "in_stage": replaced.number if replaced else None},
            after={
                "state": request.state,
                "in_stage": version.number,
                "stage": request.target_stage,
                "alias": request.alias,
                "grant": str(grant.pk),
                "artifact": version.artifact_digest,
            },
            policy={"id": request.policy["id"], "rev": request.policy["revision"]},
        )
        return grant


def _clear_stage(request: PromotionRequest, *, by: Actor, grant: Grant, at: datetime) -> None:
    """Archive what is in the stage now: one version, unless this installation was open for a while and several came
    there. The model is locked, so none comes or goes.
    """
    there = ModelVersion.objects.select_related("model").filter(model=request.model, stage=request.target_stage)
    for other in there.filter(deleted_at=None).exclude(pk=request.version_id).order_by("number"):
        Grant.objects.filter(version=other, stage=request.target_stage, state=GrantState.ACTIVE.value).update(
            state=GrantState.REPLACED.value
        )
        stages.move(other, Stage.ARCHIVED, by=by, grant=grant, at=at)


def _check_can_apply(request: PromotionRequest, seen: rules.Current, subject_digest: str) -> None:
    approved = request.state in {RequestState.APPROVED, RequestState.APPLY_FAILED}
    if approved and (subject_digest != seen.subject_digest or rules.has_moved(request, seen)):
        raise stale(request, seen, request.subject_digest)
    _refuse(rules.why_not_appliable(request, seen), "not_appliable", request)


def _issue(request: PromotionRequest) -> Grant:
    issued_at = now()
    valid_until = issued_at + rules.days(request.policy, "grant_days")
    content: dict[str, Any] = grants.statement(
        model=request.model.name,
        version=request.version.number,
        artifact_digest=request.version.artifact_digest,
        stage=request.target_stage,
        policy_digest=request.policy_digest,
        subject_digest=request.subject_digest,
        issued_at=issued_at,
        valid_until=valid_until,
    )
    return Grant.objects.create(
        request=request,
        version=request.version,
        stage=request.target_stage,
        envelope=grants.sign(content),
        issued_at=issued_at,
        valid_until=valid_until,
    )
