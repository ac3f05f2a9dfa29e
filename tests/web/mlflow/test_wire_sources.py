"""Where a registered version's files may come from, and where they may not."""

import json
import re
from collections.abc import Callable

import pytest

from access.roles import Role
from audit.errors import Invalid
from audit.models import Event
from registry import tracking as asking
from registry.models import Job, ModelVersion
from tests.web.mlflow.caller import Caller, state
from tests.web.mlflow.standin import FILES, MODEL, MODEL_ROOT, OTHER_RUN, RUN, RUN_ROOT, Tracking

Make = Callable[..., Caller]


def test_where_the_files_are_is_settled_at_creation(scientist: Caller, model: str) -> None:
    def create(**given: str) -> str:
        made = scientist.ok("POST", "model-versions/create", name=model, **given)["model_version"]
        found = scientist.ok("GET", "model-versions/get-download-uri", name=model, version=made["version"])
        return f"{made['source']} {made['run_id']} {found['artifact_uri']}"

    assert create(source=FILES, run_id=RUN) == f"{FILES} {RUN} {FILES}"
    assert create(source=f"runs:/{RUN}/model", run_id=RUN) == f"runs:/{RUN}/model {RUN} {MODEL_ROOT}"
    assert create(source=f"models:/{MODEL}", model_id=MODEL) == f"models:/{MODEL} {RUN} {MODEL_ROOT}"
    inside = f"{MODEL_ROOT}/sub"
    assert create(source=inside, model_id=MODEL) == f"{inside} {RUN} {inside}"
    assert create(source=f"{RUN_ROOT}/files", run_id=RUN) == f"{RUN_ROOT}/files {RUN} {RUN_ROOT}/files"
    assert create(source="models:/churn/4") == f"models:/churn/4 {RUN} {MODEL_ROOT}"
    assert create(source="models:/churn@blue", run_id=RUN) == f"models:/churn/1 {RUN} {FILES}"
    assert create(source="models:/churn/latest").startswith("models:/churn/8 ")
    assert create(source="models:/churn@latest").startswith("models:/churn/9 ")
    assert create(source="s3://bucket/a//b/....") == "s3://bucket/a//b/....  s3://bucket/a//b/...."
    assert create(source="s3://bucket/key", model_id=MODEL) == f"s3://bucket/key {RUN} s3://bucket/key"
    assert create(source="runs:/unheard-of", run_id="unheard-of").startswith("runs:/unheard-of unheard-of runs:/")
    assert Job.objects.filter(kind="artifact").count() == ModelVersion.objects.count() == 13


def test_files_are_read_where_the_run_has_them_and_nowhere_else(scientist: Caller, model: str) -> None:
    def read(source: str, **more: str) -> str:
        number = scientist.ok("POST", "model-versions/create", name=model, source=source, **more)["model_version"]
        return asking.artifact_location(ModelVersion.objects.get(number=number["version"]))

    assert read(FILES, run_id=RUN) == f"{RUN_ROOT}/files"
    assert read(f"runs:/{RUN}/model", run_id=RUN) == MODEL_ROOT
    assert read(f"runs:/{RUN}", run_id=RUN) == RUN_ROOT
    assert read("models:/churn/1") == f"{RUN_ROOT}/files"
    with pytest.raises(Invalid, match="The run that this version comes from is not there any more|'runs:/unheard"):
        read("runs:/unheard-of/x", run_id="unheard-of")
    with pytest.raises(Invalid, match="'s3://bucket/key' is not there"):
        read("s3://bucket/key")


