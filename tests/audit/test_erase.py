"""Erasing a person: openings and key go, every proof and every earlier export stays, and the entry names nobody."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import ProgrammingError, connection, connections, transaction

from access import actions, authenticate
from access.actions import create_token
from access.authenticate import actor_of
from access.erasing import LegalBasis, erase_person
from access.models import RoleGrant, Token, User
from access.roles import Role
from audit import erase, export, vault
from audit.actors import SYSTEM
from audit.errors import Conflict, Denied, Unauthenticated
from audit.models import Disclosure, Erasing, Event, Pseudonym, SubjectKey
from audit.queries import Filter
from tests import factories


@pytest.fixture(autouse=True)
def own_database(fresh_database: str):
    yield
    connections["eraser"].close()


def ada_acts(reason: str = "Ada Lovelace asked for it") -> User:
    """An administrator who leaves her name, her address and a sentence in the trail."""
    ada = factories.account(Role.ADMINISTRATOR, username="ada")
    other = factories.account(Role.ADMINISTRATOR, username="grace")
    by = actor_of(ada, "session", ip="192.0.2.7")
    for number in range(3):
        actions.grant_role(by=by, user=other, role=Role.VIEWER, pattern=f"m-{number}", reason=reason)
    return ada


def leaves() -> list[bytes]:
    return [bytes(event.leaf_data) for event in Event.objects.order_by("recorded_at")]


def test_openings_key_and_pseudonym_go_and_the_leaves_stay() -> None:
    ada = ada_acts()
    ref = Pseudonym.objects.get(account=str(ada.pk)).ref
    before = leaves()
    assert Disclosure.objects.filter(subject_id=ref).count() == 10  # user name; thrice name, address, reason
    done = erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.NO_LONGER_NECESSARY)
    assert done.openings == 10
    assert not Disclosure.objects.filter(subject_id=ref).exists()
    assert not SubjectKey.objects.filter(pk=ref).exists()
    assert not Pseudonym.objects.filter(ref=ref).exists()
    assert not Erasing.objects.exists()
    assert leaves()[: len(before)] == before


def test_the_entry_counts_and_names_nobody() -> None:
    ada = ada_acts()
    ref = Pseudonym.objects.get(account=str(ada.pk)).ref
    done = erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.CONSENT_WITHDRAWN)
    entry = Event.objects.get(action="privacy.erase")
    leaf = bytes(entry.leaf_data).decode()
    assert (entry.object_type, entry.object_id) == ("privacy", done.act)
    assert '"openings":10' in leaf
    assert '"legal_basis":"art_17_1_b"' in leaf
    for trace in ("ada", "Ada", ref, str(ada.pk)):
        assert trace not in leaf


def test_the_account_has_no_name_no_way_in_and_no_role() -> None:
    ada = ada_acts()
    _, secret = create_token(by=SYSTEM, user=ada, name="ada's laptop")
    erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.OBJECTION)
    row = User.objects.get(pk=ada.pk)
    assert (row.display_name, row.email, row.is_active, row.has_usable_password()) == ("", "", False, False)
    assert row.username.startswith("erased-")
    assert not RoleGrant.objects.filter(user=ada, revoked_at=None).exists()
    assert Token.objects.get(user=ada).name == "erased"
    with pytest.raises(Unauthenticated):
        authenticate.by_bearer(secret)


def test_others_keep_theirs() -> None:
    ada = ada_acts()
    grace = User.objects.get(username="grace")
    actions.grant_role(
        by=actor_of(grace, "session", ip="198.51.100.9"), user=ada, role=Role.VIEWER, reason="Grace Hopper wrote this"
    )
    erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.OBJECTION)
    (event,) = Event.objects.filter(actor_ref=Pseudonym.objects.get(account=str(grace.pk)).ref)
    assert len(vault.openings([event.id])[event.id]) == 3


def test_what_others_recorded_about_the_person_goes_too() -> None:
    grace = factories.actor(Role.ADMINISTRATOR)
    ada = actions.create_user(by=grace, username="ada", password=None, display_name="Ada Lovelace", email="ada@a.org")
    (event,) = Event.objects.filter(action="user.create", object_id=str(ada.pk))
    assert vault.openings([event.id])[event.id].keys() == {
        "actor/name", "request/ip", "change/username", "change/display_name", "change/email",
    }  # fmt: skip
    assert erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.OBJECTION).openings == 3
    assert vault.openings([event.id])[event.id].keys() == {"actor/name", "request/ip"}


def test_a_crash_after_the_decision_is_made_good_by_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = ada_acts()
    with monkeypatch.context() as patched:
        patched.setattr(erase, "carry_out", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.OBJECTION)
    assert Erasing.objects.count() == 1
    assert erase.carry_out() == 1
    assert erase.carry_out() == 0
    assert not Disclosure.objects.filter(path="reason").exists()


def test_only_the_eraser_may_delete() -> None:
    ada_acts()
    for table in ("audit_disclosure", "audit_subject_key", "audit_pseudonym", "audit_erasing"):
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.AUDITOR, Role.REVIEWER])
def test_only_a_compliance_officer_decides_it(role: Role) -> None:
    ada = ada_acts()
    with pytest.raises(Denied):
        erase_person(by=factories.actor(role), user=ada, legal_basis=LegalBasis.OBJECTION)
    assert User.objects.get(pk=ada.pk).username == "ada"


def test_not_oneself_not_twice_not_the_last_administrator() -> None:
    officer = factories.account(Role.COMPLIANCE_OFFICER, username="olga")
    last = factories.account(Role.ADMINISTRATOR, username="ada")
    by = actor_of(officer, "session")
    basis = LegalBasis.OBJECTION
    with pytest.raises(Conflict) as own:
        erase_person(by=by, user=officer, legal_basis=basis)
    with pytest.raises(Conflict) as only:
        erase_person(by=by, user=last, legal_basis=basis)
    factories.account(Role.ADMINISTRATOR)
    erase_person(by=by, user=last, legal_basis=basis)
    with pytest.raises(Conflict) as twice:
        erase_person(by=by, user=last, legal_basis=basis)
    assert [error.value.code for error in (own, only, twice)] == ["own_account", "last_administrator", "erased_already"]


def test_earlier_and_later_exports_verify(signed_log, tmp_path: Path) -> None:
    ada = ada_acts()
    auditor = factories.actor(Role.AUDITOR)
    key = signed_log()

    def exported(name: str) -> Path:
        out = io.BytesIO()
        export.export(by=auditor, chosen=Filter(), out=out)
        (tmp_path / name).write_bytes(out.getvalue())
        return tmp_path / name

    def verdict(bundle: Path) -> tuple[int, str]:
        verifier = Path(export.__file__).with_name("verify.py")
        run = [sys.executable, "-I", "-S", str(verifier), str(bundle), "--key", key]
        done = subprocess.run(run, env={}, capture_output=True, check=False, text=True)
        return done.returncode, done.stdout

    earlier = exported("earlier.zip")
    erase_person(by=SYSTEM, user=ada, legal_basis=LegalBasis.UNLAWFUL)
    signed_log()
    later = exported("later.zip")
    assert verdict(earlier)[0] == verdict(later)[0] == 0
    assert "erased" in verdict(later)[1]
