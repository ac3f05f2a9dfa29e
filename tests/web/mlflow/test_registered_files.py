"""The files of a registered version stay as they are, whichever way an upload or a removal names them."""

import json
from typing import Any

import pytest
from django.db import connection

from access.roles import Role
from audit.models import Event
from registry.models import ModelVersion
from tests.web.mlflow import standin
from tests.web.mlflow.caller import Caller
from tests.web.mlflow.standin import MODEL, OTHER_RUN, RUN, Tracking

STORE = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def registered(scientist: Caller, tracking: Tracking) -> str:
    """A version of each kind of source; the asked requests are forgotten."""
    scientist.ok("POST", "registered-models/create", name="churn")
    given: list[dict[str, Any]] = [
        {"source": standin.FILES, "run_id": RUN},
        {"source": f"models:/{MODEL}", "model_id": MODEL},
        {"source": f"mlflow-artifacts:/1/{OTHER_RUN}/artifacts/%6dodel/", "run_id": OTHER_RUN},
    ]
    for one in given:
        scientist.ok("POST", "model-versions/create", name="churn", **one)
    tracking.asked.clear()
    return "churn"


def written(tracking: Tracking) -> list[str]:
    """What reached tracking beside our own questions."""
    return [asked.target for asked in tracking.asked if asked.method in {"PUT", "DELETE", "POST"}]


HELD = [
    f"1/{RUN}/artifacts/files",
    f"1/{RUN}/artifacts/files/MLmodel",
    f"1/{RUN}/artifacts/files/deep/er/new.bin",
    f"1/{RUN}/artifacts/%66iles/MLmodel",
    f"1/{RUN}/artifacts/%2566iles/MLmodel",
    f"1/models/{MODEL}/artifacts/MLmodel",
    f"1/{OTHER_RUN}/artifacts/model/MLmodel",
]


@pytest.mark.parametrize("path", HELD)
@pytest.mark.parametrize("api", ["/api", "/ajax-api", "/mlflow/ajax-api"])
def test_an_upload_over_them_is_refused_and_recorded(
    scientist: Caller, registered: str, tracking: Tracking, path: str, api: str
) -> None:
    response = scientist.send("PUT", f"{api}/2.0/mlflow-artifacts/artifacts/{path}", b"other")
    body = json.loads(response.body)
    assert (response.status_code, body["error_code"]) == (403, "PERMISSION_DENIED")
    assert "of the model churn, and what is registered does not change" in body["message"]
    assert written(tracking) == []
    (event,) = Event.objects.filter(action="tracking.write", outcome="denied")
    assert json.loads(bytes(event.leaf_data))["reason_code"] == "registered_files"


@pytest.mark.parametrize("path", [*HELD, f"1/{RUN}", f"1/{RUN}/artifacts", f"1/models/{MODEL}", "1", "1/models"])
def test_so_is_a_removal_of_them_or_of_a_folder_above(
    scientist: Caller, registered: str, tracking: Tracking, path: str
) -> None:
    assert scientist.send("DELETE", f"{STORE}/{path}").status_code == 403
    assert written(tracking) == []


@pytest.mark.parametrize(
    "path", [f"file:1/{RUN}/artifacts/files/MLmodel", f"FILE%3A1/{RUN}/artifacts/files/x", "%2566ile:/etc/x"]
)
def test_an_address_in_place_of_a_path_is_refused(
    scientist: Caller, registered: str, tracking: Tracking, path: str
) -> None:
    for method in ("PUT", "DELETE"):
        assert scientist.send(method, f"{STORE}/{path}", b"x").status_code == 400
    assert written(tracking) == []


def test_the_other_ways_to_write_a_file_are_watched_too(scientist: Caller, registered: str, tracking: Tracking) -> None:
    upload = "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={}&path={}"
    parts = "/api/2.0/mlflow-artifacts/mpu/{}/1/{}/artifacts{}"
    for call, body in (
        (upload.format(RUN, "files/MLmodel"), b"x"),
        (upload.format(RUN, "%2566iles/MLmodel"), b"x"),
        (parts.format("create", RUN, "/files"), b'{"path": "/tmp/MLmodel", "num_parts": 2}'),
        (parts.format("complete", RUN, ""), b'{"path": "files", "upload_id": "u", "parts": []}'),
    ):
        assert scientist.send("POST", call, body).status_code == 403, call
    for call in (upload.format(RUN, "a") + "&path=files", upload.format(RUN, ""), upload.format(RUN, "../x")):
        assert scientist.send("POST", call, b"x").status_code == 400, call
    assert written(tracking) == []
    assert scientist.send("POST", upload.format(RUN, "notes/a b.txt"), b"x").status_code == 200
    assert scientist.send("POST", parts.format("create", RUN, ""), b'{"path": "big.bin"}').status_code == 200
    assert written(tracking) == [
        f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={RUN}&path=notes%2Fa+b.txt",
        parts.format("create", RUN, ""),
    ]


def test_what_lies_beside_them_stays_free(scientist: Caller, registered: str, tracking: Tracking) -> None:
    for path in (f"1/{RUN}/artifacts/files2", f"1/{RUN}/artifacts/other/files", f"1/{OTHER_RUN}/artifacts/x"):
        assert scientist.send("PUT", f"{STORE}/{path}", b"x").status_code == 200
        assert scientist.send("DELETE", f"{STORE}/{path}").status_code == 200
    assert len(written(tracking)) == 6


def test_a_deleted_version_sets_its_files_free(scientist: Caller, registered: str, tracking: Tracking) -> None:
    scientist.ok("DELETE", "model-versions/delete", name="churn", version="1")
    assert scientist.send("PUT", f"{STORE}/1/{RUN}/artifacts/files/MLmodel", b"x").status_code == 200
    assert scientist.send("PUT", f"{STORE}/1/models/{MODEL}/artifacts/MLmodel", b"x").status_code == 403


def test_who_may_not_see_the_version_does_not_learn_its_name(caller: Any, registered: str, tracking: Tracking) -> None:
    other = caller(Role.DATA_SCIENTIST, pattern="team-*")
    response = other.send("PUT", f"{STORE}/1/{RUN}/artifacts/files/MLmodel", b"x")
    assert response.status_code == 403
    message = json.loads(response.body)["message"]
    assert message.startswith("These files belong to a registered model version, and")


def test_the_question_is_answered_from_indexes(registered: str) -> None:
    from audit import guard
    from registry.actions import tracked_files

    (first, *_) = ModelVersion.objects.all()
    rows = [
        ModelVersion(
            model=first.model,
            number=number,
            source=f"runs:/{number:032}/m",
            run_id=f"{number:032}",
            logged_model_id=f"m-{number:032}",
            storage_location=f"mlflow-artifacts:/2/{number:032}/artifacts/m",
            created_by=first.created_by,
        )
        for number in range(1000, 4000)
    ]
    with guard.allow("test"):
        ModelVersion.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        asked = [[f"{2000:032}"], [f"m-{2000:032}"], ["mlflow-artifacts:/2"], f"mlflow-artifacts:/2/{2000:032}/%"]
        # Without statistics, which only the owner may gather, the indexes of what is not deleted seem to hold one row.
        cursor.execute("EXPLAIN " + tracked_files._NEAR.replace("deleted_at IS NULL", "true"), asked)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    for index in ("run", "logged", "storage"):
        assert f"Bitmap Index Scan on registry_version_{index}" in plan, plan
    assert "Seq Scan" not in plan
