"""The bill of materials: valid by the published schema, saying what is known of files, data, lineage and fairness."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from access.models import User
from audit.errors import Conflict
from registry import bom, model_signing
from registry.actions import data_sets
from registry.models import ModelVersion
from tests import evidence_cases as cases

pytestmark = pytest.mark.django_db
REQUIREMENTS = b"""# made by hand
scikit-learn==1.7.2
Zope.Interface==7.0 ; python_version > "3.8"
numpy>=2
-r other.txt
evil==1.0 --index-url http://x
mlflow[extras]==3.17.2
"""


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/requirements.txt").write_bytes(REQUIREMENTS)
    (tmp_path / "model/MLmodel").write_bytes(b"flavors: {}\n")
    return tmp_path / "model"


@pytest.fixture
def version(folder: Path) -> ModelVersion:
    return cases.ready(cases.scientist(), folder=folder)


def fault(found: dict[str, Any]) -> str | None:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found))
    return None if error is None else str(error)[:2000]


def test_it_is_valid_and_the_validator_can_say_no(version: ModelVersion) -> None:
    found = bom.of(version)
    assert fault(found) is None
    broken = copy.deepcopy(found)
    broken["metadata"]["component"]["modelCard"]["considerations"] = {"opinion": "good"}
    assert fault(broken) is not None


def test_what_it_says_of_the_files(version: ModelVersion) -> None:
    model = bom.of(version)["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "credit", "1")
    assert model["hashes"] == [{"alg": "SHA-256", "content": version.artifact_digest}]
    assert [(file["name"], file["hashes"][0]["content"]) for file in model["components"]] == [
        (entry["path"], entry["sha256"]) for entry in version.artifact_manifest["files"]
    ]
    assert model["externalReferences"][0]["url"] == "http://127.0.0.1:8000/models/credit/versions/1/"


def test_data_sets_are_components_that_the_model_card_points_at(version: ModelVersion) -> None:
    found = bom.of(version)
    (data,) = [one for one in found["components"] if one["type"] == "data"]
    row = version.data_links.first().data_set
    assert (data["name"], data["version"], data["hashes"]) == (
        "credit-rows", "1", [{"alg": "SHA-256", "content": row.digest}],
    )  # fmt: skip
    described = data["data"][0]
    assert described["description"] == "Used for evaluation, training."
    assert described["sensitiveData"] == ["row_id: row_id, identifies a person"]
    said = {entry["name"]: entry["value"] for entry in described["contents"]["properties"]}
    assert (said["plimsoll:rows"], said["plimsoll:protected"], said["plimsoll:label"]) == ("1000", "age, sex", "credit")
    card = found["metadata"]["component"]["modelCard"]
    assert card["modelParameters"] == {"datasets": [{"ref": data["bom-ref"]}], "approach": {"type": "supervised"}}
    assert data["bom-ref"] in found["dependencies"][0]["dependsOn"]


def test_only_pinned_libraries_are_named(version: ModelVersion) -> None:
    libraries = [one["purl"] for one in bom.of(version)["components"] if one["type"] == "library"]
    assert libraries == ["pkg:pypi/zope-interface@7.0", "pkg:pypi/mlflow@3.17.2", "pkg:pypi/scikit-learn@1.7.2"]


def test_a_touched_copy_names_no_library(version: ModelVersion, settings: Any) -> None:
    path = settings.PLIMSOLL_DATA / "artifacts" / version.artifact_digest / "requirements.txt"
    path.chmod(0o600)
    path.write_text("evil==1.0\n")
    assert [one for one in bom.of(version)["components"] if one["type"] == "library"] == []


def test_a_fairness_report_becomes_metrics_and_assessments(version: ModelVersion) -> None:
    attach_fairness(version)
    found = bom.of(version)
    assert fault(found) is None
    card = found["metadata"]["component"]["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "disparate_impact", "value": "0.71", "slice": "age > 25",
         "confidenceInterval": {"lowerBound": "0.6", "upperBound": "0.79"}},
    ]  # fmt: skip
    assert card["considerations"]["fairnessAssessments"] == [
        {"groupAtRisk": "age: everyone for whom “age > 25” does not hold",
         "harms": "Outside the accepted band: Disparate impact."},
    ]  # fmt: skip


def attach_fairness(version: ModelVersion) -> None:
    from registry import jobs
    from registry.actions import evidence
    from registry.states import EvidenceKind, JobKind

    metric = {"label": "Disparate impact", "outcome": "FAIL", "reason": None}
    result = {
        "attributes": [
            {
                "name": "age",
                "rule": "age > 25",
                "metrics": [
                    metric | {"name": "disparate_impact", "value": 0.71, "low": 0.6, "high": 0.79},
                    metric | {"name": "odds", "outcome": "INCONCLUSIVE", "value": None, "low": None, "high": None},
                ],
            }
        ]
    }
    held = jobs.claim(cases.job(version, JobKind.FAIRNESS).pk)
    finding = evidence.Finding(kind=EvidenceKind.FAIRNESS, inputs={}, result=result)
    evidence.attach(job=held, fence=held.fence, finding=finding)


def test_the_same_content_has_the_same_serial_number_and_no_person_is_in_it(version: ModelVersion) -> None:
    first, second = bom.of(version), bom.of(version)
    assert first["serialNumber"] == second["serialNumber"]
    by = cases.scientist()
    author = User.objects.get(pk=version.created_by).username
    assert author not in json.dumps(first)
    evaluation = cases.german(by, "more", excluded=["credit_good", "sex"])
    data_sets.link(by=by, version=version, data_set=evaluation, role="validation")
    assert bom.of(version)["serialNumber"] != first["serialNumber"]


def test_what_is_not_pinned_has_none() -> None:
    with pytest.raises(Conflict, match="have not been read and hashed yet"):
        bom.of(cases.version(cases.scientist()))
    with pytest.raises(Conflict):
        model_signing.bundle(cases.version(cases.scientist(), "other"))
