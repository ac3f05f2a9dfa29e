"""An erasure from filing to certificate: what is reached, what is kept of it, and what stops it on the way."""

import hashlib
import json
import logging
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db import IntegrityError, connection, transaction

from audit import door, keys
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Conflict, Denied, Duplicate, Invalid, Stale
from audit.events import Action
from audit.models import Event
from erasure import queries, rules, sealing
from erasure.actions import closing, deciding, discovery, execution, failing, filing, moves, replacing, sweeping
from erasure.engine import signature
from erasure.models import ErasureRequest, ErasureTask, ModelObligation
from erasure.states import CLOSED, TRANSITIONS, State
from registry import storage
from registry.actions import data_sets
from registry.models import DataSet, Evidence
from registry.rules import record_of, sections
from tests import erasure_cases as cases
from tests import evidence_cases, factories
from tests.erasure_cases import MAIL

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana() -> Actor:
    return evidence_cases.scientist()


@pytest.fixture
def officer() -> Actor:
    return cases.officer("officer")


@pytest.fixture
def other() -> Actor:
    return cases.officer("officer2")


def key_files() -> list[str]:
    return sorted(path.name for path in sealing.folder().glob("*"))


# -- the whole way ---------------------------------------------------------------------------------------------------


def test_a_person_leaves_the_data_and_a_certificate_says_so(ana: Actor, officer: Actor, other: Actor) -> None:
    old = cases.people(ana)
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=old, role="training")
    report = cases.predictions(version, old)
    old_file, report_file = storage.existing(old.path), storage.existing(report.path)

    request = cases.file(officer)
    assert request.state == State.RECEIVED
    # Easter: reference dates for a receipt on 5 March 2026 in Germany.
    assert (request.nominal_due, request.legal_due) == (date(2026, 4, 5), date(2026, 4, 7))
    assert request.extended_due == date(2026, 6, 5)

    discovery.run(request.pk)
    request = cases.fresh(request)
    assert request.state == State.PLAN_READY
    assert request.plan["data_sets"][0]["rows_found"] == 2
    assert [entry["model"] for entry in request.plan["versions"]] == ["credit"]
    assert request.plan["reports"] == 1

    deciding.approve(by=other, request=request, plan_digest=request.plan_digest)
    execution.run(request.pk)
    request = cases.fresh(request)
    assert (request.state, request.problem) == (State.AWAITING_SIGNOFF, "")

    old.refresh_from_db()
    new = old.children.get()
    assert (old.state, old.path, old.rows) == ("erased", "", 6)
    assert (new.name, new.number, new.rows, new.parent, new.created_by) == ("people", 2, 4, old, ana.account)
    assert cases.mails_in(new) == [mail for mail in cases.PEOPLE if mail != MAIL]
    content = storage.existing(new.path).read_bytes()
    manifest = {
        "files": [{"path": "rows.parquet", "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}]
    }
    canonical = json.dumps(manifest, separators=(",", ":"), sort_keys=True)
    assert new.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert not old_file.exists()
    assert not report_file.exists()
    assert Evidence.objects.get(pk=report.pk).path == ""
    obligation = ModelObligation.objects.get()
    assert (obligation.version, obligation.kind, obligation.state) == (version, "retrain", "open")
    assert obligation.due_on == now().date() + timedelta(days=90)

    certificate = closing.sign_off(by=other, request=request)
    request = cases.fresh(request)
    assert (request.state, request.outcome, request.box) == (State.COMPLETED, "erased", None)
    body = signature.verify(bytes(certificate.content), closing.public_key())
    asset = body["assets"][0]
    assert (asset["rows_in"], asset["erased"], asset["rows_out"], asset["residual"]) == (6, 2, 4, 0)
    assert (asset["data_set_before"], asset["data_set_after"]) == (old.digest, new.digest)
    assert asset["erased_with"].startswith("pyarrow")
    assert asset["verified_with"].startswith("duckdb")
    assert body["plan_digest"] == request.plan_digest
    assert [step["step"] for step in body["timeline"]] == [
        "received", "discovering", "plan_ready", "approved", "executing", "executing", "verifying",
        "awaiting_signoff", "completed",
    ]  # fmt: skip
    assert body["approvers"] == [body["timeline"][3]["by"]]
    assert body["approvers"][0].startswith("p:")


def test_the_database_refuses_an_approver_or_signer_who_filed(officer: Actor) -> None:
    request = cases.file(officer)
    for field in ("approver", "signer"):
        refused = pytest.raises(IntegrityError, match=f"{field}_is_not_filer")
        with refused, transaction.atomic(), door.guard.allow("test"):
            ErasureRequest.objects.filter(pk=request.pk).update(**{field: officer.account})


def test_the_filer_can_neither_approve_nor_refuse_nor_sign(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.planned(officer)
    with pytest.raises(Denied, match="You filed this erasure request, so you may not approve an erasure plan"):
        deciding.approve(by=officer, request=request, plan_digest=request.plan_digest)
    with pytest.raises(Denied):
        deciding.refuse(by=officer, request=request, reason="No.")
    deciding.approve(by=other, request=request, plan_digest=request.plan_digest)
    execution.run(request.pk)
    with pytest.raises(Denied, match="You filed this erasure request"):
        closing.sign_off(by=officer, request=request)
    denied = Event.objects.filter(outcome="denied").order_by("recorded_at").values_list("action", flat=True)
    assert list(denied) == ["erasure.approve", "erasure.refuse", "erasure.sign_off"]


def test_whoever_has_an_execution_tried_again_cannot_sign_it_off(ana: Actor, officer: Actor, other: Actor) -> None:
    row = cases.people(ana)
    request = cases.approved(officer, other)
    path = storage.existing(row.path)
    kept = path.read_bytes()
    path.chmod(0o640)
    path.write_bytes(b"PAR1 broken")
    execution.run(request.pk)
    request = cases.fresh(request)
    assert request.state == State.NEEDS_ATTENTION
    assert "is not what was registered" in request.problem
    path.write_bytes(kept)
    execution.again(by=other, request=request)
    execution.run(request.pk)
    assert cases.fresh(request).state == State.AWAITING_SIGNOFF
    with pytest.raises(Denied, match="You executed this erasure"):
        closing.sign_off(by=other, request=request)
    closing.sign_off(by=cases.officer("third"), request=request)
    assert cases.fresh(request).state == State.COMPLETED


# -- nothing personal is kept ----------------------------------------------------------------------------------------


def every_text_of_every_table() -> dict[str, str]:
    """All rows of all tables as text, binary columns decoded as far as they are text."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            parts = []
            for row in cursor.fetchall():
                for value in row:
                    is_bytes = isinstance(value, bytes | memoryview)
                    parts.append(bytes(value).decode("latin-1") if is_bytes else str(value))
            found[table] = "\n".join(parts)
    return found


def assert_nowhere(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        assert MAIL.lower() not in text.lower(), name
        assert "zebedee" not in text.lower(), name


def test_the_identifier_is_in_no_row_no_log_no_file_and_not_in_the_certificate(
    ana: Actor, officer: Actor, other: Actor, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    cases.people(ana)
    request = cases.file(officer)
    assert_nowhere(every_text_of_every_table())
    assert key_files() == [f"{request.pk}.key"]
    key = (sealing.folder() / key_files()[0]).read_bytes()
    assert sealing.value_of(request) == MAIL
    for again in ("case-2", "case-3"):
        with pytest.raises(Invalid) as refused:
            cases.file(officer, external_id=again, identifier_type="row", country="Germany")
        assert MAIL not in str(refused.value)
    discovery.run(request.pk)
    request = cases.fresh(request)
    with pytest.raises(Invalid, match="leave the identifier out"):
        deciding.approve(by=other, request=request, plan_digest=request.plan_digest, comment=f"That is {MAIL}.")
    deciding.approve(by=other, request=request, plan_digest=request.plan_digest, comment="Identity was checked.")
    execution.run(request.pk)
    certificate = closing.sign_off(by=other, request=cases.fresh(request))

    sweeping.shred_left_keys()  # in a test nothing commits, so the hook on commit did not run
    assert key_files() == []
    texts = every_text_of_every_table()
    assert len(texts["audit_event"]) > 1000  # the scan does read what is there
    texts["log"] = caplog.text + "\n".join(str(vars(record)) for record in caplog.records)
    texts["certificate"] = bytes(certificate.content).decode()
    for path in settings.PLIMSOLL_DATA.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("latin-1")
    assert_nowhere(texts)
    assert key.hex() not in "".join(text.encode("latin-1", "ignore").hex() for text in texts.values())


def test_a_request_that_ends_without_erasing_shreds_its_key_too(
    officer: Actor, other: Actor, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
    for number, end in enumerate((deciding.refuse, deciding.cancel)):
        request = cases.file(officer, external_id=f"case-{number}")
        by = other if end is deciding.refuse else officer
        with django_capture_on_commit_callbacks(execute=True):
            end(by=by, request=request, reason="Not ours.")
        request = cases.fresh(request)
        assert (request.state in CLOSED, request.box) == (True, None)
        assert key_files() == []
        with pytest.raises(Conflict):
            sealing.value_of(request)


def test_a_key_without_its_box_and_a_box_without_its_key_open_nothing(officer: Actor) -> None:
    first, second = cases.file(officer), cases.file(officer, external_id="case-2", identifier_value="x@example.invalid")
    with door.guard.allow("test"):
        ErasureRequest.objects.filter(pk=first.pk).update(box=bytes(second.box or b""))
    with pytest.raises(Conflict, match="cannot be opened"):
        sealing.value_of(cases.fresh(first))
    sealing.shred(second.pk)
    discovery.run(second.pk)
    second = cases.fresh(second)
    assert second.state == State.NEEDS_ATTENTION
    assert "cannot be opened" in second.problem


def test_a_filing_that_fails_leaves_no_key(officer: Actor) -> None:
    with pytest.raises(Invalid):
        cases.file(officer, received_on=now().date() + timedelta(days=3))
    assert key_files() == []
    assert not ErasureRequest.objects.exists()


def test_a_trail_that_cannot_be_written_stops_the_filing_and_leaves_no_key(officer: Actor, settings: Any) -> None:
    (settings.PLIMSOLL_KEYS / "writer.key").write_text("no key")
    keys.secret.cache_clear()
    with pytest.raises(ValueError, match="hexadecimal"):
        cases.file(officer)
    assert key_files() == []
    assert not ErasureRequest.objects.exists()


# -- filing ----------------------------------------------------------------------------------------------------------


def test_filing_the_same_again_is_the_same_request(officer: Actor, other: Actor) -> None:
    first = filing.file(by=officer, **SAID)
    again = filing.file(by=other, **SAID)
    assert (first.is_new, again.is_new, again.request.pk) == (True, False, first.request.pk)
    with pytest.raises(Duplicate, match="filed before with another content"):
        filing.file(by=officer, **{**SAID, "identifier_value": "somebody.else@example.invalid"})
    assert filing.file(by=officer, **{**SAID, "source": "opendsr"}).is_new
    assert ErasureRequest.objects.count() == 2


SAID: dict[str, Any] = {
    "identifier_type": "email", "identifier_value": MAIL, "external_id": "case-1", "ground": "17(1)(b)",
    "country": "de", "received_on": date(2026, 3, 5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"identifier_type": "shoe_size"}, "identifier_type_unknown"),
        ({"identifier_value": ""}, "identifier_empty"),
        ({"identifier_value": "   "}, "identifier_empty"),
        ({"identifier_value": "x" * 1025}, "identifier_too_long"),
        ({"identifier_value": "a\x00b@example.invalid"}, "identifier_not_printable"),
        ({"identifier_value": "no mail address"}, "identifier_not_mail"),
        ({"external_id": ""}, "bad_external_id"),
        ({"external_id": "x" * 201}, "bad_external_id"),
        ({"external_id": "a\x00b"}, "bad_external_id"),
        ({"external_id": f"mail of {MAIL}"}, "names_person"),
        ({"ground": "17(3)"}, "unknown_ground"),
        ({"country": "Germany"}, "bad_country"),
        ({"country": "ß"}, "bad_country"),
        ({"subdivision": "Bayern"}, "bad_country"),
        ({"source": "a b"}, "bad_source"),
        ({"received_on": date(9999, 1, 1)}, "bad_received_on"),
        ({"received_on": date(1999, 1, 1)}, "bad_received_on"),
    ],
)
def test_what_cannot_be_filed_is_refused_with_a_sentence_and_recorded(
    officer: Actor, said: dict[str, Any], code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        filing.file(by=officer, **{**SAID, **said})
    assert refused.value.code == code
    assert not ErasureRequest.objects.exists()
    event = Event.objects.get(action="erasure.file")
    assert (event.outcome, json.loads(bytes(event.leaf_data))["reason_code"]) == ("denied", code)


def test_only_a_compliance_officer_files(ana: Actor) -> None:
    with pytest.raises(Denied, match="it takes the role compliance officer"):
        cases.file(ana)


# -- discovery -------------------------------------------------------------------------------------------------------


def test_the_plan_names_what_is_not_covered(ana: Actor, officer: Actor) -> None:
    found = cases.people(ana)
    cases.people(ana, name="unmapped", mails=["ana@example.invalid"], identifiers={})
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=found, role="validation")
    with door.open(SYSTEM, Action.ARTIFACT_PIN, on=version) as entry:
        entry.locked.run_id = "abc"
        entry.locked.artifact_digest = "1" * 64
        entry.locked.artifact_manifest = {"files": [{"path": "input_example.json", "size": 1, "sha256": "2" * 64}]}
        entry.locked.save()
        entry.record()
    plan = cases.planned(officer).plan
    assert [entry["asset"] for entry in plan["not_covered"]] == [
        "data set unmapped v1", "credit v1: input_example.json", "credit v1: tracking run abc", "backups",
    ]  # fmt: skip
    assert plan["versions"][0]["data"] == [{"role": "validation", "data_set": "people v1"}]


def test_equal_bytes_are_searched_even_where_nobody_said_what_the_columns_hold(
    ana: Actor, officer: Actor, other: Actor
) -> None:
    first = cases.people(ana)
    twin = cases.people(ana, name="twin", identifiers={})
    assert first.digest == twin.digest
    assert first.path == twin.path
    request = cases.completed(officer, other)
    assert len(request.plan["data_sets"]) == 2
    assert set(DataSet.objects.values_list("name", "number", "state")) == {
        ("people", 1, "erased"), ("people", 2, "present"), ("twin", 1, "erased"), ("twin", 2, "present"),
    }  # fmt: skip
    assert not storage.place(first.path).exists()
    assert MAIL not in cases.mails_in(DataSet.objects.get(name="twin", number=2))


def test_a_residue_without_a_row_is_found_and_cleaned(ana: Actor, officer: Actor, other: Actor) -> None:
    """pandas keeps the categories of rows it dropped: no row names the person, yet the file does."""
    column = pa.DictionaryArray.from_arrays(pa.array([0, 2, 0]), pa.array(["ana@x.invalid", MAIL, "bo@x.invalid"]))
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"mail": column}), buffer, compression="none")
    content = buffer.getvalue().to_pybytes()
    assert MAIL.encode() in content
    cases.parquet(ana, content, "filtered", identifiers={"mail": "email"})
    request = cases.executed(officer, other)
    assert request.state == State.AWAITING_SIGNOFF, request.problem
    task = ErasureTask.objects.get()
    assert (task.rows_in, task.erased, task.rows_out) == (3, 0, 3)
    new = DataSet.objects.get(number=2)
    assert MAIL.encode() not in storage.existing(new.path).read_bytes()


def test_a_version_built_on_an_earlier_state_of_the_data_is_reached_too(
    ana: Actor, officer: Actor, other: Actor
) -> None:
    first = cases.people(ana)
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=first, role="training")
    cases.completed(officer, other, identifier_value="ana@example.invalid")
    request = cases.completed(officer, other, external_id="case-2")
    assert request.outcome == "erased"
    assert request.obligations.get().version == version
    assert set(DataSet.objects.values_list("number", "rows", "state")) == {
        (1, 6, "erased"), (2, 5, "erased"), (3, 3, "present"),
    }  # fmt: skip


def test_a_data_set_that_cannot_be_searched_is_said_to_be_uncovered(ana: Actor, officer: Actor) -> None:
    row = cases.people(ana)
    storage.remove(row.path)
    plan = cases.planned(officer).plan
    assert plan["data_sets"] == []
    assert plan["not_covered"][0]["asset"] == "data set people v1"
    assert "It could not be searched." in plan["not_covered"][0]["reason"]


def test_a_csv_file_loses_the_rows_and_not_a_byte_more(ana: Actor, officer: Actor, other: Actor) -> None:
    content = b'id,note\r\n1,"a, ""b"""\r\n17,gone\r\n3,"two\r\nlines"\r\n'
    row = cases.parquet(ana, content, "notes", filename="notes.csv", identifiers={"id": "row_id"})
    request = cases.executed(officer, other, identifier_type="row_id", identifier_value="17")
    assert request.state == State.AWAITING_SIGNOFF, request.problem
    new = row.children.get()
    assert storage.existing(new.path).read_bytes() == content.replace(b"17,gone\r\n", b"")


def test_a_person_in_two_columns_leaves_by_both(ana: Actor, officer: Actor, other: Actor) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"mail": [MAIL, "a@x.invalid", "b@x.invalid"], "partner": ["a@x.invalid", MAIL, None]}), buffer
    )
    row = cases.parquet(ana, buffer.getvalue().to_pybytes(), "pairs", identifiers={"mail": "email", "partner": "email"})
    request = cases.completed(officer, other)
    assert request.outcome == "erased"
    assert cases.mails_in(row.children.get()) == ["b@x.invalid"]
    assert ErasureTask.objects.values_list("rows_in", "erased", "rows_out").get() == (3, 2, 1)


