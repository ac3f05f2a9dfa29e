"""Where a registered version's files may come from, and where they may not."""

from collections.abc import Callable

import pytest

from access.roles import Role
from audit.models import Event
from registry.models import Job, ModelVersion
from tests.web.mlflow.caller import Caller, state
from tests.web.mlflow.standin import FILES, MODEL, MODEL_ROOT, OTHER_RUN, RUN, RUN_ROOT, Tracking

Make = Callable[..., Caller]


def test_where_the_files_are_is_settled_at_creation(scientist: Caller, model: str) -> None:
    def create(**given: str) -> str:
        made = scientist.ok("POST", "model-versions/create", name=model, **given)["model_version"]
        found = scientist.ok("GET", "model-versions/get-download-uri", name=model, version=made["version"])
        return f"{made['source']} {made['run_id']} {found['artifact_uri']}"

    assert create(source=FILES, run_id=RUN) == f"{FILES} {RUN} {RUN_ROOT}/files"
    assert create(source=f"runs:/{RUN}/model", run_id=RUN) == f"runs:/{RUN}/model {RUN} {MODEL_ROOT}"
    assert create(source=f"models:/{MODEL}", model_id=MODEL) == f"models:/{MODEL} {RUN} {MODEL_ROOT}"
    inside = f"{MODEL_ROOT}/sub"
    assert create(source=inside, model_id=MODEL) == f"{inside} {RUN} {inside}"
    assert create(source=f"{RUN_ROOT}/files", run_id=RUN) == f"{RUN_ROOT}/files {RUN} {RUN_ROOT}/files"
    assert create(source="models:/churn/3") == f"models:/churn/3 {RUN} {MODEL_ROOT}"
    assert create(source="models:/churn@blue", run_id=RUN) == f"models:/churn/1 {RUN} {RUN_ROOT}/files"
    assert create(source="models:/churn/latest").startswith("models:/churn/8 ")
    assert Job.objects.filter(kind="artifact").count() == ModelVersion.objects.count() == 9


@pytest.mark.parametrize(
    "given",
    [
        {"source": FILES},
        {"source": FILES, "run_id": OTHER_RUN},
        {"source": FILES, "run_id": RUN, "model_id": MODEL},
        {"source": f"runs:/{'f' * 32}/files", "run_id": "f" * 32},
        {"source": "runs:/../../etc/passwd", "run_id": ".."},
        {"source": f"runs://host/{RUN}/files", "run_id": RUN},
        {"source": f"runs:/{RUN}/%2e%2e/x", "run_id": RUN},
        {"source": f"runs:/{RUN}/%252e%252e%252fx", "run_id": RUN},
        {"source": f"models:/{MODEL}"},
        {"source": f"models:/{MODEL}", "model_id": "m-" + "d" * 32},
        {"source": "models:/m-x/../..", "model_id": "m-x/../.."},
        {"source": f"{RUN_ROOT}/files", "run_id": OTHER_RUN},
        {"source": f"{RUN_ROOT}-else/files", "run_id": RUN},
        {"source": f"{RUN_ROOT}/files"},
        {"source": f"{RUN_ROOT}/../other", "run_id": RUN},
        {"source": f"{RUN_ROOT}/..%2fother", "run_id": RUN},
        {"source": f"{RUN_ROOT}/a\\..\\b", "run_id": RUN},
        {"source": "mlflow-artifacts://host:80/1", "run_id": RUN},
        {"source": f"{RUN_ROOT}?x=1", "run_id": RUN},
        {"source": "mlflow-artifacts:", "run_id": RUN},
        {"source": "file:///etc/passwd", "run_id": RUN},
        {"source": "/etc/passwd", "run_id": RUN},
        {"source": "etc/passwd"},
        {"source": "http://169.254.169.254/latest/meta-data", "run_id": RUN},
        {"source": "s3://bucket/key"},
        {"source": "dummy-source"},
        {"source": "models:/churn/1", "run_id": OTHER_RUN},
        {"source": "models:/churn/Live"},
        {"source": "x" * 501},
        {"source": FILES, "run_id": "f" * 33},
        {"source": FILES, "run_id": RUN, "run_link": "x" * 501},
        {"source": FILES, "run_id": RUN, "description": "x" * 5001},
        {"source": FILES, "run_id": RUN, "tags": [{"key": str(number), "value": ""} for number in range(101)]},
    ],
)
def test_a_source_that_cannot_be_followed_is_refused_and_burns_no_number(
    scientist: Caller, model: str, given: dict[str, object]
) -> None:
    before, refusals = state(), Event.objects.filter(action="model_version.create", outcome="denied").count()
    assert scientist.refused("POST", "model-versions/create", name=model, **given)[:2] == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    assert state() == before
    assert Event.objects.filter(action="model_version.create", outcome="denied").count() == refusals + 1


@pytest.mark.parametrize(
    "source", ["models:/churn/7", "models:/ghost/1", "models:/churn@red", "models:/churn/Archived"]
)
def test_a_copy_of_what_is_not_there_is_a_404(scientist: Caller, model: str, source: str) -> None:
    assert scientist.refused("POST", "model-versions/create", name=model, source=source)[0] == 404


def test_a_copy_of_what_one_may_not_see_is_a_404(scientist: Caller, caller: Make, model: str) -> None:
    team = caller(Role.DATA_SCIENTIST, pattern="team-*")
    team.ok("POST", "registered-models/create", name="team-a")
    assert team.refused("POST", "model-versions/create", name="team-a", source="models:/churn/1")[0] == 404


def test_without_tracking_what_needs_it_says_so_and_the_rest_goes_on(scientist: Caller, model: str, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_TRACKING_URL = "http://127.0.0.1:1"
    refused = scientist.refused("POST", "model-versions/create", name=model, source=FILES, run_id=RUN)
    assert refused[:2] == (503, "TEMPORARILY_UNAVAILABLE")
    assert (
        scientist.ok("POST", "model-versions/create", name=model, source="models:/churn/1")["model_version"]["version"]
        == "2"
    )


def test_tracking_is_told_of_a_version_made_from_a_logged_model(
    scientist: Caller, model: str, tracking: Tracking
) -> None:
    scientist.ok("POST", "model-versions/create", name=model, source=f"models:/{MODEL}", model_id=MODEL)
    told = tracking.asked[-1]
    assert (told.method, told.target) == ("PATCH", f"/api/2.0/mlflow/logged-models/{MODEL}/tags")
    assert b"mlflow.modelVersions" in told.body
