"""Real models, data and versions for tests of evidence: German Credit, a trained pipeline, and files as a source."""

import functools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.events import Action
from registry import jobs
from registry.actions import artifacts, data_sets, models, work
from registry.models import DataSet, Job, ModelVersion
from registry.states import JobKind
from tests import factories

GERMAN = Path(__file__).resolve().parent.parent / "demo" / "data" / "german.parquet"
FEATURES = ["month", "credit_amount", "savings", "age", "housing", "status"]
AGE = {"name": "age", "column": "age", "privileged": {"op": ">", "value": 25}}
SEX = {"name": "sex", "column": "sex", "privileged": {"op": "in", "value": ["male"]}}
MEANING: dict[str, Any] = {
    "label": "credit",
    "favourable": 1,
    "protected": [AGE, SEX],
    "identifiers": {"row_id": "row_id"},
    "excluded": ["credit_good"],
}


@functools.cache
def trained() -> Path:
    """A small scikit-learn pipeline as MLflow saves it, with a signature; made once a run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.sklearn
        import pandas as pd
        from mlflow.models import infer_signature
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        frame = pd.read_parquet(GERMAN)
        rows = frame[FEATURES].astype(dict.fromkeys(("savings", "housing", "status"), "object"))
        prepare = ColumnTransformer(
            [
                ("amounts", StandardScaler(), ["month", "credit_amount", "age"]),
                ("codes", OneHotEncoder(handle_unknown="ignore"), ["savings", "housing", "status"]),
            ]
        )
        model = make_pipeline(prepare, LogisticRegression(max_iter=500)).fit(rows, frame["credit"])
        target = Path(tempfile.mkdtemp(dir=settings.PLIMSOLL_DATA)) / "model"
        mlflow.sklearn.save_model(
            model, target, signature=infer_signature(rows, frame["credit"]), pip_requirements=["scikit-learn"]
        )
    return target


class Folder:
    """A folder on this machine as the source of a version's files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def artifact_location(self, version: ModelVersion) -> str:
        return str(self.root)

    def iter_files(self, location: str) -> Iterator[tuple[str, int]]:
        for path in sorted(Path(location).rglob("*")):
            if path.is_file():
                yield path.relative_to(location).as_posix(), path.stat().st_size

    def fetch(self, location: str, relative_path: str) -> Iterator[bytes]:
        yield (Path(location) / relative_path).read_bytes()


def scientist() -> Actor:
    return factories.actor(Role.DATA_SCIENTIST)


def version(by: Actor, name: str = "credit") -> ModelVersion:
    """A registered version without files, as it stands before its artifact is pinned."""
    model = models.create(by=by, name=name)
    with door.open(by, Action.VERSION_CREATE, on=model) as entry:
        row = ModelVersion.objects.create(model=model, number=1, source="mlflow-artifacts:/1", created_by=by.account)
        entry.record(on=row, after={"number": 1})
    return row


def job(row: ModelVersion, kind: JobKind) -> Job:
    """The waiting job of this kind, made if nothing has asked for one."""
    from django.db import transaction

    with transaction.atomic():
        return jobs.enqueue(version=row, kind=kind, requested_by=row.created_by)


def pin(row: ModelVersion, folder: Path | None = None) -> ModelVersion:
    """Pin the files in ``folder`` (the trained pipeline) through the job that does it."""
    source = Folder(folder or trained())
    work.run(str(job(row, JobKind.ARTIFACT).pk), lambda held: artifacts.pin(held, by=SYSTEM, source=source))
    row.refresh_from_db()
    return row


def german(by: Actor, name: str = "german", role: str = "evaluation", **said: Any) -> DataSet:
    """German Credit, registered."""
    with GERMAN.open("rb") as content:
        return data_sets.register(
            by=by, name=name, content=content, filename="german.parquet", role=role, **{**MEANING, **said}
        )


def ready(by: Actor, name: str = "credit", folder: Path | None = None) -> ModelVersion:
    """A version with pinned files, German Credit linked as what it was trained and evaluated on."""
    row = pin(version(by, name), folder)
    rows = german(by, f"{name}-rows")
    for role in ("training", "evaluation"):
        data_sets.link(by=by, version=row, data_set=rows, role=role)
    return row