# -- honest ends -----------------------------------------------------------------------------------------------------


def test_somebody_who_is_nowhere_is_not_found_and_it_is_certified(ana: Actor, officer: Actor, other: Actor) -> None:
    row = cases.people(ana)
    request = cases.completed(officer, other, identifier_value="nobody@example.invalid")
    assert (request.state, request.outcome) == (State.COMPLETED, "not_found")
    body = signature.verify(bytes(request.certificate.content), closing.public_key())
    assert (body["outcome"], body["assets"], body["notes"]) == ("not_found", [], ["Data sets searched: 1."])
    row.refresh_from_db()
    assert row.state == "present"


def test_erasing_the_same_person_twice_succeeds(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    assert cases.completed(officer, other).outcome == "erased"
    assert cases.completed(officer, other, external_id="case-2").outcome == "not_found"


def test_short_identifiers_do_not_collide_with_version_numbers(ana: Actor, officer: Actor, other: Actor) -> None:
    row = evidence_cases.german(ana)
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=row, role="training")
    request = cases.completed(officer, other, identifier_type="row_id", identifier_value="1")
    assert request.outcome == "erased"
    assert row.children.get().rows == 999


def test_all_rows_can_go(ana: Actor, officer: Actor, other: Actor) -> None:
    row = cases.people(ana, mails=[MAIL, MAIL])
    assert cases.completed(officer, other).outcome == "erased"
    assert row.children.get().rows == 0


