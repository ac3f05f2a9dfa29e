"""Tokens with scopes, sessions that can be ended, passwords that are changed and reset, and doors that close."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access import actions, authenticate, browsers, queries, scopes, throttle, uses
from access.authenticate import actor_of
from access.erasing import LegalBasis, erase_person
from access.models import Attempt, LastUse, Membership, Session, Token, User
from access.roles import Role
from access.scopes import TokenScope
from audit.actors import SYSTEM
from audit.clock import now
from audit.errors import Conflict, Invalid, NotFound, TooMany, Unauthenticated
from audit.events import Action
from audit.models import Event
from tests import factories
from tests.web.pages.case import signed_in

pytestmark = pytest.mark.django_db
PASSWORD, OTHER = factories.PASSWORD, "another-long-phrase-7"


@pytest.fixture
def ana() -> User:
    return actions.create_user(by=SYSTEM, username="ana", password=PASSWORD)


def client(user: User, scope: TokenScope = TokenScope.FULL) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=user, name="test", scope=scope)
    return Client(headers={"Authorization": f"Bearer {secret}"})


# -- tokens ----------------------------------------------------------------------------------------------------------

# R: read only, G: registry, F: everything. Written down a second time, by hand.
REACHED = {
    Action.REGISTRY_VIEW: "RGF",
    Action.TRACKING_READ: "RGF",
    Action.TRAIL_VIEW: "RF",
    Action.TRAIL_EXPORT: "RF",
    Action.PEOPLE_VIEW: "RF",
    Action.ERASURE_VIEW: "RF",
    Action.PROMOTION_VIEW: "RGF",
    Action.TRACKING_WRITE: "GF",
    Action.MODEL_CREATE: "GF",
    Action.VERSION_CREATE: "GF",
    Action.ALIAS_SET: "GF",
    Action.DATA_SET_CREATE: "GF",
    Action.EVIDENCE_REQUEST: "GF",
    Action.PROMOTION_REQUEST: "GF",
    Action.PROMOTION_APPLY: "GF",
    Action.PROMOTION_DECIDE: "F",
    Action.TOKEN_CREATE: "F",
    Action.TOKEN_REVOKE: "F",
    Action.PASSWORD_CHANGE: "F",
    Action.SESSION_REVOKE: "F",
    Action.USER_CREATE: "F",
    Action.ROLE_GRANT: "F",
    Action.ERASURE_APPROVE: "F",
    Action.PRIVACY_ERASE: "F",
}


@pytest.mark.parametrize("action", REACHED, ids=lambda action: action.value)
def test_what_each_scope_reaches(action: Action) -> None:
    letters = dict(zip("RGF", TokenScope, strict=True))
    assert {letter for letter, scope in letters.items() if scopes.reaches(scope, action)} == set(REACHED[action])


def test_a_narrow_token_is_refused_on_every_surface_with_one_sentence() -> None:
    maker = factories.account(Role.DATA_SCIENTIST, Role.AUDITOR)
    reading, building = client(maker, TokenScope.READ), client(maker, TokenScope.REGISTRY)
    sentence = "This token may only read; to register a model, use one with a wider scope."
    wire = reading.post("/api/2.0/mlflow/registered-models/create", {"name": "credit"}, content_type="application/json")
    assert (wire.status_code, wire.json()["message"]) == (403, sentence)
    assert reading.get("/api/v1/models/").status_code == 200
    assert reading.get("/api/v1/trail/").status_code == 200
    made = reading.post("/api/v1/tokens/", {"name": "wider"}, content_type="application/json")
    assert (made.status_code, made.json()["error"]["code"]) == (403, "token_scope")
    assert (
        building.post(
            "/api/2.0/mlflow/registered-models/create", {"name": "credit"}, content_type="application/json"
        ).status_code
        == 200
    )
    assert building.get("/api/v1/trail/").status_code == 403
    assert building.get("/log/admin/checkpoint").status_code == 403
    assert Event.objects.filter(action="registered_model.create", outcome="denied").count() == 1


def test_the_last_use_is_written_once_a_minute(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = actions.create_token(by=SYSTEM, user=ana, name="laptop")
    uses.forget()
    authenticate.by_bearer(secret)
    first = LastUse.objects.get(pk=token.pk).at
    with CaptureQueriesContext(connection) as asked:
        authenticate.by_bearer(secret)
    assert len(asked) == 1, "a second use in the same minute costs nothing"
    uses.forget()  # another process, which has not noted it
    authenticate.by_bearer(secret)
    assert LastUse.objects.get(pk=token.pk).at == first
    later = now() + timedelta(seconds=61)
    monkeypatch.setattr(uses, "now", lambda: later)
    uses.forget()
    authenticate.by_bearer(secret)
    assert LastUse.objects.get(pk=token.pk).at == later


def test_tokens_are_listed_for_their_holder_and_for_administrators(ana: User) -> None:
    token, _ = actions.create_token(by=SYSTEM, user=ana, name="laptop")
    own, boss, auditor = actor_of(ana, "session"), factories.actor(Role.ADMINISTRATOR), factories.actor(Role.AUDITOR)
    assert list(queries.tokens_of(own)) == [token]
    assert list(queries.tokens_of(boss, ana)) == [token]
    with pytest.raises(Exception, match="it takes the role administrator"):
        queries.tokens_of(auditor, ana)
    with pytest.raises(NotFound):
        queries.token(auditor, token.pk)


# -- sessions ----------------------------------------------------------------------------------------------------------


def browser(name: str = "ana", password: str = PASSWORD, agent: str = "") -> Client:
    made = Client(headers={"User-Agent": agent})
    assert made.post("/sign-in/", {"username": name, "password": password}).status_code == 302
    return made


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_a_session_is_listed_and_ended_from_another(ana: User) -> None:
    here, there = browser(agent=FIREFOX), browser()
    rows = list(queries.sessions_of(actor_of(ana, "session")))
    assert [(row.auth, row.browser, row.address) for row in reversed(rows)] == [
        ("password", "Firefox on Linux", "127.0.0.1"),
        ("password", "", "127.0.0.1"),
    ]
    shown = there.get("/account/").content.decode()
    assert "Firefox on Linux" in shown
    assert there.post(f"/account/sessions/{rows[1].pk}/end/").status_code == 302
    assert here.get("/account/")["Location"].startswith("/sign-in/")
    assert there.get("/account/").status_code == 200
    assert Event.objects.filter(action="session.revoke", outcome="success").count() == 1


def test_signing_out_ends_the_row_and_everywhere_else_ends_the_others(ana: User) -> None:
    first, second, third = browser(), browser(), browser()
    first.post("/sign-out/")
    assert Session.objects.filter(ended_at=None).count() == 2
    assert second.post("/account/sessions/end/").status_code == 302
    assert third.get("/account/").status_code == 302
    assert second.get("/account/").status_code == 200


def test_a_copied_cookie_is_worthless_after_the_session_ended(ana: User) -> None:
    first = browser()
    copy = Client()
    copy.cookies["plimsoll_session"] = first.cookies["plimsoll_session"].value
    assert copy.get("/account/").status_code == 200
    actions.end_sessions(by=SYSTEM, user=ana)
    assert copy.get("/account/").status_code == 302
    assert first.get("/account/").status_code == 302


def test_sessions_of_others_are_not_there_but_for_administrators(ana: User) -> None:
    row = signed_in(ana)
    with pytest.raises(NotFound):
        queries.session(factories.actor(Role.AUDITOR), row.pk)
    boss = factories.actor(Role.ADMINISTRATOR)
    actions.revoke_session(by=boss, session=queries.session(boss, row.pk))
    assert str(Session.objects.get(pk=row.pk).ended_by_id) == boss.account


def test_a_session_lasts_twelve_hours(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    here = browser()
    monkeypatch.setattr(authenticate, "now", lambda: now() + timedelta(hours=12, seconds=1))
    assert here.get("/account/").status_code == 302


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5", "curl"),
        ("<script>", ""),
    ],
)
def test_a_browser_is_named_in_few_words(agent: str, named: str) -> None:
    assert browsers.named(agent) == named


# -- passwords ---------------------------------------------------------------------------------------------------------


def test_changing_the_password_ends_every_other_session_and_keeps_this_one(ana: User) -> None:
    here, there = browser(), browser()
    changed = here.post("/account/password/", {"current": PASSWORD, "new": OTHER, "again": OTHER})
    assert changed["Location"] == "/account/"
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302
    with pytest.raises(Unauthenticated):
        authenticate.by_password("ana", PASSWORD)
    assert authenticate.by_password("ana", OTHER) == ana
    leaf = json.loads(bytes(Event.objects.get(action="password.change").leaf_data))
    assert leaf["change"]["after"] == {"sessions_ended": 1}


@pytest.mark.parametrize(
    ("current", "new", "again", "sentence"),
    [
        ("wrong", OTHER, OTHER, "The current password is wrong."),
        (PASSWORD, "short", "short", "too short"),
        (PASSWORD, "123456789012345", "123456789012345", "entirely numeric"),
        (PASSWORD, PASSWORD, PASSWORD, "This is the password you have"),
        (PASSWORD, OTHER, OTHER + "x", "This is not the new password as you typed it first."),
        ("", OTHER, OTHER, "Enter the password you have."),
    ],
)
def test_a_password_that_is_not_changed(ana: User, current: str, new: str, again: str, sentence: str) -> None:
    answer = browser().post("/account/password/", {"current": current, "new": new, "again": again})
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert authenticate.by_password("ana", PASSWORD) == ana


def test_a_reset_takes_the_password_away_and_the_link_leads_to_choosing_another(ana: User) -> None:
    there = browser()
    secret = actions.reset_password(by=SYSTEM, user=ana)
    assert there.get("/account/").status_code == 302
    with pytest.raises(Unauthenticated):
        authenticate.by_password("ana", PASSWORD)
    here = Client()
    assert here.post(f"/sign-in/link/{secret}/").status_code == 302
    assert here.get("/models/")["Location"] == "/account/password/"
    assert here.get("/api/v1/me/").json()["error"]["code"] == "password_change_due"
    page = here.get("/account/password/")
    assert "Current password" not in page.content.decode()
    assert here.post("/account/password/", {"new": OTHER, "again": OTHER}).status_code == 302
    assert here.get("/models/").status_code == 200
    assert authenticate.by_password("ana", OTHER) == ana


def test_a_first_password_that_somebody_else_knows_lets_in_only_to_choose_another() -> None:
    boss = factories.actor(Role.ADMINISTRATOR)
    actions.create_user(by=boss, username="noor", password=PASSWORD, must_change_password=True)
    import base64

    basic = base64.b64encode(f"noor:{PASSWORD}".encode()).decode()
    refused = Client(headers={"Authorization": f"Basic {basic}"}).get("/api/v1/me/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "password_change_due")
    here = browser("noor")
    assert here.get("/")["Location"] == "/account/password/"
    assert here.post("/tokens/", {"name": "x"}).status_code == 403
    here.post("/account/password/", {"current": PASSWORD, "new": OTHER, "again": OTHER})
    assert here.get("/").status_code == 200


def test_links_made_before_end_with_a_reset_or_a_change(ana: User) -> None:
    old = actions.create_sign_in_link(by=SYSTEM, user=ana)
    actions.reset_password(by=SYSTEM, user=ana)
    with pytest.raises(Unauthenticated):
        authenticate.link_for(old)


def test_guessing_the_current_password_is_throttled_like_a_sign_in(ana: User) -> None:
    by = actor_of(ana, "session", ip="192.0.2.1")
    for _ in range(throttle.PAIR.most):
        with pytest.raises(Invalid, match="The current password is wrong"):
            actions.change_password(by=by, current="wrong", new=OTHER)
    with pytest.raises(TooMany):
        actions.change_password(by=by, current="wrong", new=OTHER)


# -- throttling --------------------------------------------------------------------------------------------------------


def failures(key: str, count: int, ago: timedelta = timedelta(0)) -> None:
    Attempt.objects.bulk_create([Attempt(key=key, at=now() - ago) for _ in range(count)])


@pytest.mark.parametrize(
    ("parts", "most", "elsewhere", "what"),
    [
        (("attempt", "ana", "192.0.2.7"), throttle.PAIR.most, ("ana", "192.0.2.8"), "for this name"),
        (("name", "ana"), throttle.NAME.most, ("bea", "192.0.2.7"), "for this name"),
        (("address", "192.0.2.7"), throttle.ADDRESS.most, ("ana", "192.0.2.8"), "from this address"),
    ],
)
def test_each_limit_locks_what_it_counts_and_says_how_long(
    parts: tuple[str, ...], most: int, elsewhere: tuple[str, str], what: str
) -> None:
    failures(throttle.key_of(*parts), most - 1, timedelta(minutes=5, seconds=30))
    throttle.take_back(throttle.begin("ana", "192.0.2.7"))
    failures(throttle.key_of(*parts), 1)
    with pytest.raises(TooMany) as caught:
        throttle.begin("ANA", "192.0.2.7")
    assert caught.value.sentence == f"Too many failed sign-ins {what}: try again in 10 minutes."
    assert 560 <= int(str(caught.value.details["retry_after"])) <= 570
    throttle.take_back(throttle.begin(*elsewhere))
    assert Attempt.objects.count() == most, "asking while it is locked makes it no longer"


def test_a_right_password_leaves_no_attempt_and_wrong_ones_are_kept_without_the_name(ana: User) -> None:
    authenticate.by_password("ana", PASSWORD, ip="192.0.2.7")
    assert not Attempt.objects.exists()
    with pytest.raises(Unauthenticated):
        authenticate.by_password("ana", "wrong", ip="192.0.2.7")
    assert Attempt.objects.count() == 3
    assert not Attempt.objects.filter(key__contains="ana").exists()


# -- closing -----------------------------------------------------------------------------------------------------------


def test_closing_an_account_ends_sessions_and_tokens_at_once_and_reopening_revives_none(ana: User) -> None:
    here = browser()
    _, secret = actions.create_token(by=SYSTEM, user=ana, name="laptop")
    boss = factories.actor(Role.ADMINISTRATOR)
    actions.close_account(by=boss, user=ana, reason="Left.")
    assert here.get("/account/").status_code == 302
    with pytest.raises(Unauthenticated):
        authenticate.by_bearer(secret)
    with pytest.raises(Unauthenticated):
        authenticate.by_password("ana", PASSWORD)
    actions.reopen_account(by=boss, user=ana)
    assert here.get("/account/").status_code == 302
    with pytest.raises(Unauthenticated, match="revoked"):
        authenticate.by_bearer(secret)
    assert authenticate.by_password("ana", PASSWORD) == ana
    leaf = json.loads(bytes(Event.objects.get(action="user.close").leaf_data))
    assert leaf["change"]["after"] == {"is_active": False, "sessions_ended": 1, "tokens_revoked": 1}


def test_the_tokens_of_a_service_account_rest_while_its_owner_is_closed(ana: User) -> None:
    robot = actions.create_user(by=SYSTEM, username="robot", password=None, is_service=True, owner=ana)
    _, secret = actions.create_token(by=SYSTEM, user=robot, name="ci")
    assert authenticate.by_bearer(secret) == robot
    actions.close_account(by=SYSTEM, user=ana)
    with pytest.raises(Unauthenticated, match="has to name another owner"):
        authenticate.by_bearer(secret)


def test_erasing_a_person_reaches_groups_sessions_tokens_and_their_uses(ana: User) -> None:
    browser(agent=FIREFOX).get("/account/")
    _, secret = actions.create_token(by=SYSTEM, user=ana, name="Ana's laptop")
    uses.forget()
    authenticate.by_bearer(secret)
    team = actions.create_group(by=SYSTEM, name="Validation")
    actions.add_member(by=SYSTEM, group=team, user=ana)
    erase_person(by=SYSTEM, user=ana, legal_basis=LegalBasis.OBJECTION)
    assert not Session.objects.exists()
    assert not LastUse.objects.exists()
    assert Membership.objects.get().removed_at is not None
    row = Token.objects.get()
    assert (row.name, row.revoked_at is None) == ("erased", False)
    with pytest.raises(Conflict, match="was erased"):
        actions.reopen_account(by=SYSTEM, user=ana)
