"""Moving a version between stages and an alias between versions, inside a door that is already open.

Both are called by the ungoverned acts (``registry/actions/versions.py``, ``aliases.py``) and by applying a promotion;
the refusal for protected stages and aliases stands here, once.
"""

from urllib.parse import quote

from django.conf import settings

from audit.actors import Actor
from audit.clock import now
from audit.errors import Denied
from registry.models import Alias, Grant, ModelVersion, RegisteredModel, StageChange
from registry.states import PROTECTED_ALIASES, PROTECTED_STAGES, Stage


def promotion_address(model: str, number: int | str) -> str:
    """The page on which a promotion of this version is filed."""
    return f"{settings.PLIMSOLL_PUBLIC_URL}/models/{quote(model, safe='')}/versions/{number}/promote/"


def refuse_protected_stage(version: ModelVersion, to_stage: Stage) -> None:
    """Raise Denied when a stage change would enter or leave a protected stage without a grant."""
    entangled = {to_stage, Stage(version.stage)} & PROTECTED_STAGES
    if not entangled:
        return
    stage = next(iter(entangled))
    raise Denied(
        f"{version} can enter or leave {stage.value} only by a promotion that was approved: file one at"
        f" {promotion_address(version.model.name, version.number)} .",
        code="protected_stage",
    )


def refuse_protected_alias(model: RegisteredModel, alias: str, number: int | str) -> None:
    """Raise Denied for an alias that belongs to a protected stage."""
    if alias.lower() in PROTECTED_ALIASES:
        raise Denied(
            f"The alias {alias} of {model.name} belongs to {PROTECTED_ALIASES[alias.lower()].value} and moves only by a"
            f" promotion that was approved: file one at {promotion_address(model.name, number)} .",
            code="protected_alias",
        )


def move(version: ModelVersion, to_stage: Stage, *, by: Actor, grant: Grant | None = None) -> None:
    """Put ``version`` (locked) into ``to_stage`` and write the change down."""
    if version.stage == to_stage:
        return
    moment = now()
    StageChange.objects.create(
        version=version, from_stage=version.stage, to_stage=to_stage.value, at=moment, by=by.account or "", grant=grant
    )
    version.stage = to_stage.value
    version.updated_at = moment
    version.save(update_fields=["stage", "updated_at"])
    RegisteredModel.objects.filter(pk=version.model_id).update(updated_at=moment)


def point(model: RegisteredModel, alias: str, version: ModelVersion) -> int | None:
    """Make ``alias`` name ``version``; the number it named before, if any."""
    row = Alias.objects.select_related("version").filter(model=model, name=alias).first()
    if row is None:
        Alias.objects.create(model=model, name=alias, version=version)
        return None
    before = row.version.number
    row.version = version
    row.save(update_fields=["version"])
    return before
