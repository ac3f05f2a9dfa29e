"""Moving a version between stages and an alias between versions, inside a door that is already open.

Both are called by the ungoverned acts (``registry/actions/versions.py``, ``aliases.py``) and by applying a promotion;
the refusals for protected stages and aliases, and for what is frozen, stand here, once.
"""

from datetime import datetime
from urllib.parse import quote

from django.conf import settings
from django.db.models import Q

from audit.actors import Actor
from audit.clock import now
from audit.errors import Denied
from registry import outbox, protection
from registry.actions import cause
from registry.models import Alias, Grant, ModelVersion, RegisteredModel, StageChange
from registry.states import PROTECTED_STAGES, Stage


def promotion_address(model: str, number: int | str) -> str:
    """The page on which a promotion of this version is filed."""
    return f"{settings.PLIMSOLL_PUBLIC_URL}/models/{quote(model, safe='')}/versions/{number}/promote/"


def refuse_protected_stage(version: ModelVersion, to_stage: Stage) -> None:
    """Raise Denied when a stage change would enter or leave a protected stage without a grant."""
    entangled = {to_stage, Stage(version.stage)} & protection.stages()
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
    stage = protection.aliases().get(alias.lower())
    if stage is not None:
        raise Denied(
            f"The alias {alias} of {model.name} belongs to {stage.value} and moves only by a promotion that was"
            f" approved: file one at {promotion_address(model.name, number)} .",
            code="protected_alias",
        )


def once_protected(model: RegisteredModel, version: ModelVersion | None = None) -> ModelVersion | None:
    """The version of ``model`` (or this one version) that is, or ever was, in a protected stage; the latest such."""
    names = [stage.value for stage in protection.stages()]
    if not names:
        return None
    rows = model.versions.all() if version is None else model.versions.filter(pk=version.pk)
    now_in = rows.filter(stage__in=names).order_by("-number").first()
    if now_in is not None:
        return now_in
    moved = Q(from_stage__in=names) | Q(to_stage__in=names)
    change = StageChange.objects.select_related("version").filter(moved, version__in=rows).order_by("-at").first()
    return change.version if change else None


def refuse_frozen(version: ModelVersion, what: str) -> None:
    """Raise Denied when ``version`` is or was in a protected stage: what was judged stays as it was judged."""
    if once_protected(version.model, version) is None:
        return
    names = " or ".join(sorted(stage.value for stage in protection.stages()))
    raise Denied(
        f"{version} is or was in {names} and is frozen: {what}. What was approved stays as it was approved; register a"
        f" new version, and file its promotion at {promotion_address(version.model.name, version.number)} .",
        code="frozen",
    )


def move(
    version: ModelVersion, to_stage: Stage, *, by: Actor, grant: Grant | None = None, at: datetime | None = None
) -> None:
    """Put ``version`` (locked) into ``to_stage`` and write the change down; ``at`` is shared by moves that are one.

    To the stage it is in already, it only counts as touched, as in MLflow.
    """
    moment = at or now()
    version.updated_at = moment
    RegisteredModel.objects.filter(pk=version.model_id).update(updated_at=moment)
    if version.stage == to_stage:
        version.save(update_fields=["updated_at"])
        return
    cause.tell(by, at=moment, grant=grant.pk if grant else None, sole=to_stage in protection.stages())
    StageChange.objects.create(
        version=version, from_stage=version.stage, to_stage=to_stage.value, at=moment, by=by.account or "", grant=grant
    )
    outbox.of_version(version, "transitioned", data={"from_stage": version.stage, "to_stage": to_stage.value})
    version.stage = to_stage.value
    version.stage_open = to_stage in PROTECTED_STAGES - protection.stages()
    version.save(update_fields=["stage", "stage_open", "updated_at"])


def point(
    model: RegisteredModel,
    alias: str,
    version: ModelVersion,
    *,
    by: Actor,
    grant: Grant | None = None,
    at: datetime | None = None,
) -> int | None:
    """Make ``alias`` name ``version``; the number it named before, if any."""
    cause.tell(by, at=at, grant=grant.pk if grant else None)
    outbox.of_alias(model, "created", alias, version.number)
    row = Alias.objects.select_related("version").filter(model=model, name=alias).first()
    if row is None:
        Alias.objects.create(model=model, name=alias, version=version)
        return None
    before = row.version.number
    row.version = version
    row.save(update_fields=["version"])
    return before
