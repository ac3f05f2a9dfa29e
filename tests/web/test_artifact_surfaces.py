"""A version's files on pages and over REST: how they stand, what can be taken away, and who is told of an alarm."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM
from registry import model_signing
from registry.actions import checks, work
from registry.models import Job, ModelVersion
from registry.states import JobKind
from tests import evidence_cases as cases
from tests import factories
from tests.web.pages.case import client_of as browser

pytestmark = pytest.mark.django_db
HERE = "/api/v1/models/credit/versions/1"
PAGE = "/models/credit/versions/1/"


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/MLmodel").write_bytes(b"flavors: {}\n")
    return tmp_path / "model"


@pytest.fixture
def ana() -> User:
    return factories.account(Role.DATA_SCIENTIST, username="ana")


@pytest.fixture
def version(ana: User, folder: Path) -> ModelVersion:
    return cases.pin(cases.version(actor_of(ana, "session")), folder)


def rest(user: User) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=user, name="test")
    return Client(headers={"Authorization": f"Bearer {secret}"})


def touch(version: ModelVersion, folder: Path, settings: Any) -> None:
    """Change a byte of the stored copy and have it noticed."""
    path = settings.PLIMSOLL_DATA / "artifacts" / version.artifact_digest / "MLmodel"
    path.chmod(0o600)
    path.write_bytes(b"flavors: []\n")
    job = cases.job(version, JobKind.CHECK)
    work.run(str(job.pk), lambda held: checks.check(held, source=cases.Folder(folder)), checks.give_up)


def test_a_check_is_asked_for_and_its_finding_read(
    version: ModelVersion, ana: User, folder: Path, settings: Any
) -> None:
    client = rest(ana)
    before = client.get(f"{HERE}/checks/").json()
    assert (before["check"]["outcome"], before["alarm"]) == ("GOOD", None)
    answer = client.post(f"{HERE}/checks/", content_type="application/json")
    assert (answer.status_code, answer.json()["kind"], answer.json()["state"]) == (202, "check", "queued")
    assert client.post(f"{HERE}/checks/", content_type="application/json").json()["id"] == answer.json()["id"]
    touch(version, folder, settings)
    after = client.get(f"{HERE}/checks/").json()
    assert after["check"]["outcome"] == "MISMATCH"
    assert after["alarm"]["found"]["copy"]["differing"] == [{"path": "MLmodel", "how": "changed"}]
    alarms = client.get("/api/v1/artifact-alarms/").json()["alarms"]
    assert [(alarm["model"], alarm["version"], alarm["cleared_at"]) for alarm in alarms] == [("credit", "1", None)]


def test_alarms_are_for_those_who_may_check(version: ModelVersion, folder: Path, settings: Any) -> None:
    touch(version, folder, settings)
    for role in (Role.AUDITOR, Role.ADMINISTRATOR, Role.REVIEWER):
        assert len(rest(factories.account(role)).get("/api/v1/artifact-alarms/").json()["alarms"]) == 1
    elsewhere = factories.account(Role.AUDITOR, pattern="fraud-*")
    assert rest(elsewhere).get("/api/v1/artifact-alarms/").json() == {"alarms": []}
    assert rest(elsewhere).get(f"{HERE}/checks/").status_code == 404
    assert rest(elsewhere).get(f"{HERE}/bom/").status_code == 404
    viewer = rest(factories.account(Role.VIEWER))
    assert viewer.get("/api/v1/artifact-alarms/").json() == {"alarms": []}
    assert viewer.post(f"{HERE}/checks/", content_type="application/json").status_code == 403


def test_manifest_signature_and_materials(version: ModelVersion, ana: User) -> None:
    client = rest(ana)
    assert client.get(f"{HERE}/manifest/").json() == {
        "digest": version.artifact_digest, "files": version.artifact_manifest["files"],
    }  # fmt: skip
    answer = client.get(f"{HERE}/signature/")
    assert answer["Content-Disposition"] == 'attachment; filename="model.sig"'
    pem = Client().get("/api/v1/model-signing-key/")  # for anyone
    assert (pem.status_code, pem["Content-Type"]) == (200, "application/x-pem-file")
    assert model_signing.why_not_valid(answer.json(), version.artifact_manifest, pem.content.decode()) is None
    bom = client.get(f"{HERE}/bom/", headers={"Accept": "application/vnd.cyclonedx+json"})
    assert (bom.status_code, bom.json()["specVersion"]) == (200, "1.6")
    body = {"bundle": answer.json(), "public_key": pem.content.decode()}
    verdict = client.post(f"{HERE}/signature/", json.dumps(body), content_type="application/json")
    assert verdict.json() == {"valid": True, "reason": ""}
    body["bundle"]["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA"
    verdict = client.post(f"{HERE}/signature/", json.dumps(body), content_type="application/json")
    assert verdict.json() == {
        "valid": False, "reason": "The signature is not of this key, or what it signs was changed.",
    }  # fmt: skip


def test_nothing_of_it_before_the_files_were_read(ana: User) -> None:
    cases.version(actor_of(ana, "session"))
    client = rest(ana)
    for part in ("manifest", "signature", "bom"):
        answer = client.get(f"{HERE}/{part}/")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_pinned")
    assert client.post(f"{HERE}/checks/", content_type="application/json").status_code == 409
    page = browser(ana).get(PAGE)
    assert b"Check the files now" not in page.content


def test_the_pages_say_it(version: ModelVersion, ana: User, folder: Path, settings: Any) -> None:
    client = browser(ana)
    page = client.get(PAGE).content.decode()
    assert "As pinned" in page
    assert "are not what was pinned" not in page
    assert client.post(f"{PAGE}check/").status_code == 302
    assert Job.objects.filter(kind="check", requested_by=str(ana.pk)).count() == 1
    files = client.get(f"{PAGE}files/").content.decode()
    assert version.artifact_manifest["files"][0]["sha256"] in files
    touch(version, folder, settings)
    said = "1 file differs in the stored copy. (MLmodel)"
    for address in (PAGE, "/models/credit/"):
        assert said in client.get(address).content.decode()
    for address in ("/", "/alarms/"):
        auditor = browser(factories.account(Role.AUDITOR)).get(address).content.decode()
        assert "alarm" in auditor.lower()
    assert "credit v1" in browser(factories.account(Role.ADMINISTRATOR)).get("/alarms/").content.decode()
    assert client.get(f"{PAGE}signature/")["Content-Type"] == model_signing.BUNDLE_TYPE
    assert json.loads(client.get(f"{PAGE}bom/").content)["bomFormat"] == "CycloneDX"


def test_a_viewer_reads_why_the_button_is_not_for_them(version: ModelVersion) -> None:
    client = browser(factories.account(Role.VIEWER))
    page = client.get(PAGE).content.decode()
    assert "You may not check an artifact" in page
    assert client.post(f"{PAGE}check/").status_code == 403
    assert client.get(f"{PAGE}check/").status_code == 405
