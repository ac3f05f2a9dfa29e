"""Data sets over REST and on their pages: by upload, by address, and everything that is said of one."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit import door
from audit.actors import SYSTEM
from audit.events import Action
from registry import roots
from registry.models import ForeignDataSet
from registry.states import JobKind
from tests import evidence_cases as cases
from tests import factories
from tests.web.pages.case import client_of as browser

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/data-sets/"
CSV = b"email,age,paid\na@x.org,30,1\nb@x.org,20,0\n"
SAID = {
    "name": "loans", "role": "training", "label": "paid", "favourable": 1, "identifiers": {"email": "email"},
    "protected": [{"column": "age", "privileged": {"op": ">", "value": 25}}], "owner": "olga",
    "classification": "confidential", "retention": "loans-10y",
}  # fmt: skip


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "loans.csv").write_bytes(CSV)
    settings.PLIMSOLL_DATA = tmp_path / "store"
    settings.PLIMSOLL_DATA_ROOTS = roots.parse(f"file://{folder}", [])
    return folder


@pytest.fixture
def ana() -> User:
    factories.account(Role.VIEWER, username="olga")
    return factories.account(Role.DATA_SCIENTIST, username="ana")


def rest(user: User) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=user, name="test")
    return Client(headers={"Authorization": f"Bearer {secret}"})


def post(client: Client, **said: Any) -> Any:
    return client.post(ADDRESS, json.dumps({**SAID, **said}), content_type="application/json")


def test_an_address_is_read_and_everything_said_comes_back(ana: User, root: Path) -> None:
    client = rest(ana)
    answer = post(client, location=str(root / "loans.csv"))
    assert answer.status_code == 201, answer.content
    found = answer.json()
    assert {name: found[name] for name in SAID if name != "protected"} == {
        name: value for name, value in SAID.items() if name != "protected"
    }
    assert (found["rows"], found["version"], found["location"]) == (2, 1, str(root / "loans.csv"))
    assert found["columns"] == [
        {"name": "email", "type": "VARCHAR"}, {"name": "age", "type": "BIGINT"}, {"name": "paid", "type": "BIGINT"},
    ]  # fmt: skip
    assert client.get(f"{ADDRESS}loans/1/").json() == found
    again = post(client, location=str(root / "loans.csv"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "data_set_exists")


def test_an_upload_takes_the_same_fields(ana: User) -> None:
    about = json.dumps(SAID)
    answer = rest(ana).post(ADDRESS, {"file": SimpleUploadedFile("loans.csv", CSV), "about": about})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["owner"], answer.json()["retention"], answer.json()["location"]) == ("olga", "loans-10y", "")


@pytest.mark.parametrize(("said", "status", "code"), [
    ({"location": "/etc/passwd"}, 400, "location_not_allowed"),
    ({"location": "http://169.254.169.254/latest/"}, 400, "location_not_allowed"),
    ({"location": "{root}/../x"}, 400, "bad_location"),
    ({"location": "{root}/nothing.csv"}, 404, "not_found"),
    ({"location": "{root}/loans.csv", "owner": "nobody"}, 400, "unknown_owner"),
    ({"location": "{root}/loans.csv", "classification": "x"}, 400, "invalid"),
    ({"location": "{root}/loans.csv", "retention": "X Y"}, 400, "bad_retention"),
    ({"location": "{root}/loans.csv", "path": "x"}, 400, "unknown_field"),
    ({"location": 7}, 400, "invalid"), ({}, 400, "invalid"),
])  # fmt: skip
def test_refusals(ana: User, root: Path, said: dict[str, Any], status: int, code: str) -> None:
    given = {
        key: value.replace("{root}", str(root)) if isinstance(value, str) else value for key, value in said.items()
    }
    answer = post(rest(ana), **given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.content


def test_who_may_not_is_refused_before_anything_is_read(root: Path) -> None:
    answer = post(rest(factories.account(Role.VIEWER)), location=str(root / "loans.csv"))
    assert answer.status_code == 403
    assert post(Client(), location=str(root / "loans.csv")).status_code == 401


def test_the_pages_say_all_of_it(ana: User, root: Path) -> None:
    assert post(rest(ana), location=str(root / "loans.csv")).status_code == 201
    page = browser(ana).get("/data-sets/loans/1/").content.decode()
    for said in (
        "confidential",
        "loans-10y",
        "olga",
        str(root / "loans.csv"),
        "identifier (email)",
        "protected",
        "label",
    ):
        assert said in page
    listed = browser(ana).get("/data-sets/").content.decode()
    assert "confidential" in listed


def test_a_versions_page_names_what_was_not_taken_over(ana: User) -> None:
    version = cases.version(actor_of(ana, "session"))
    with door.open(SYSTEM, Action.DATA_SET_ADOPT, on=version) as entry:
        ForeignDataSet.objects.create(version=version, name="home", mlflow_digest="abc12345", role="training",
                                      source_type="local", reason="There is nothing at this address.")  # fmt: skip
        entry.record(after={"noted": 1})
    page = browser(ana).get("/models/credit/versions/1/").content.decode()
    assert "There is nothing at this address." in page
    assert "abc12345" in page
    assert JobKind.DATA_SETS.value not in page
