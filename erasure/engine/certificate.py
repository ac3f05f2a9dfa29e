"""The certificate that ends an erasure: what was done, provable offline, without naming the person.

Belongs here: the body's parts and the conditions under which one may be issued. Does not belong here: signing it
(`signature`), collecting the facts from the database, the PDF.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType, normalise
from erasure.engine.needles import Needles

# For types only: whoever shows a certificate need not load pyarrow and DuckDB.
if TYPE_CHECKING:
    from erasure.engine.rewrite import Rewritten
    from erasure.engine.verify import Verified

FORMAT: Final = "plimsoll-erasure-certificate/1"
OUTCOMES: Final = ("erased", "partly_exempt", "refused", "not_found", "withdrawn")


@dataclass(frozen=True, slots=True)
class IdentifierCount:
    """How many identifiers were searched for, and with which key and rule their digests were made. Never the
    identifiers.
    """

    count: int
    types: tuple[str, ...]
    key_version: int
    normaliser_version: int


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the timeline; `by` is a pseudonym, or empty for the system."""

    step: str
    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True)
class ErasedAsset:
    """One file of a data set before and after. Digests are SHA-256 in hex."""

    asset: str
    data_set_before: str
    data_set_after: str
    file_before: str
    file_after: str
    rows_in: int
    erased: int
    rows_out: int
    kept_digest: str
    erased_with: str
    verified_with: str
    residual: int
    residue_checks: tuple[Mapping[str, str | int], ...]
    pseudonymised: int = 0


@dataclass(frozen=True, slots=True)
class Uncovered:
    asset: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelObligation:
    model: str
    version: str
    artifact_digest: str
    obligation: str
    due_on: date | None = None
    state: str = "open"


@dataclass(frozen=True, slots=True)
class Exemption:
    ground: str
    scope: str
    review_on: date | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    recipient: str
    state: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """A store whose copies may still hold the person until `expires_on`, and what replays the erasure on restore."""

    store: str
    last_copy_at: datetime | None
    expires_on: date | None
    replay: str


@dataclass(frozen=True, slots=True)
class LogHead:
    """Size and root hash (hex) of the trail's tree."""

    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything a certificate says; `body` turns it into the signed mapping."""

    request: str
    regulation: str
    ground: str
    outcome: str
    plan_digest: str
    received_on: date
    nominal_due: date
    legal_due: date
    issued_at: datetime
    identifiers: IdentifierCount
    timeline: Sequence[Moment]
    approvers: Sequence[str]
    log_before: LogHead
    log_after: LogHead
    assets: Sequence[ErasedAsset] = ()
    uncovered: Sequence[Uncovered] = ()
    models: Sequence[ModelObligation] = ()
    exemptions: Sequence[Exemption] = ()
    recipients: Sequence[Recipient] = ()
    backups: Sequence[Backup] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def erased_asset(
    *, asset: str, data_set_before: str, data_set_after: str, rewritten: "Rewritten", verified: "Verified"
) -> ErasedAsset:
    """The asset part from what the rewrite and the verification returned."""
    return ErasedAsset(
        asset=asset,
        data_set_before=data_set_before,
        data_set_after=data_set_after,
        file_before=rewritten.sha256_source,
        file_after=rewritten.sha256_target,
        rows_in=rewritten.rows_in,
        erased=rewritten.erased,
        rows_out=verified.rows,
        kept_digest=rewritten.kept_digest_after,
        erased_with=rewritten.engine,
        verified_with=verified.engine,
        residual=verified.residual,
        residue_checks=tuple(asdict(check) for check in verified.residue_checks),
    )


def body(certificate: Certificate) -> dict[str, Any]:
    """The certificate as plain JSON values: text, whole numbers, true and false, null, lists and mappings.

    Raises EngineError when it would certify what did not happen: rows that do not add up, residue, an unknown outcome,
    a trail that shrank, or nobody who approved.
    """
    if certificate.outcome not in OUTCOMES:
        raise EngineError("outcome_unknown", f"The outcome is not one of: {', '.join(OUTCOMES)}.")
    if certificate.outcome in ("erased", "partly_exempt", "refused") and not certificate.approvers:
        raise EngineError("approver_missing", "A certificate needs at least one approver.")
    if certificate.log_after.size < certificate.log_before.size:
        raise EngineError("log_shrank", "The trail is shorter after the erasure than before it.")
    for asset in certificate.assets:
        _check_asset(asset)
    plain = _plain(asdict(certificate))
    return {"format": FORMAT, **plain}


def _check_asset(asset: ErasedAsset) -> None:
    if asset.rows_out != asset.rows_in - asset.erased:
        raise EngineError("rows_do_not_add_up", f"Rows of asset {asset.asset!r} do not add up.")
    if asset.residual or any(check["hits"] for check in asset.residue_checks):
        raise EngineError("residue_left", f"Asset {asset.asset!r} still holds the person.")


def check_names_nobody(document: Mapping[str, Any], identifiers: Sequence[str], kind: IdentifierType) -> None:
    """Refuse a body in which an identifier occurs: as a whole text, or inside one when it is long enough to mean
    something.
    """
    wanted = {normalise(kind, value) for value in identifiers}
    needles = Needles(kind, identifiers)
    for text in _texts(document):
        if text in wanted or needles.hits(text.encode()):
            raise EngineError("certificate_names_person", "The certificate would name the person; nothing was signed.")


def _texts(node: object) -> list[str]:
    if isinstance(node, str):
        return [node]
    if isinstance(node, Mapping):
        return [text for key, value in node.items() for text in (str(key), *_texts(value))]
    if isinstance(node, list | tuple):
        return [text for value in node for text in _texts(value)]
    return []


def _plain(node: Any) -> Any:
    """JSON values of a part; a float is refused, because its text is not the same everywhere."""
    if isinstance(node, datetime):
        if node.tzinfo is None:
            raise EngineError("time_naive", "A time in the certificate must say its time zone.")
        return node.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(node, date):
        return node.isoformat()
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if node is None or isinstance(node, str | int):
        return node
    raise EngineError("certificate_value", f"A certificate cannot hold a value of type {type(node).__name__}.")
