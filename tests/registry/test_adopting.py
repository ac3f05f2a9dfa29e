"""The data sets that a run logged: registered and linked with the rights of whoever registered the version, or noted
with the reason. What a run holds is made by MLflow's own classes.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from access import actions
from access.models import RoleGrant
from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.events import Action
from audit.models import Event
from registry import jobs, roots
from registry.actions import adopting, data_sets, models, work
from registry.models import DataSet, ForeignDataSet, Job, ModelVersion
from registry.states import JobKind, JobState
from tests import evidence_cases as cases
from tests import factories

RUN = "d" * 32
CSV = b"id,age,paid\n1,30,1\n2,20,0\n"


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        files: dict[str, bytes] = self.server.files  # type: ignore[attr-defined]
        if split.path == "/api/2.0/mlflow/runs/get":
            self._send(json.dumps({"run": {"inputs": {"dataset_inputs": self.server.inputs}}}).encode())  # type: ignore[attr-defined]
        elif split.path == "/api/2.0/mlflow-artifacts/artifacts":
            above = query["path"] + "/"
            below = [path.removeprefix(above) for path in files if path.startswith(above)]
            listed = [{"path": name, "file_size": str(len(files[above + name]))} for name in below if "/" not in name]
            self._send(json.dumps({"files": listed}).encode())
        else:
            self._send(files[split.path.removeprefix("/api/2.0/mlflow-artifacts/artifacts/")])

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(settings: Any) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.inputs, server.files = [], {}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings.PLIMSOLL_TRACKING_URL = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "loans.csv").write_bytes(CSV)
    settings.PLIMSOLL_DATA = tmp_path / "store"
    settings.PLIMSOLL_DATA_ROOTS = roots.parse(f"file://{folder}", [])
    return folder


@pytest.fixture
def by(db: None) -> Actor:
    return cases.scientist()


def logged(source: object, name: str | None = "loans", context: str = "training") -> dict[str, Any]:
    """One input of a run, as the client sends it and tracking stores it."""
    import mlflow.data
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2], "age": [30, 20], "paid": [1, 0]})
    made = mlflow.data.from_pandas(frame, source=source, name=name).to_dict()
    tags = [{"key": "mlflow.data.context", "value": context}] if context else []
    return {"dataset": made, "tags": tags}


def version_of(by: Actor, name: str = "credit") -> ModelVersion:
    model = models.create(by=by, name=name)
    with door.open(by, Action.VERSION_CREATE, on=model) as entry:
        row = ModelVersion.objects.create(model=model, number=1, source="s", run_id=RUN, created_by=by.account)
        entry.record(on=row, after={"number": 1})
    return row


def adopt(version: ModelVersion) -> Job:
    job = cases.job(version, JobKind.DATA_SETS)
    work.run(str(job.pk), adopting.adopt, adopting.give_up)
    job.refresh_from_db()
    return job


def links(version: ModelVersion) -> list[tuple[str, str]]:
    rows = version.data_links.select_related("data_set").order_by("role")
    return [(link.role, str(link.data_set)) for link in rows]


def test_pinning_a_version_of_a_run_asks_for_its_data_sets_once(by: Actor, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/MLmodel").write_bytes(b"flavors: {}\n")
    version = version_of(by)
    cases.pin(version, tmp_path / "model")
    cases.pin(version, tmp_path / "model")
    assert Job.objects.filter(version=version, kind="data_sets").count() == 1
    without = cases.pin(cases.version(by, "other"), tmp_path / "model")
    assert not without.jobs.filter(kind="data_sets").exists()


def test_what_lies_in_an_allowed_place_is_registered_and_linked(by: Actor, root: Path, server: Any) -> None:
    entry = logged(str(root / "loans.csv"))
    server.inputs = [entry, logged(str(root / "loans.csv"), context="eval")]
    version = version_of(by)
    assert adopt(version).state == JobState.DONE
    assert links(version) == [("evaluation", "loans v1"), ("training", "loans v1")]
    row = DataSet.objects.get()
    assert (row.created_by, row.owner, row.rows) == (by.account, by.account, 2)
    assert row.mlflow_digest == entry["dataset"]["digest"]
    assert row.digest != row.mlflow_digest
    assert not ForeignDataSet.objects.exists()
    assert Event.objects.filter(action="data_set.adopt", outcome="success").count() == 1
    assert adopt(version).state == JobState.DONE  # and again changes nothing
    assert links(version) == [("evaluation", "loans v1"), ("training", "loans v1")]


def test_artifacts_of_this_installation_are_read(by: Actor, server: Any) -> None:
    server.files = {"1/x/artifacts/data/loans.csv": CSV}
    version = version_of(by)
    source = "mlflow-artifacts:/1/x/artifacts/data/loans.csv"
    server.inputs = [{"dataset": {"name": "a/b:c", "digest": "1", "source_type": "artifact",
                                  "source": json.dumps({"uri": source})},
                      "tags": [{"key": "mlflow.data.context", "value": "Train"}]}]  # fmt: skip
    adopt(version)
    assert links(version) == [("training", "a-b-c v1")]
    assert DataSet.objects.get().location == source


def test_bytes_that_are_known_under_another_name_are_linked_not_copied(by: Actor, root: Path, server: Any) -> None:
    known = data_sets.register_from(by=by, name="curated", location=str(root / "loans.csv"), role="training",
                                    label="paid", identifiers={"id": "customer_id"})  # fmt: skip
    server.inputs = [logged(str(root / "loans.csv"))]
    version = version_of(by)
    adopt(version)
    assert links(version) == [("training", str(known))]
    assert DataSet.objects.count() == 1


def test_the_same_digest_of_mlflow_is_no_identity(by: Actor, root: Path, server: Any) -> None:
    entry = logged(str(root / "loans.csv"))
    (root / "other.csv").write_bytes(CSV + b"3,4,1\n")
    data_sets.register_from(by=by, name="loans", location=str(root / "other.csv"), role="training",
                            mlflow_digest=entry["dataset"]["digest"])  # fmt: skip
    server.inputs = [entry]
    version = version_of(by)
    adopt(version)
    assert links(version) == [("training", "loans v2")]


def test_what_cannot_be_read_is_noted_with_the_reason(by: Actor, root: Path, server: Any) -> None:
    server.inputs = [
        logged("/home/ana/private.csv", name="home"),
        logged("s3://bucket/x.csv", name="bucket"),
        logged(str(root / "gone.csv"), name="gone"),
        logged(str(root / "loans.csv"), name="silent", context=""),
        logged(None, name="code"),
        {"dataset": {"name": "rubbish", "source": "[[["}, "tags": [{"key": "mlflow.data.context", "value": "train"}]},
        {"dataset": 7}, None, {"dataset": {"name": "n" * 5000, "digest": "d" * 500, "source": '{"uri": 5}'}, "tags": 3},
    ]  # fmt: skip
    version = version_of(by)
    assert adopt(version).state == JobState.DONE
    reasons = dict(ForeignDataSet.objects.values_list("name", "reason"))
    assert "this is none of them" in reasons["home"]
    assert "this is none of them" in reasons["bucket"]
    assert reasons["gone"] == "There is nothing at this address."
    assert reasons["silent"] == "The run does not say whether this was for training, validation or evaluation."
    assert "names no place" in reasons["code"]
    assert "names no place" in reasons["rubbish"]
    assert len(reasons) == 7
    note = ForeignDataSet.objects.get(name="home")
    assert (note.role, note.source_type, len(note.mlflow_digest)) == ("training", "local", 8)
    assert json.loads(note.said["schema"])["mlflow_colspec"][0]["name"] == "id"
    assert not DataSet.objects.exists()


def test_it_is_done_with_the_authors_rights(db: None, root: Path, server: Any) -> None:
    narrow = factories.actor(Role.DATA_SCIENTIST, pattern="credit*")
    server.inputs = [logged(str(root / "loans.csv"))]
    version = version_of(narrow)
    adopt(version)
    assert links(version) == []
    assert ForeignDataSet.objects.get().reason.startswith("You may not register a data set")
    gone = factories.actor(Role.DATA_SCIENTIST)
    second = version_of(gone, "other")
    actions.revoke_role(by=SYSTEM, grant=RoleGrant.objects.get(user_id=gone.account))
    adopt(second)
    assert links(second) == []


def test_when_tracking_is_down_it_is_tried_again_and_then_given_up(by: Actor, settings: Any) -> None:
    settings.PLIMSOLL_TRACKING_URL = "http://127.0.0.1:1"
    version = version_of(by)
    job = adopt(version)
    assert (job.state, job.error) == (
        JobState.QUEUED, "The tracking server does not answer right now; try again in a moment.",
    )  # fmt: skip
    Job.objects.filter(pk=job.pk).update(attempts=jobs.MOST_ATTEMPTS - 1)
    work.run(str(job.pk), adopting.adopt, adopting.give_up)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