@pytest.mark.parametrize(
    "given",
    [
        {"source": FILES},
        {"source": FILES, "run_id": OTHER_RUN},
        {"source": FILES, "run_id": RUN, "model_id": MODEL},
        {"source": "runs:/", "run_id": ""},
        {"source": "runs:relative/files", "run_id": "relative"},
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
        {"source": "s3://bucket/a/../key"},
        {"source": "s3://bucket/a/%252e%252e/key"},
        {"source": "s3://bucket/key", "model_id": "m-unknown"},
        {"source": "abfss://files@account.example/key"},
        {"source": "http://127.0.0.1:8000/api/2.0/mlflow-artifacts/artifacts/1", "run_id": RUN},
        {"source": "file://example.org/key", "run_id": RUN},
        {"source": "models:/churn@red"},
        {"source": "models:/churn/1", "run_id": ""},
        {"source": "dummy-source"},
        {"source": "models:/churn/1", "run_id": OTHER_RUN},
        {"source": "models:/churn/Live"},
        {"source": "x" * 501},
        {"source": FILES, "run_id": "f" * 33},
        {"source": FILES, "run_id": RUN, "run_link": "x" * 501},
        {"source": FILES, "run_id": RUN, "description": "x" * 5001},
        {"source": FILES, "run_id": RUN, "tags": [{"key": str(number), "value": ""} for number in range(1001)]},
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
    "source", ["models:/churn/7", "models:/ghost/1", "models:/ghost@red", "models:/churn/Archived"]
)
def test_a_copy_of_what_is_not_there_is_a_404(scientist: Caller, model: str, source: str) -> None:
    assert scientist.refused("POST", "model-versions/create", name=model, source=source)[0] == 404


def test_a_copy_of_what_one_may_not_see_is_a_404(scientist: Caller, caller: Make, model: str) -> None:
    team = caller(Role.DATA_SCIENTIST, pattern="team-*")
    team.ok("POST", "registered-models/create", name="team-a")
    assert team.refused("POST", "model-versions/create", name="team-a", source="models:/churn/1")[0] == 404


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/etc/passwd", "To use a local path as a model version source, the run_id request parameter has to be spec"),
        ("file:///etc/passwd", "To use a local path as a model version source, the run_id request parameter has to"),
        ("file://example.org/x", "file://example.org/x is not a valid remote uri."),
        ("mlflow-artifacts://host:9000/models/../../../", "If supplying a source as an http, https, local file path"),
        ("s3a://bucket/artifacts/..%2f..%2fx", "If supplying a source as an http, https, local file path"),
        ("mlflow-artifacts://host:9000/models/artifact%00", "If supplying a source as an http, https, local file pa"),
        ("ftp://host:8888/models/../../../", "If supplying a source as an http, https, local file path"),
        ("ftp://host:8888/models", "'source' cannot use the 'ftp' scheme"),
        ("https://host/models", "'source' cannot use the 'https' scheme"),
        ("mlflow-artifacts:/models", "The run_id request parameter must identify the resource that contains the so"),
        ("mlflow-artifacts://host:9000/models", "The run_id request parameter must identify the resource that con"),
        ("runs:/other/model", "The run_id request parameter must identify the resource that contains the source."),
    ],
)
def test_a_source_is_refused_in_the_words_that_clients_look_for(
    scientist: Caller, model: str, source: str, sentence: str
) -> None:
    refused = scientist.refused("POST", "model-versions/create", name=model, source=source, run_id=RUN)
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert refused[2].startswith(f"Invalid model version source: '{source}'. {sentence}")


def test_an_operator_narrows_sources_by_a_pattern_and_allows_schemes(scientist: Caller, model: str, settings) -> None:  # type: ignore[no-untyped-def]
    def create(source: str) -> int:
        return scientist.call("POST", "model-versions/create", name=model, source=source, run_id=RUN)[0]

    settings.MLFLOW_SOURCE_SCHEMES = frozenset({"hdfs"})
    assert [create("hdfs://cluster/key"), create("viewfs://cluster/key"), create("s3://bucket/key")] == [200, 400, 200]
    settings.MLFLOW_SOURCE_PATTERN = re.compile("^mlflow-artifacts:/.*$")
    assert [create("s3://bucket/key"), create(f"{RUN_ROOT}/files")] == [400, 200]


def test_without_tracking_what_needs_it_says_so_and_the_rest_goes_on(scientist: Caller, model: str, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_TRACKING_URL = "http://127.0.0.1:1"
    for given in ({"source": f"{RUN_ROOT}/files", "run_id": RUN}, {"source": f"models:/{MODEL}", "model_id": MODEL}):
        refused = scientist.refused("POST", "model-versions/create", name=model, **given)
        assert refused[:2] == (503, "TEMPORARILY_UNAVAILABLE")
    for number, given in enumerate(({"source": "models:/churn/1"}, {"source": FILES, "run_id": RUN}), start=2):
        made = scientist.ok("POST", "model-versions/create", name=model, **given)["model_version"]
        assert made["version"] == str(number)


def test_tracking_is_told_of_each_version_once(scientist: Caller, model: str, tracking: Tracking) -> None:
    """MLflow's client writes the same note after us, with the number as text."""
    given = {"name": model, "source": f"models:/{MODEL}", "model_id": MODEL}
    scientist.ok("POST", "model-versions/create", **given)
    assert tracking.tags == {"mlflow.modelVersions": '[{"name": "churn", "version": 2}]'}
    written = [{"name": "churn", "version": 2}, {"name": "churn", "version": "2"}]
    tracking.tags["mlflow.modelVersions"] = json.dumps(written)
    scientist.ok("POST", "model-versions/create", **given)
    assert tracking.tags == {
        "mlflow.modelVersions": '[{"name": "churn", "version": 2}, {"name": "churn", "version": 3}]'
    }
    told = tracking.asked[-1]
    assert (told.method, told.target) == ("PATCH", f"/api/2.0/mlflow/logged-models/{MODEL}/tags")
