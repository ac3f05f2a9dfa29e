"""What an actor may see: fetch and authorise together."""

import re
import uuid

from django.db.models import Q, QuerySet

from access import policy
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.events import Action
from registry.fields import MOST_NAME
from registry.models import DataSet, Evidence, ModelVersion, PromotionRequest, RegisteredModel


def _named(field: str, patterns: tuple[str, ...]) -> Q:
    """The filter for names that match one of the role grants' shell patterns."""
    if "*" in patterns:
        return Q()
    match = Q(pk__in=[])
    for pattern in patterns:
        body = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        match |= Q(**{f"{field}__regex": f"^{body}$"})
    return match


def models(by: Actor, action: Action = Action.REGISTRY_VIEW) -> QuerySet[RegisteredModel]:
    """The registered models ``by`` may see."""
    return RegisteredModel.objects.filter(_named("name", policy.patterns_for(by, action)))


def versions(by: Actor, action: Action = Action.REGISTRY_VIEW) -> QuerySet[ModelVersion]:
    """The versions ``by`` may see; deleted ones are gone from here."""
    named = _named("model__name", policy.patterns_for(by, action))
    return ModelVersion.objects.select_related("model").filter(named, deleted_at=None)


def data_sets(by: Actor) -> QuerySet[DataSet]:
    """The data sets ``by`` may see, erased ones included: digest and counts stay."""
    return DataSet.objects.filter(_named("name", policy.patterns_for(by, Action.REGISTRY_VIEW)))


def promotion_requests(by: Actor) -> QuerySet[PromotionRequest]:
    """The promotion requests ``by`` may see."""
    named = _named("model__name", policy.patterns_for(by, Action.PROMOTION_VIEW))
    return PromotionRequest.objects.select_related("model", "version", "version__model").filter(named)


def model(by: Actor, name: str) -> RegisteredModel:
    """The model with this name; NotFound when there is none or it is not visible."""
    row = models(by).filter(name=_text(name)).first()
    if row is None:
        raise no_model(name)
    return row


def version(by: Actor, name: str, number: str | int) -> ModelVersion:
    """Version ``number`` of a model; Invalid when it is no number, NotFound as for ``model``."""
    text = str(number)
    if not re.fullmatch(r"-?[0-9]{1,30}", text):  # int() would take white space and other scripts' digits too
        raise Invalid(f"Parameter 'version' must be an integer, got '{text:.40}'.", code="bad_version")
    wanted = int(text)
    row = versions(by).filter(model__name=_text(name), number=wanted).first() if 0 < wanted < 2**31 else None
    if row is None:
        raise no_version(name, wanted)
    return row


def no_model(name: str) -> NotFound:
    """There is no such model, or it is not theirs to see."""
    return NotFound(f"There is no model called {name[:MOST_NAME]}.", details={"model": name[:MOST_NAME]})


def no_version(name: str, number: int) -> NotFound:
    """There is no such version, or it is not theirs to see."""
    shown = number if abs(number) < 10**20 else "…"
    return NotFound(
        f"There is no version {shown} of {name[:MOST_NAME]}.",
        details={"model": name[:MOST_NAME], "version": str(shown)},
    )


def data_set(by: Actor, name: str, number: str | int) -> DataSet:
    """Number ``number`` of a data set."""
    text = str(number)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Invalid(f"A data set's number is an integer, not '{text[:40]}'.", code="bad_version")
    row = data_sets(by).filter(name=_text(name), number=int(text)).first()
    if row is None:
        raise NotFound(f"There is no data set {name[:MOST_NAME]} v{text}.")
    return row


def promotion_request(by: Actor, request_id: str | uuid.UUID) -> PromotionRequest:
    """One promotion request by id."""
    row = promotion_requests(by).filter(pk=uuid_of(request_id)).first()
    if row is None:
        raise NotFound("There is no such promotion request.")
    return row


def evidence(by: Actor, evidence_id: str | uuid.UUID) -> Evidence:
    """One piece of evidence by id."""
    named = _named("version__model__name", policy.patterns_for(by, Action.REGISTRY_VIEW))
    row = Evidence.objects.select_related("version__model").filter(named, pk=uuid_of(evidence_id)).first()
    if row is None:
        raise NotFound("There is no such evidence.")
    return row


def uuid_of(text: str | uuid.UUID) -> uuid.UUID:
    """The UUID in ``text``; NotFound for anything else, since nothing has such an id."""
    try:
        return text if isinstance(text, uuid.UUID) else uuid.UUID(text)
    except ValueError:
        raise NotFound("There is nothing with such an id.") from None


def _text(name: str) -> str:
    """A name as PostgreSQL can look it up: NUL cannot be stored, so nothing is named with it."""
    return name.replace("\x00", "\ufffd")
