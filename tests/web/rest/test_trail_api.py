"""The trail over REST: search with words, one object's life in parts, how the logs stand, and hostile questions."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access import actions
from access.roles import Role
from audit.actors import SYSTEM
from audit.models import Event
from tests import factories
from tests.abuse.surface import caller, fault_of
from tests.web.pages.case import browser, waiting

STATE = "/api/v1/trail/state/"


def auditor() -> Client:
    return caller(Role.AUDITOR)


def sequenced() -> None:
    """Give every entry its place and a signature, as the sequencer's own database role."""
    name = connections["default"].settings_dict["NAME"]
    address = os.environ["PLIMSOLL_DB_SEQUENCER"].replace("/plimsoll?", f"/{name}?")
    environ = {**os.environ, "PLIMSOLL_ROLE": "sequencer", "PLIMSOLL_DB_SEQUENCER": address}
    command = [sys.executable, "manage.py", "sequencer", "--once"]
    subprocess.run(command, check=True, env=environ, capture_output=True)


@pytest.mark.django_db
def test_words_filter_and_are_refused_to_who_may_not_read_them() -> None:
    waiting(justification="Better for Zoë, measured twice.")
    found = auditor().get("/api/v1/trail/", {"text": "zoe TWICE"}).json()["entries"]
    assert [entry["leaf"]["action"] for entry in found] == ["promotion.request"]
    assert found[0]["disclosed"]["change/justification"] == "Better for Zoë, measured twice."
    admin = caller(Role.ADMINISTRATOR)
    refused = admin.get("/api/v1/trail/", {"text": "zoe"})
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "text_not_permitted"
    (seen,) = admin.get("/api/v1/trail/", {"action": "promotion.request"}).json()["entries"]
    assert set(seen["disclosed"]) == {"actor/name"}


@pytest.mark.django_db
def test_the_life_of_an_object_comes_in_parts_without_a_gap() -> None:
    user = factories.account()
    for number in range(120):
        actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"m-{number}")
    client, address = auditor(), f"/api/v1/trail/objects/user/{user.pk}/"
    numbers: list[int] = []
    after: Any = ""
    parts = 0
    while after is not None:
        part = client.get(address, {"after": after} if after else {}).json()
        assert (part["length"], part["dropped"]) == (121, 0)
        numbers += [entry["leaf"]["object"]["n"] for entry in part["entries"]]
        after, parts = part["after"], parts + 1
    assert numbers == list(range(1, 122))
    assert parts == 3
    assert client.get(address, {"after": "121"}).status_code == 404
    assert client.get("/api/v1/trail/objects/user/nobody/").status_code == 404


def test_the_state_says_what_is_signed_by_which_key_and_that_nobody_confirmed_it(fresh_database: str) -> None:
    client = auditor()
    before = {each["log"]: each for each in client.get(STATE).json()}
    assert set(before) == {"admin", "access"}
    assert (before["admin"]["signed_size"], before["admin"]["checkpoint"]) == (0, "")
    sequenced()
    head = {each["log"]: each for each in client.get(STATE).json()}["admin"]
    assert head["size"] == head["signed_size"] == Event.objects.filter(log="admin").count()
    assert head["checkpoint"].splitlines()[:2] == [head["origin"], str(head["size"])]
    assert len(bytes.fromhex(head["root"])) == 32
    (key,) = head["verifiers"]
    assert key["key"].startswith(f"{head['origin']}+")
    assert key["to_size"] is None
    assert len(key["fingerprint"].replace(" ", "")) == 64
    assert (head["witnessed"], head["anchors"], head["overdue"], head["unsigned_since"]) == (False, [], False, None)


def test_an_anchor_that_confirmed_makes_a_log_witnessed(fresh_database: str, settings: Any, tmp_path: Path) -> None:
    listed = tmp_path / "anchors.toml"
    listed.write_text(f'[[anchor]]\nname = "vault"\nkind = "file"\npath = "{tmp_path}/kept.log"\n')
    settings.PLIMSOLL_ANCHORS = listed
    client = auditor()
    sequenced()
    head = {each["log"]: each for each in client.get(STATE).json()}["admin"]
    assert (head["witnessed"], head["anchors"]) == (
        False,
        [{"anchor": "vault", "kind": "file", "size": None, "at": None}],
    )
    superuser = psycopg.conninfo.make_conninfo(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=fresh_database)
    with psycopg.connect(superuser, autocommit=True) as db:
        db.execute(
            "INSERT INTO audit_anchor_receipt (log, anchor, kind, size, root, receipt)"
            " SELECT log, 'vault', 'file', size, root, 'line 1' FROM audit_tree WHERE log = 'admin'"
        )
    head = {each["log"]: each for each in client.get(STATE).json()}["admin"]
    assert head["witnessed"] is True
    assert head["anchors"][0]["size"] == head["signed_size"]
    page = browser(Role.AUDITOR)[1].get("/trail/log/").content.decode()
    assert ", witnessed" in page
    assert "vault outside this installation confirmed this checkpoint." in page


HOSTILE = [
    "\x00",
    "x" * 5_000,
    "=1+1",
    "@SUM(A1)",
    "-1",
    "'; DROP TABLE audit_event; --",
    "%",
    "_",
    "\ud7ff",
    "٣",
    "{}",
    "null",
]
FIELDS = ("log", "action", "outcome", "object_type", "object_id", "person", "since", "until", "text", "after")


@pytest.mark.django_db
def test_no_value_of_any_field_breaks_a_search() -> None:
    client = auditor()
    for field in FIELDS:
        for value in HOSTILE:
            for address in ("/api/v1/trail/", "/trail/"):
                answer = client.get(address, {field: value})
                assert answer.status_code in {200, 400}, (address, field, value, answer.status_code)
        for raw in ("%ED%A0%80", "%FF", "%00", "%C0%80"):
            for address in ("/api/v1/trail/", "/trail/"):
                assert client.get(f"{address}?{field}={raw}").status_code in {200, 400}, (address, field, raw)


@pytest.mark.django_db
@pytest.mark.parametrize("value", [*HOSTILE[1:], "99999999999999999999", "1e3", "0x10", "+1"])
def test_no_object_and_no_part_breaks_a_life(value: str) -> None:
    client = auditor()
    for address in (f"user/{quote(value, safe='')}", f"{quote(value, safe='')}/x"):
        answer = client.get(f"/api/v1/trail/objects/{address}/")
        assert answer.status_code == 404, (address, answer.status_code)
        assert fault_of(answer) is None
        assert client.get(f"/trail/object/{address}/").status_code in {401, 404}
    user = factories.account()
    assert client.get(f"/api/v1/trail/objects/user/{user.pk}/", {"after": value}).status_code in {400, 404}


@pytest.mark.django_db
def test_answers_cost_the_same_queries_for_one_and_for_thirty() -> None:
    user, client = factories.account(), auditor()
    client.get("/api/v1/trail/")  # the first read makes the reader's pseudonym and key
    counts = []
    for more in (1, 29):
        for number in range(more):
            actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"m-{more}-{number}")
        for address in ("/api/v1/trail/?action=role.grant", f"/api/v1/trail/objects/user/{user.pk}/", STATE):
            with CaptureQueriesContext(connection) as asked:
                assert client.get(address).status_code == 200
            counts.append(len(asked))
    assert counts[:3] == counts[3:]
