"""Receipts: waited for until the entry is signed, enough to verify alone, and never in the way of the act itself."""

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from access import actions
from access.roles import Role
from audit import merkle, receipts, sequencer
from audit.actors import SYSTEM
from audit.errors import Conflict, NotFound
from audit.models import Event, Leaf
from audit.note import SigningKey, Verifier, open_note, parse_checkpoint
from erasure.actions import execution
from registry.actions import promotion
from tests import erasure_cases, factories
from tests.audit import grown_log
from tests.web.rest.test_promotion_api import version_of


@pytest.fixture
def key(fresh_database: str) -> SigningKey:
    return grown_log.a_key("admin")


def latest(action: str) -> Event:
    found = Event.objects.filter(action=action).order_by("-recorded_at").first()
    assert found is not None
    return found


def check(proof: str, leaf: bytes, key: SigningKey) -> int:
    """Verify a proof file as its reader would; the size of its checkpoint."""
    head, _, note = proof.partition("\n\n")
    lines = head.split("\n")
    checkpoint = parse_checkpoint(open_note(note, [Verifier.parse(key.verifier)])[0])
    hashes = [base64.b64decode(line) for line in lines[2:]]
    index = int(lines[1].removeprefix("index "))
    assert merkle.verify_inclusion(merkle.leaf_hash(leaf), index, checkpoint.size, hashes, checkpoint.root)
    return checkpoint.size


def test_the_receipt_of_a_signed_entry_is_there_at_once(key: SigningKey) -> None:
    factories.account(Role.VIEWER)
    event = latest("role.grant")
    grown_log.sign(key, "admin")
    receipt = receipts.wait(event.id, seconds=0)
    assert receipt is not None
    assert receipt.leaf == bytes(event.leaf_data)
    assert (receipt.proof.entry_id, receipt.proof.log, receipt.proof.index) == (event.id, "admin", 1)
    assert receipt.proof.leaf_hash == merkle.leaf_hash(receipt.leaf)
    assert check(receipt.proof.text, receipt.leaf, key) == 2


def test_an_entry_that_is_sequenced_and_not_signed_has_no_receipt_yet(key: SigningKey) -> None:
    factories.account()
    event = latest("user.create")
    with grown_log.as_role():
        sequencer.step("admin")
    assert Leaf.objects.filter(event_id=event.id).exists()
    assert receipts.wait(event.id, seconds=0.1) is None
    with pytest.raises(Conflict, match="not signed yet"):
        receipts.proof_of(event.id)
    with pytest.raises(NotFound):
        receipts.proof_of(uuid.uuid4())
    grown_log.sign(key, "admin")
    assert receipts.proof_of(event.id).index == 0


def test_waiting_ends_when_the_sequencer_has_signed(key: SigningKey) -> None:
    factories.account()
    event = latest("user.create")
    with sequencing(key):
        receipt = receipts.wait(event.id, seconds=30)
    assert receipt is not None
    check(receipt.proof.text, receipt.leaf, key)


def test_only_a_few_wait_at_once_and_the_others_are_told_to_come_back(key: SigningKey, monkeypatch) -> None:
    factories.account()
    event = latest("user.create")
    held = receipts._MOST_WAITING
    assert all(receipts._waiting.acquire(blocking=False) for _ in range(held))
    try:
        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
        assert receipts.wait(event.id, seconds=30) is None
    finally:
        for _ in range(held):
            receipts._waiting.release()


# -- over REST --------------------------------------------------------------------------------------------------------


@contextmanager
def sequencing(key: SigningKey) -> Iterator[None]:
    """A sequencer beside the test, on a connection of its own."""
    ended = threading.Event()
    name = connections["default"].settings_dict["NAME"]

    def work() -> None:
        mine = connections["default"]
        mine.settings_dict = {**mine.settings_dict, "NAME": name}
        while not ended.wait(0.02):
            grown_log.sign(key, "admin")
        mine.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def client_of(user: Any) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=user, name="test")
    return Client(headers={"Authorization": f"Bearer {secret}", "Host": "localhost"})


def filed() -> tuple[Client, str, str]:
    """A reviewer, and the id and subject digest of a promotion request that waits for a decision."""
    rex = client_of(factories.account(Role.REVIEWER, username="rex"))
    version = version_of(factories.account(Role.DATA_SCIENTIST, username="ana"))
    by = factories.actor(Role.DATA_SCIENTIST, username="bea")
    made = promotion.open_request(by=by, version=version, target_stage="Production", justification="Better.")
    return rex, str(made.pk), made.subject_digest


def decide(client: Client, request_id: str, digest: str, query: str = "") -> Any:
    return client.post(
        f"/api/v1/promotion-requests/{request_id}/decisions/{query}",
        {"decision": "APPROVE", "comment": "Read.", "subject_digest": digest},
        content_type="application/json",
    )


