"""Filing an erasure request: check what was said, seal the identifier, count the days."""

import re
import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from audit import door, keys
from audit.actors import Actor
from audit.clock import now
from audit.errors import Duplicate, Invalid
from audit.events import Action
from audit.ids import uuid7
from audit.subjects import Subject
from erasure import queries, rules, sealing
from erasure.actions import moves
from erasure.engine import identifiers
from erasure.engine.deadlines import deadlines
from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType
from erasure.models import ErasureRequest
from erasure.states import GROUNDS
from registry.actions.data_sets import lock

SOURCE: Final = "officer"
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_SUBDIVISION: Final = re.compile(r"[A-Za-z0-9]{1,3}")
_SOURCE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# It is already tomorrow somewhere: a local date of receipt may be ahead of UTC by so much.
_FURTHEST_AHEAD: Final = timedelta(hours=14)


@dataclass(frozen=True)
class Filed:
    """The request, and whether it was made now or had been filed before in the same words."""

    request: ErasureRequest
    is_new: bool


def file(
    *,
    by: Actor,
    identifier_type: str,
    identifier_value: str,
    external_id: str,
    ground: str,
    country: str,
    received_on: date,
    subdivision: str = "",
    source: str = SOURCE,
) -> Filed:
    """File a request for the data subject with this identifier. Filing the same again gives the same request.

    Raises Invalid with a sentence that does not repeat the identifier, Duplicate when the external id stands for
    another content already.
    """
    key = uuid7()
    subject = Subject(type="erasure_request", id=str(key))
    try:
        with door.open(by, Action.ERASURE_FILE, on=subject) as entry:
            said = _checked(
                identifier_type=identifier_type,
                identifier_value=identifier_value,
                external_id=external_id,
                ground=ground,
                country=country,
                subdivision=subdivision,
                received_on=received_on,
                source=source,
            )
            lock(f"erasure/{said['source']}/{said['external_id']}")
            known = ErasureRequest.objects.filter(source=said["source"], external_id=said["external_id"]).first()
            if known is not None:
                _check_same(known, said)
                entry.record(on=known, after={"state": known.state, "repeated": True})
                return Filed(known, is_new=False)
            request = _create(by, key, said, identifier_value)
            entry.record(
                on=request,
                after={
                    "state": request.state,
                    "identifier_type": request.identifier_type,
                    "ground": request.ground,
                    "received_on": request.received_on.isoformat(),
                    "nominal_due": request.nominal_due.isoformat(),
                },
                private={"external_id": request.external_id},
            )
            return Filed(request, is_new=True)
    except BaseException:
        sealing.shred(key)
        raise


def _create(by: Actor, key: uuid.UUID, said: dict[str, Any], value: str) -> ErasureRequest:
    counted = deadlines(said["received_on"], said["country"], said["subdivision"])
    size, root = queries.log_head()
    request = ErasureRequest(
        pk=key,
        **said,
        key_version=identifiers.KEY_VERSION,
        normaliser_version=identifiers.NORMALISER_VERSION,
        box=sealing.seal(key, value),
        nominal_due=counted.nominal,
        legal_due=counted.legal,
        extended_due=counted.extended,
        holidays_known=counted.holidays_known,
        filer=by.account or "",
        log_size_before=size,
        log_root_before=root,
    )
    request.save(force_insert=True)
    moves.wake(moves.DISCOVER, request)
    return request


def _checked(
    *,
    identifier_type: str,
    identifier_value: str,
    external_id: str,
    ground: str,
    country: str,
    subdivision: str,
    received_on: date,
    source: str,
) -> dict[str, Any]:
    """What was said, as it is stored: the identifier as a keyed digest only."""
    try:
        kind = identifiers.identifier_type(identifier_type)
        digest = identifiers.keyed_digest(keys.secret("erasure"), kind, identifier_value)
    except EngineError as error:
        raise Invalid(str(error), code=error.code) from None
    if ground not in GROUNDS:
        raise Invalid(f"The ground is one of {', '.join(GROUNDS)}.", code="unknown_ground")
    country, subdivision = country.strip(), subdivision.strip()
    if not _COUNTRY.fullmatch(country):
        raise Invalid("The country is a code of two letters, such as DE.", code="bad_country")
    if subdivision and not _SUBDIVISION.fullmatch(subdivision):
        raise Invalid("The subdivision is a code of one to three letters or digits, such as BY.", code="bad_country")
    if not _SOURCE.fullmatch(source):
        raise Invalid("The source is 1 to 64 letters, digits and the signs . _ -", code="bad_source")
    _check_received(received_on)
    return {
        "source": source,
        "external_id": _external_id(external_id, kind, identifier_value),
        "ground": ground,
        "country": country.upper(),
        "subdivision": subdivision.upper(),
        "received_on": received_on,
        "identifier_type": kind.value,
        "identifier_digest": digest,
    }


def _external_id(text: str, kind: IdentifierType, value: str) -> str:
    text = text.strip()
    if not text or len(text) > rules.MOST_EXTERNAL_ID or not text.isprintable():
        raise Invalid(
            f"The external id is the case's reference: 1 to {rules.MOST_EXTERNAL_ID} printable characters.",
            code="bad_external_id",
        )
    if rules.names_person(text, kind, value):
        raise Invalid(
            "The external id names the data subject. It is kept; use a reference that does not.", code="names_person"
        )
    return text


def _check_received(day: date) -> None:
    if day > (now() + _FURTHEST_AHEAD).date():
        raise Invalid("The date of receipt lies in the future.", code="bad_received_on")
    if day < rules.EARLIEST_RECEIPT:
        raise Invalid(
            f"The date of receipt lies before {rules.EARLIEST_RECEIPT.isoformat()}, when the regulation first applied.",
            code="bad_received_on",
        )


def _check_same(known: ErasureRequest, said: dict[str, Any]) -> None:
    if any(getattr(known, name) != value for name, value in said.items()):
        raise Duplicate(
            "This external id was filed before with another content; a reference stands for one request.",
            code="external_id_taken",
            details={"request": str(known.pk)},
        )
