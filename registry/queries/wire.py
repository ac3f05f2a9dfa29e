"""Models and versions with everything an answer shows of them, in a fixed number of queries whatever their number.

Which rows are found is ``visible.py`` and ``search.py``; how they look on the wire is ``web/mlflow/messages.py``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from access.models import User
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from registry import fields
from registry.models import Alias, ModelTag, ModelVersion, RegisteredModel, VersionTag
from registry.queries import visible
from registry.states import Stage

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class VersionRecord:
    """A version with its tags, the aliases that name it, and the user name of its creator."""

    row: ModelVersion
    model_name: str
    tags: Pairs
    aliases: list[str]
    user: str


@dataclass(frozen=True)
class ModelRecord:
    """A model with its tags, its aliases with their versions, and the latest version of each stage."""

    row: RegisteredModel
    tags: Pairs
    aliases: list[tuple[str, int]]
    latest: list[VersionRecord]
    user: str


def versions(rows: Sequence[ModelVersion], *, aliases: bool) -> list[VersionRecord]:
    """The records of some versions (fetched with their models)."""
    keys = [row.pk for row in rows]
    tags: dict[object, Pairs] = {}
    tagged = VersionTag.objects.filter(version__in=keys).order_by("key")
    for version, key, value in tagged.values_list("version", "key", "value"):
        tags.setdefault(version, []).append((key, value))
    named: dict[object, list[str]] = {}
    if aliases:
        for version, name in Alias.objects.filter(version__in=keys).order_by("name").values_list("version", "name"):
            named.setdefault(version, []).append(name)
    users = _user_names(row.created_by for row in rows)
    return [
        VersionRecord(row, row.model.name, tags.get(row.pk, []), named.get(row.pk, []), users.get(row.created_by, ""))
        for row in rows
    ]


def models(rows: Sequence[RegisteredModel]) -> list[ModelRecord]:
    """The records of some models."""
    keys = [row.pk for row in rows]
    tags: dict[object, Pairs] = {}
    tagged = ModelTag.objects.filter(model__in=keys).order_by("key")
    for model, key, value in tagged.values_list("model", "key", "value"):
        tags.setdefault(model, []).append((key, value))
    named: dict[object, list[tuple[str, int]]] = {}
    pointed = Alias.objects.filter(model__in=keys).order_by("name").values_list("model", "name", "version__number")
    for model, name, number in pointed:
        named.setdefault(model, []).append((name, number))
    latest: dict[object, list[VersionRecord]] = {}
    for record in versions(_latest(keys), aliases=False):
        latest.setdefault(record.row.model_id, []).append(record)
    users = _user_names(row.created_by for row in rows)
    return [
        ModelRecord(
            row, tags.get(row.pk, []), named.get(row.pk, []), latest.get(row.pk, []), users.get(row.created_by, "")
        )
        for row in rows
    ]


def _latest(models_: Iterable[object]) -> list[ModelVersion]:
    """The highest version of each model in each stage: looked up by index, however many versions there are."""
    of_model = ModelVersion.objects.filter(model=OuterRef("pk"), deleted_at=None).order_by("-number").values("pk")
    highest = [Subquery(of_model.filter(stage=stage.value)[:1]) for stage in Stage]
    found = RegisteredModel.objects.filter(pk__in=list(models_)).values_list(*highest)
    keys = [key for row in found for key in row if key is not None]
    rows = ModelVersion.objects.select_related("model").defer("artifact_manifest").filter(pk__in=keys)
    return list(rows.order_by("model_id", "stage"))


def _user_names(accounts: Iterable[str]) -> dict[str, str]:
    """``{account id: user name}``, which is what MLflow's ``user_id`` means to its readers."""
    wanted = {account for account in accounts if account}
    return {str(key): name for key, name in User.objects.filter(pk__in=wanted).values_list("id", "username")}


def model(by: Actor, name: str) -> ModelRecord:
    """One model. Raises NotFound."""
    return models([visible.model(by, name)])[0]


def version(by: Actor, name: str, number: str) -> VersionRecord:
    """One version. Raises Invalid for what is no number, NotFound."""
    return versions([visible.version(by, name, number)], aliases=True)[0]


def latest_versions(by: Actor, name: str, stages: Sequence[str]) -> list[VersionRecord]:
    """The latest version in each of ``stages``, or in every stage when none is named. Raises Invalid, NotFound."""
    wanted = {fields.stage_of(stage).value for stage in stages}
    rows = _latest([visible.model(by, name).pk])
    return versions([row for row in rows if not wanted or row.stage in wanted], aliases=True)


def by_alias(by: Actor, name: str, alias: str) -> VersionRecord:
    """The version an alias names; ``latest`` names the highest. Raises Invalid for an alias that is not there."""
    model_row = visible.model(by, name)
    present = visible.versions(by).filter(model=model_row)
    if alias.lower() == "latest":
        row = present.order_by("-number").first()
        if row is None:
            raise NotFound(f"Latest version not found for model {name}.")
    else:
        row = present.filter(aliases__name=alias).first()
        if row is None:
            raise Invalid(f"Registered model alias {alias} not found.", code="unknown_alias")
    return versions([row], aliases=True)[0]