def test_approve_and_promote_answer_with_the_receipt_of_that_act(key: SigningKey) -> None:
    rex, request_id, digest = filed()
    with sequencing(key):
        decided = decide(rex, request_id, digest, "?wait=published")
        assert decided.status_code == 201
        riva = client_of(factories.account(Role.RISK_OWNER, username="riva"))
        decide(riva, request_id, digest)
        address = f"/api/v1/promotion-requests/{request_id}/apply/?wait=published"
        applied = rex.post(address, {"subject_digest": digest}, content_type="application/json")
        assert applied.status_code == 200, applied.content
    for answer, action in ((decided, "promotion.decide"), (applied, "promotion.apply")):
        receipt = answer.json()["receipt"]
        leaf = receipt["leaf"].encode()
        assert json.loads(leaf)["action"] == action
        assert json.loads(leaf)["id"] == receipt["entry_id"]
        assert receipt["leaf_hash"] == merkle.leaf_hash(leaf).hex()
        assert check(receipt["proof"], leaf, key) > receipt["index"]
        assert receipt["log"] == "admin"
        assert "receipt_url" not in answer.json()


def test_without_the_parameter_nothing_is_added_and_a_wrong_one_stops_the_act(key: SigningKey) -> None:
    rex, request_id, digest = filed()
    before = Event.objects.count()
    for query in ("?wait=", "?wait=1", "?wait=PUBLISHED", "?wait=published&wait=published", "?wait=signed", "?wait"):
        answer = decide(rex, request_id, digest, query)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_wait"), query
    assert Event.objects.count() == before
    said = decide(rex, request_id, digest).json()
    assert {"receipt", "receipt_url"}.isdisjoint(said)


def test_a_receipt_that_takes_too_long_can_be_fetched_later_by_who_acted(key: SigningKey, monkeypatch) -> None:
    rex, request_id, digest = filed()
    monkeypatch.setattr(receipts, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(receipts, "SECONDS", 0.1)
    said = decide(rex, request_id, digest, "?wait=published").json()
    event = latest("promotion.decide")
    assert (said["receipt"], said["receipt_url"]) == (None, f"/api/v1/trail/{event.id}/proof/")
    early = rex.get(said["receipt_url"])
    assert (early.status_code, early["Retry-After"]) == (409, "1")
    assert early.json()["error"]["code"] == "not_signed_yet"
    grown_log.sign(key, "admin")
    answer = rex.get(said["receipt_url"], headers={"Accept": "text/plain"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    index = Leaf.objects.get(event_id=event.id).seq
    assert answer["Content-Disposition"] == f'attachment; filename="admin-{index}.tlog-proof"'
    check(answer.content.decode(), bytes(event.leaf_data), key)


def test_the_proof_of_anothers_act_is_for_readers_of_the_trail(key: SigningKey) -> None:
    rex, request_id, digest = filed()
    decide(rex, request_id, digest)
    address = f"/api/v1/trail/{latest('promotion.decide').id}/proof/"
    grown_log.sign(key, "admin")
    for role, status in ((Role.REVIEWER, 403), (Role.DATA_SCIENTIST, 403), (Role.AUDITOR, 200)):
        assert client_of(factories.account(role)).get(address).status_code == status
    assert Client(headers={"Host": "localhost"}).get(address).status_code == 401
    auditor = client_of(factories.account(Role.AUDITOR))
    for wrong in (str(uuid.uuid4()), "x", "0" * 400):
        assert auditor.get(f"/api/v1/trail/{wrong}/proof/").status_code == 404


def post(client: Client, address: str, **said: str) -> Any:
    return client.post(address, said, content_type="application/json")


def test_an_erasure_is_approved_executed_and_signed_off_with_receipts(key: SigningKey) -> None:
    olga = erasure_cases.officer("olga")
    otto = client_of(factories.account(Role.COMPLIANCE_OFFICER, username="otto"))
    with sequencing(key):
        request = erasure_cases.planned(olga)
        address = f"/api/v1/erasure-requests/{request.pk}"
        for act in ("approve", "execute", "sign-off"):
            answer = post(otto, f"{address}/{act}/?wait=now")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_wait")
        approved = post(otto, f"{address}/approve/?wait=published", plan_digest=request.plan_digest)
        execution.run(request.pk)
        signed = post(otto, f"{address}/sign-off/?wait=published")
    for answer, action in ((approved, "erasure.approve"), (signed, "erasure.sign_off")):
        assert answer.status_code == 200, answer.content
        receipt = answer.json()["receipt"]
        assert json.loads(receipt["leaf"])["action"] == action
        check(receipt["proof"], receipt["leaf"].encode(), key)
