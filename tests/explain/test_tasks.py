"""From a pinned model to predictions and an explanation, through the tasks as Celery calls them."""

from pathlib import Path

import pyarrow as pa
import pytest

from audit.actors import Actor
from explain import queries, tasks
from fairness import tasks as fairness_tasks
from registry import storage
from registry.actions import artifacts, data_sets
from registry.models import Evidence, ModelVersion
from registry.queries import evidence
from registry.states import EvidenceKind, JobKind, JobState
from tests import evidence_cases as cases

pytestmark = pytest.mark.django_db


@pytest.fixture
def by() -> Actor:
    return cases.scientist()


def predicted(version: ModelVersion) -> Evidence:
    tasks.predict(str(cases.job(version, JobKind.PREDICTIONS).pk))
    return evidence.newest(version, EvidenceKind.PREDICTIONS)


def explained(version: ModelVersion) -> Evidence:
    tasks.report(str(cases.job(version, JobKind.EXPLANATION).pk))
    return evidence.newest(version, EvidenceKind.EXPLANATION)


def test_predictions_are_kept_in_a_file_and_come_out_the_same_again(by: Actor) -> None:
    version = cases.ready(by)
    row = predicted(version)
    assert (row.status, row.reason) == ("OK", "")
    assert row.result["features"] == cases.FEATURES
    with pa.OSFile(str(storage.existing(row.path))) as file, pa.ipc.open_file(file) as reader:
        table = reader.read_all()
    # The same model asked here, in this process, for the same rows.
    import mlflow.sklearn
    import pandas as pd

    frame = pd.read_parquet(cases.GERMAN)
    model = mlflow.sklearn.load_model(str(cases.trained()))
    assert table["prediction"].to_pylist() == model.predict(frame[cases.FEATURES]).tolist()
    assert storage.describe(row.path).sha256 == row.result["file"]["sha256"]
    again = predicted(version)
    assert again.pk != row.pk
    assert again.result_digest == row.result_digest
    assert again.path != row.path


def test_an_explanation_adds_up_and_comes_out_the_same_again(by: Actor) -> None:
    version = cases.ready(by)
    row = explained(version)
    assert (row.status, row.reason, row.seed) == ("OK", "", 0)
    report = queries.newest_report(version)
    assert report is not None
    assert report["method"] == "linear"
    assert report["additivity_error"] <= report["additivity_tolerance"]
    assert {feature["name"] for feature in report["features"]} == set(cases.FEATURES)
    assert set(report["features"][0]["by_group"]) == {"age", "sex"}
    assert explained(version).result_digest == row.result_digest


def test_a_model_that_cannot_be_loaded_leaves_errors_that_say_so(by: Actor, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no model here")
    version = cases.pin(cases.version(by), tmp_path)
    data_sets.link(by=by, version=version, data_set=cases.german(by), role="evaluation")
    row, why = predicted(version), "The artifact has no MLmodel file, so it is not an MLflow model."
    assert (row.status, row.reason, row.path) == ("ERROR", why, "")
    assert not list(storage.new_file("evidence/x").parent.glob(f"{row.pk}*"))
    fairness_tasks.report(str(cases.job(version, JobKind.FAIRNESS).pk))
    report = evidence.newest(version, EvidenceKind.FAIRNESS)
    assert (report.status, report.reason) == ("ERROR", f"There are no predictions to compare: {why}")
    assert explained(version).status == "ERROR"
    assert not version.jobs.exclude(state=JobState.DONE).exists()


def test_a_stored_model_that_was_touched_is_not_loaded(by: Actor, settings: object, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path
    version = cases.ready(by)
    (artifacts.verify(version) / "added.py").write_text("")
    row = predicted(version)
    assert row.status == "ERROR"
    assert row.reason == "The stored files of credit v1 are not what was pinned: added.py differs. They are not loaded."


def test_data_that_does_not_say_what_is_predicted_is_an_error(by: Actor) -> None:
    version = cases.pin(cases.version(by))
    rows = cases.german(by, label="", favourable=None, protected=[])
    data_sets.link(by=by, version=version, data_set=rows, role="evaluation")
    row = predicted(version)
    assert row.reason.startswith("The data set does not say which column is the label")
