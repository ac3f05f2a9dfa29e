"""Signing off: a second person ends an executed request, and with that the signed certificate is issued."""

import base64
import hashlib
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from audit import door, keys
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict
from audit.events import Action
from audit.models import Pseudonym
from audit.queries import life_of
from erasure import queries, sealing
from erasure.actions import moves
from erasure.engine import certificate as parts
from erasure.engine import signature
from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType
from erasure.models import ErasureCertificate, ErasureRequest, ErasureTask
from erasure.states import Act, Outcome, TaskState
from registry import outbox

_MOST_STEPS: Final = 500


def signing_key() -> Ed25519PrivateKey:
    """The installation's key for certificates: 32 secret bytes outside the database."""
    return Ed25519PrivateKey.from_private_bytes(keys.secret("certificates"))


def public_key() -> Ed25519PublicKey:
    """What certificates of this installation are verified with."""
    return signing_key().public_key()


def public_key_text() -> str:
    """The same as people hand it on: 32 bytes in base64url."""
    return base64.urlsafe_b64encode(public_key().public_bytes_raw()).rstrip(b"=").decode()


def key_id() -> str:
    """The name of the key in certificates."""
    return f"{settings.PLIMSOLL_ORIGIN}/certificates"


def sign_off(*, by: Actor, request: ErasureRequest, comment: str = "") -> ErasureCertificate:
    """Complete a request whose erasure was executed and verified. The identifier's key is shredded.

    Raises Conflict when the request does not wait for it, or when the certificate would say what it must not.
    """
    with door.open(by, Action.ERASURE_SIGN, on=request) as entry:
        request = entry.locked
        before = request.state
        text = moves.text_of(comment, request)
        moves.move(request, Act.SIGN)
        request.signer = by.account or ""
        content = _signed(request, sealing.value_of(request), now())
        row = ErasureCertificate.objects.create(
            request=request, content=content, sha256=hashlib.sha256(content).hexdigest()
        )
        moves.close(request, by=by.account or "", outcome=outcome_of(request).value)
        request.save()
        told = {"request": str(request.pk), "outcome": request.outcome, "certificate": row.sha256}
        outbox.tell("erasure", "completed", on=request.subject(), data=told)
        entry.record(
            before={"state": before},
            after={"state": request.state, "outcome": request.outcome, "certificate": row.sha256},
            reason=text,
        )
        return row


def outcome_of(request: ErasureRequest) -> Outcome:
    """Whether anything was there to erase."""
    return Outcome.ERASED if request.tasks.exclude(state=TaskState.WAITING.value).exists() else Outcome.NOT_FOUND


def _signed(request: ErasureRequest, identifier: str, at: datetime) -> bytes:
    try:
        body = parts.body(_certificate(request, at))
        parts.check_names_nobody(body, [identifier], IdentifierType(request.identifier_type))
        return signature.sign(body, signing_key(), key_id())
    except EngineError as error:
        raise Conflict(str(error), code=error.code) from None


def _certificate(request: ErasureRequest, at: datetime) -> parts.Certificate:
    size, root = queries.log_head()
    plan: dict[str, Any] = request.plan or {}
    timeline = [*_timeline(request), parts.Moment("completed", at, _pseudonym(request.signer))]
    return parts.Certificate(
        request=str(request.pk),
        regulation=request.regulation,
        ground=request.ground,
        outcome=outcome_of(request).value,
        plan_digest=request.approved_plan_digest,
        received_on=request.received_on,
        nominal_due=request.nominal_due,
        legal_due=request.legal_due,
        issued_at=at,
        identifiers=parts.IdentifierCount(
            1, (request.identifier_type,), request.key_version, request.normaliser_version
        ),
        timeline=timeline,
        approvers=[_pseudonym(request.approver)],
        log_before=parts.LogHead(request.log_size_before, request.log_root_before),
        log_after=parts.LogHead(size, root),
        assets=[_asset(task) for task in queries.tasks_of(request) if task.state != TaskState.WAITING],
        uncovered=[parts.Uncovered(entry["asset"], entry["reason"]) for entry in plan["not_covered"]],
        models=_models(request),
        notes=_notes(request, plan),
    )


def _timeline(request: ErasureRequest) -> list[parts.Moment]:
    """The recorded moves, from the trail itself, so that both can be laid side by side."""
    moments = []
    for entry in life_of("erasure_request", str(request.pk), most=_MOST_STEPS):
        if entry.leaf["outcome"] == "success":
            after = entry.leaf["change"].get("after") or {}
            actor = entry.leaf["actor"]
            by = actor["ref"] if actor["type"] in {"user", "service"} else ""
            moments.append(parts.Moment(str(after.get("state", entry.leaf["action"])), entry.recorded_at, by))
    return moments


def _pseudonym(account: str) -> str:
    """How the trail calls an account; empty for one that has never acted before."""
    return Pseudonym.objects.filter(account=account).values_list("ref", flat=True).first() or ""


def _asset(task: ErasureTask) -> parts.ErasedAsset:
    after = task.successor.digest if task.successor else ""
    return parts.ErasedAsset(
        asset=str(task.data_set),
        data_set_before=task.data_set.digest,
        data_set_after=after,
        file_before=task.file_before,
        file_after=task.file_after,
        rows_in=task.rows_in or 0,
        erased=task.erased or 0,
        rows_out=task.rows_out or 0,
        kept_digest=task.kept_digest,
        erased_with=task.erased_with,
        verified_with=task.verified_with,
        residual=task.residual or 0,
        residue_checks=tuple(task.residue_checks),
    )


def _models(request: ErasureRequest) -> list[parts.ModelObligation]:
    """One line per version; the “v” keeps a version's number from reading like somebody's id."""
    found = {}
    for row in request.obligations.select_related("version__model").order_by("version__model__name", "version__number"):
        version = row.version
        found[version.pk] = parts.ModelObligation(
            model=version.model.name,
            version=f"v{version.number}",
            artifact_digest=version.artifact_digest,
            obligation=row.kind,
            due_on=row.due_on,
            state=row.state,
        )
    return list(found.values())


def _notes(request: ErasureRequest, plan: dict[str, Any]) -> list[str]:
    emptied = sum(task.reports_emptied for task in queries.tasks_of(request))
    notes = [f"Data sets searched: {len(plan['searched'])}."]
    if emptied:
        notes.append(f"Files of predictions deleted: {emptied}.")
    if request.tasks.exclude(state=TaskState.WAITING.value).exists():
        notes.append("Model versions trained on the old content cannot be reproduced from it any more.")
    return notes