def test_a_reviewer_sees_that_the_data_moved(ana: Actor, officer: Actor, other: Actor) -> None:
    row = cases.people(ana)
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=row, role="training")
    before = sections(record_of(version, "Production"), "", {})
    cases.executed(officer, other)
    after = sections(record_of(version, "Production"), "", {})
    assert {name for name in before if before[name] != after[name]} == {"data"}


# -- when ------------------------------------------------------------------------------------------------------------


def test_an_approval_is_for_one_plan_and_for_the_data_it_was_made_of(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.planned(officer)
    with pytest.raises(Stale, match="not the one that stands there now"):
        deciding.approve(by=other, request=request, plan_digest="0" * 64)
    cases.people(ana, name="more", mails=[MAIL])
    with pytest.raises(Stale, match="Search again"):
        deciding.approve(by=other, request=request, plan_digest=request.plan_digest)
    assert queries.view(other, cases.fresh(request)).why_not["approve"] == rules.MOVED
    discovery.again(by=officer, request=request)
    discovery.run(request.pk)
    request = cases.fresh(request)
    assert [hit["name"] for hit in request.plan["data_sets"]] == ["more", "people"]
    deciding.approve(by=other, request=request, plan_digest=request.plan_digest)
    assert cases.fresh(request).state == State.APPROVED


def test_data_that_moves_after_the_approval_sends_the_request_back(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.approved(officer, other)
    cases.people(ana, name="more", mails=[MAIL])
    execution.run(request.pk)
    request = cases.fresh(request)
    assert (request.state, request.approver, request.plan) == (State.DISCOVERING, "", None)
    assert DataSet.objects.filter(state="erased").count() == 0
    discovery.run(request.pk)
    request = cases.fresh(request)
    deciding.approve(by=other, request=request, plan_digest=request.plan_digest)
    execution.run(request.pk)
    assert cases.fresh(request).state == State.AWAITING_SIGNOFF
    assert DataSet.objects.filter(state="erased").count() == 2


def test_two_requests_on_one_data_set_do_not_undo_each_other(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    first = cases.approved(officer, other)
    second = cases.approved(officer, other, external_id="case-2", identifier_value="bo@example.invalid")
    execution.run(first.pk)
    execution.run(second.pk)
    second = cases.fresh(second)
    assert second.state == State.DISCOVERING
    discovery.run(second.pk)
    second = cases.fresh(second)
    deciding.approve(by=other, request=second, plan_digest=second.plan_digest)
    execution.run(second.pk)
    for request in (first, second):
        closing.sign_off(by=other, request=cases.fresh(request))
    last = DataSet.objects.get(state="present")
    assert cases.mails_in(last) == ["ana@example.invalid", "cy@example.invalid", "di@example.invalid"]


def test_what_was_begun_cannot_be_cancelled(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.executed(officer, other)
    with pytest.raises(Conflict, match="Rows were erased for this request already"):
        deciding.cancel(by=officer, request=request, reason="A mistake.")
    with pytest.raises(Conflict, match="Rows were erased for this request already"):
        deciding.refuse(by=other, request=request, reason="A mistake.")


def test_a_request_under_execution_cannot_be_cancelled(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.approved(officer, other)
    assert execution.claim(request.pk) is not None
    with pytest.raises(Conflict, match="This request is being executed"):
        deciding.cancel(by=officer, request=request, reason="A mistake.")


def test_every_state_can_be_left_or_is_closed() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - CLOSED
    assert set(TRANSITIONS.values()) == set(State) - {State.RECEIVED}


@pytest.mark.parametrize("state", [State.RECEIVED, State.PLAN_READY, State.AWAITING_SIGNOFF, State.COMPLETED])
def test_acts_at_the_wrong_time_are_a_conflict_in_words(ana: Actor, officer: Actor, other: Actor, state: State) -> None:
    cases.people(ana)
    make = {
        State.RECEIVED: cases.file, State.PLAN_READY: cases.planned,
    }.get(state)  # fmt: skip
    request = make(officer) if make else (
        cases.executed(officer, other) if state is State.AWAITING_SIGNOFF else cases.completed(officer, other)
    )  # fmt: skip
    view = queries.view(other, request)
    acts: dict[str, Any] = {
        "approve": lambda: deciding.approve(by=other, request=request, plan_digest=request.plan_digest or "0" * 64),
        "discover": lambda: discovery.again(by=other, request=request),
        "execute": lambda: execution.again(by=other, request=request),
        "sign_off": lambda: closing.sign_off(by=other, request=request),
        "refuse": lambda: deciding.refuse(by=other, request=request, reason="No."),
        "cancel": lambda: deciding.cancel(by=other, request=request, reason="No."),
    }
    for name, sentence in view.why_not.items():
        if sentence is not None:
            with pytest.raises(Conflict) as refused:
                acts[name]()
            assert refused.value.sentence == sentence


# -- workers ---------------------------------------------------------------------------------------------------------


def test_a_second_worker_leaves_a_held_request_alone(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.approved(officer, other)
    held = execution.claim(request.pk)
    assert held is not None
    execution.run(request.pk)
    assert cases.fresh(request).state == State.EXECUTING
    assert not DataSet.objects.filter(state="erased").exists()


def test_a_worker_that_lost_its_lease_changes_nothing(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.approved(officer, other)
    slow = execution.claim(request.pk)
    assert slow is not None
    lapse(request)
    execution.run(request.pk)
    assert cases.fresh(request).state == State.AWAITING_SIGNOFF
    before = list(DataSet.objects.order_by("number").values_list("number", "state", "digest"))
    task = ErasureTask.objects.get()
    with pytest.raises(Conflict):
        execution.execute(slow)
    ErasureTask.objects.get(pk=task.pk)
    assert list(DataSet.objects.order_by("number").values_list("number", "state", "digest")) == before
    assert cases.fresh(request).state == State.AWAITING_SIGNOFF


def test_a_slow_worker_does_not_swap_what_another_one_has_taken_over(ana: Actor, officer: Actor, other: Actor) -> None:
    row = cases.people(ana)
    request = cases.approved(officer, other)
    slow = execution.claim(request.pk)
    lapse(request)
    fast = execution.claim(request.pk)
    assert slow is not None
    assert fast is not None
    with pytest.raises(moves.LeaseLostError):
        replacing.replace(slow, ErasureTask.objects.get(), MAIL)
    failing.fail(slow, Action.ERASURE_EXECUTE, "It took too long.")
    row.refresh_from_db()
    assert (row.state, cases.fresh(request).state, cases.fresh(request).problem) == ("present", State.EXECUTING, "")
    assert list(storage.place("data-sets/x").parent.iterdir()) == [storage.existing(row.path).parent]
    execution.execute(fast)
    assert cases.fresh(request).state == State.VERIFYING


def lapse(request: ErasureRequest) -> None:
    with door.guard.allow("test"):
        ErasureRequest.objects.filter(pk=request.pk).update(leased_until=now() - timedelta(seconds=1))


def test_a_run_after_a_crash_before_the_swap_uses_what_lies_there(ana: Actor, officer: Actor, other: Actor) -> None:
    old = cases.people(ana)
    request = cases.approved(officer, other)
    held = execution.claim(request.pk)
    assert held is not None
    with storage.incoming() as folder:  # all that a worker does before it commits, and then it is gone
        made = replacing.rewritten(storage.existing(old.path), folder, ["mail"], MAIL, "email")
        storage.settle(made.path.parent, made.folder, made.manifest)
    lapse(request)
    execution.run(request.pk)
    request = cases.fresh(request)
    assert (request.state, request.problem) == (State.AWAITING_SIGNOFF, "")
    assert old.children.get().path == made.stored


def test_a_run_after_a_crash_behind_the_swap_deletes_what_was_left(ana: Actor, officer: Actor, other: Actor) -> None:
    old = cases.people(ana)
    request = cases.approved(officer, other)
    content = storage.existing(old.path).read_bytes()
    held = execution.claim(request.pk)
    assert held is not None
    replacing.replace(held, ErasureTask.objects.get(), MAIL)
    left = storage.new_file(old.path)  # the worker died before it came to delete
    left.write_bytes(content)
    lapse(request)
    execution.run(request.pk)
    assert cases.fresh(request).state == State.AWAITING_SIGNOFF
    assert not left.exists()
    assert old.children.count() == 1


def test_a_report_made_meanwhile_does_not_survive(ana: Actor, officer: Actor, other: Actor) -> None:
    old = cases.people(ana)
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=old, role="evaluation")
    request = cases.approved(officer, other)
    held = execution.claim(request.pk)
    assert held is not None
    execution.execute(held)
    late = cases.predictions(version, old)
    execution.verify(cases.fresh(request))
    assert Evidence.objects.get(pk=late.pk).path == ""
    assert not storage.place(late.path).exists()
    assert ErasureTask.objects.get().state == "done"


def test_a_worker_that_is_lost_again_and_again_is_not_waited_for(ana: Actor, officer: Actor, other: Actor) -> None:
    cases.people(ana)
    request = cases.approved(officer, other)
    for _ in range(rules.MOST_ATTEMPTS):
        assert execution.claim(request.pk) is not None
        lapse(request)
    assert execution.claim(request.pk) is None
    request = cases.fresh(request)
    assert request.state == State.NEEDS_ATTENTION
    assert request.problem == "The worker was lost 3 times while it executed the plan."
    execution.again(by=officer, request=request)
    execution.run(request.pk)
    assert cases.fresh(request).state == State.AWAITING_SIGNOFF


def test_what_cannot_be_rewritten_faithfully_is_left_and_said(ana: Actor, officer: Actor, other: Actor) -> None:
    import datetime as dt

    buffer = pa.BufferOutputStream()
    table = pa.table({"mail": [MAIL, "a@x.invalid"], "at": [dt.datetime(2020, 1, 1, tzinfo=dt.UTC)] * 2})
    pq.write_table(table, buffer, use_deprecated_int96_timestamps=True)
    row = cases.parquet(ana, buffer.getvalue().to_pybytes(), "old", identifiers={"mail": "email"})
    request = cases.executed(officer, other)
    assert request.state == State.NEEDS_ATTENTION
    assert "INT96" in request.problem
    row.refresh_from_db()
    assert row.state == "present"
    assert list(storage.place("data-sets/x").parent.iterdir()) == [storage.existing(row.path).parent]
    deciding.refuse(by=other, request=request, reason="The file has to be migrated first.")


def test_the_sweep_wakes_whom_nobody_works_on(officer: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    from web.celery import app

    sent: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **_: sent.append((name, args)))
    app.set_current()
    request = cases.file(officer)
    assert sweeping.sweep() == 0  # it was woken a moment ago
    with door.guard.allow("test"):
        ErasureRequest.objects.filter(pk=request.pk).update(filed_at=now() - timedelta(minutes=1))
    assert sweeping.sweep() == 1
    assert sent == [("erasure.tasks.discover", [str(request.pk)])]
    assert discovery.claim(request.pk) is not None
    assert sweeping.sweep() == 0
    lapse(request)
    assert sweeping.sweep() == 1


def test_the_days_are_counted_against_the_nominal_date(officer: Actor) -> None:
    request = cases.file(officer)
    counted = [
        rules.due(request, day) for day in (date(2026, 3, 5), date(2026, 3, 30), date(2026, 4, 5), date(2026, 4, 6))
    ]
    assert [(one.words, one.tone) for one in counted] == [
        ("31 days left", "ok"), ("6 days left", "warn"), ("due today", "warn"), ("1 day overdue", "bad"),
    ]  # fmt: skip


def test_a_person_without_the_role_sees_nothing(ana: Actor, officer: Actor) -> None:
    cases.file(officer)
    assert not queries.requests(ana).exists()
    with pytest.raises(Denied):
        queries.board(ana)
    assert queries.requests(factories.actor()).count() == 0
