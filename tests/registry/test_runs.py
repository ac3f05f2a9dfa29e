"""What is kept of the run a version came from, and of the versions it grew from."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.models import Event
from registry import runs as reading
from registry.actions import models, runs, versions
from registry.models import ModelVersion, VersionParent, VersionRun
from tests import factories

RUN = "a" * 32
RECORD: dict[str, Any] = {
    "info": {"run_id": RUN, "run_name": "night\x00run", "experiment_id": "7", "status": "FINISHED", "user_id": "ada",
             "start_time": 1773064800000, "end_time": "1773064860500", "artifact_uri": "mlflow-artifacts:/7/x"},
    "data": {
        "params": [{"key": "lr", "value": "0.1"}, {"key": "depth", "value": "3"}, {"key": "lr", "value": "0.2"}],
        "tags": [{"key": "mlflow.user", "value": "ada"}, {"key": "mlflow.source.git.commit", "value": "c" * 40},
                 {"key": "mlflow.source.git.repoURL", "value": "https://ada:secret@git.example.org/x.git?k=1"},
                 {"key": "mlflow.source.name", "value": "train.py"}],
        "metrics": [{"key": "auc", "value": 0.9}],
    },
    "inputs": {"dataset_inputs": [
        {"tags": [{"key": "mlflow.data.context", "value": "training"}],
         "dataset": {"name": "german", "digest": "9a8b", "source_type": "local", "source": "{}"}},
    ]},
}  # fmt: skip


def test_the_facts_of_a_run_are_kept_without_who_ran_it() -> None:
    facts = reading.facts(RECORD)
    assert facts == {
        "name": "night\ufffdrun",
        "experiment": "7",
        "status": "FINISHED",
        "started_at": datetime(2026, 3, 9, 14, 0, tzinfo=UTC),
        "ended_at": datetime(2026, 3, 9, 14, 1, 0, 500_000, tzinfo=UTC),
        "commit": "c" * 40,
        "repository": "https://git.example.org/x.git",
        "entry_point": "train.py",
        "params": {"depth": "3", "lr": "0.2"},
        "data": [{"name": "german", "digest": "9a8b", "source_type": "local", "context": "training"}],
    }
    assert "ada" not in json.dumps(facts, default=str)
    assert "secret" not in json.dumps(facts, default=str)


@pytest.mark.parametrize(
    "record",
    [{}, {"info": None, "data": [], "inputs": 3}, {"info": {"start_time": "soon", "end_time": 10**30}},
     {"data": {"params": [None, 7, {"value": "x"}, {"key": ""}], "tags": {}}},
     {"inputs": {"dataset_inputs": [None, {}]}}, {"info": {"start_time": True, "end_time": -5}}],
)  # fmt: skip
def test_a_run_of_another_shape_breaks_nothing(record: dict[str, Any]) -> None:
    facts = reading.facts(record)
    assert (facts["params"], facts["started_at"], facts["ended_at"]) == ({}, None, None)


def test_what_is_long_is_cut() -> None:
    many = [{"key": f"p{number:04}", "value": "x" * 6000} for number in range(600)]
    params = reading.facts({"data": {"params": many}})["params"]
    assert len(params) == 500
    assert {len(value) for value in params.values()} == {500}


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        known = self.path.endswith(RUN)
        body = json.dumps({"run": RECORD} if known else {"error_code": "RESOURCE_DOES_NOT_EXIST"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def tracking(settings: Any) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings.PLIMSOLL_TRACKING_URL = f"http://127.0.0.1:{server.server_address[1]}"
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def by(db: None) -> Actor:
    return factories.actor(Role.DATA_SCIENTIST)


def version_of(by: Actor, run_id: str, name: str = "churn") -> ModelVersion:
    model = models.create(by=by, name=name)
    with door.open(by, Action.VERSION_CREATE, on=model) as entry:
        row = ModelVersion.objects.create(model=model, number=1, source="s", run_id=run_id, created_by=by.account)
        entry.record(on=row)
    return row


def test_the_sweep_keeps_each_run_once(by: Actor, tracking: None) -> None:
    known, unknown = version_of(by, RUN), version_of(by, "f" * 32, "other")
    version_of(by, "", "third")
    assert (runs.sweep(), runs.sweep()) == (2, 0)
    kept = VersionRun.objects.get(version=known)
    assert (kept.run_id, kept.params, kept.commit) == (RUN, {"depth": "3", "lr": "0.2"}, "c" * 40)
    assert VersionRun.objects.get(version=unknown).status == "UNKNOWN"
    assert Event.objects.filter(action="run.record", outcome="success").count() == 2
    assert runs.record(by=SYSTEM, version=known) == kept


def test_while_tracking_is_away_nothing_is_lost(by: Actor, settings: Any) -> None:
    version_of(by, RUN)
    settings.PLIMSOLL_TRACKING_URL = "http://127.0.0.1:9"
    assert runs.sweep() == 0
    assert not VersionRun.objects.exists()


PROMPT = {"mlflow.prompt.is_prompt": "true"}


def tuned(by: Actor, said: str) -> ModelVersion:
    model = models.create(by=by, name="tuned")
    return versions.create(by=by, model=model, source="dummy-source", tags={**PROMPT, runs.FINE_TUNED_TAG: said})


def test_a_tag_says_what_a_version_was_fine_tuned_from(by: Actor) -> None:
    base, other = version_of(by, ""), version_of(by, "", "other")
    version = tuned(by, "models:/churn/1\n\n  models:/other/1 \nmodels:/churn/1")
    found = [(row.parent, row.kind) for row in VersionParent.objects.filter(version=version).order_by("parent_name")]
    assert found == [(base, "fine_tuned"), (other, "fine_tuned")]


@pytest.mark.parametrize(
    ("said", "refusal"),
    [("churn/1", Invalid), ("models:/churn@blue", Invalid), ("models:/churn/99", NotFound),
     ("\n".join(["models:/churn/1"] * 21), Invalid), ("models:/secret/1", NotFound)],
)  # fmt: skip
def test_a_parent_that_is_not_there_is_refused(by: Actor, said: str, refusal: type[Exception]) -> None:
    version_of(by, "")
    version_of(by, "", "secret")
    with pytest.raises(refusal):
        tuned(factories.actor(Role.DATA_SCIENTIST, pattern="tuned") if "secret" in said else by, said)
    assert not VersionParent.objects.exists()


def test_a_copy_remembers_what_it_was_copied_from(by: Actor) -> None:
    base = version_of(by, "")
    with door.open(by, Action.VERSION_UPDATE, on=base) as entry:
        ModelVersion.objects.filter(pk=base.pk).update(storage_location="mlflow-artifacts:/1/x")
        entry.record()
    target = models.create(by=by, name="target")
    copy = versions.create(by=by, model=target, source="models:/churn/1")
    row = VersionParent.objects.get(version=copy)
    assert (row.parent, row.kind, row.parent_name, row.parent_number) == (base, "copy", "churn", 1)
    models.delete(by=by, model=base.model)
    row.refresh_from_db()
    assert (row.parent, row.parent_name) == (None, "churn")
