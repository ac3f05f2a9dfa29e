"""The trail for people: sentences, filters, one entry, one object's life, and an export that verifies."""

import html
import json
import re
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from access import actions
from access.roles import Role
from audit import clock
from audit.actors import SYSTEM
from audit.events import WORDS
from audit.models import Event
from audit.queries import Entry
from audit.standing import Confirmation, standing
from registry.actions import promotion
from registry.states import DecisionKind
from tests import factories
from tests.web.pages.case import actor, browser, client_of, waiting
from tests.web.pages.test_pages_promotion import text_of
from web.pages import context, entries, trail_entry, trail_logs

pytestmark = pytest.mark.django_db


def auditor() -> Client:
    return browser(Role.AUDITOR)[1]


def test_every_act_has_a_past() -> None:
    assert {words.split()[0] for words in WORDS.values()} == set(entries.PAST)


def test_entries_say_who_did_what_on_what() -> None:
    found = waiting()
    with pytest.raises(Exception, match="You may not decide"):
        promotion.decide(
            by=actor(found.scientist), request=found.request, kind=DecisionKind.APPROVE, subject_digest=found.digest
        )
    promotion.decide(
        by=actor(found.reviewer),
        request=found.request,
        kind=DecisionKind.APPROVE,
        subject_digest=found.digest,
        comment="I <b>looked</b>.",
    )
    page = auditor().get("/trail/")
    text = text_of(page)
    assert "Approved a promotion: credit v1 to Production" in text
    assert "Tried to decide on a promotion: credit v1 to Production Refused" in text
    assert "Requested a promotion: credit v1 to Production" in text
    assert "I <b>looked</b>." in text
    assert "<b>looked" not in page.content.decode()
    life = text_of(auditor().get(f"/trail/object/promotion_request/{found.request.pk}/"))
    assert life.index("Requested a promotion") < life.index("Tried to decide") < life.index("Approved a promotion")


def test_filters_narrow_and_are_kept_in_the_form() -> None:
    found = waiting()
    client = auditor()
    shown = client.get("/trail/", {"action": "promotion.request", "person": found.scientist.username})
    assert "Requested a promotion" in text_of(shown)
    assert "Registered a model" not in text_of(shown)
    assert f'value="{found.scientist.username}"' in shown.content.decode()
    assert '<option value="promotion.request" selected>' in shown.content.decode()
    none = client.get("/trail/", {"person": found.reviewer.username})
    assert "No entry matches" in text_of(none)
    of_object = client.get("/trail/", {"object_type": "promotion_request", "object_id": str(found.request.pk)})
    assert text_of(of_object).count("Requested a promotion") == 1
    assert "No entry matches" in text_of(client.get("/trail/", {"until": "2020-01-01"}))
    assert "No entry matches" not in text_of(client.get("/trail/", {"since": "2020-01-01"}))


def test_one_entry_shows_what_was_signed_and_what_may_be_deleted() -> None:
    found = waiting()
    event = Event.objects.get(action="promotion.request")
    page = auditor().get(f"/trail/{event.pk}/")
    text = text_of(page)
    leaf = json.loads(bytes(event.leaf_data))
    assert html.unescape(page.content.decode()).count(leaf["change"]["_sd"][0]) == 1
    assert bytes(event.leaf_hash).hex() in page.content.decode()
    assert "Justification It is better. change/justification" in text
    assert f'href="{found.url}"' in page.content.decode()
    assert "not sequenced yet" in text


def test_the_banner_says_how_far_it_reaches() -> None:
    context.forget_trail_line()
    client = auditor()
    assert "Nothing is signed yet" in text_of(client.get("/trail/"))


def test_pages_of_the_trail_hold_every_entry_once() -> None:
    for number in range(60):
        actions.create_user(by=SYSTEM, username=f"u{number}", password=None)
    client, following, seen = auditor(), "/trail/?action=user.create", []
    while following:
        body = client.get(following).content.decode()
        seen += re.findall(r'href="/trail/([0-9a-f-]{36})/"', body)
        link = re.search(r'rel="next" href="([^"]+)"', body)
        following = "/trail/" + html.unescape(link[1]) if link else ""
    assert len(seen) == len(set(seen)) == Event.objects.filter(action="user.create").count()


def test_names_that_turn_the_writing_cannot_turn_the_sentence() -> None:
    assert entries.isolated("plain") == "plain"
    assert entries.isolated("\u202eevil\u2069 name") == "\u2068evil name\u2069"
    assert entries.isolated("شامل") == "\u2068شامل\u2069"


def test_exports_are_for_auditors_and_say_why_not_to_others() -> None:
    _, officer = browser(Role.COMPLIANCE_OFFICER)
    page = officer.get("/trail/")
    assert page.status_code == 200
    assert "You may not export the trail: it takes the role auditor" in text_of(page)
    assert 'action="/trail/export/"' not in page.content.decode()
    assert officer.post("/trail/export/").status_code == 403
    assert Client().post("/trail/export/").status_code == 401


def test_an_export_before_anything_is_signed_is_503_on_the_page() -> None:
    response = auditor().post("/trail/export/", {"log": "admin"})
    assert response.status_code == 503
    assert "Nothing of this log is signed yet; try again in a moment." in text_of(response)


def test_an_export_with_a_filter_that_cannot_be_read_is_400() -> None:
    client = auditor()
    assert client.post("/trail/export/", {"since": "soon"}).status_code == 400
    assert "There is no action named" in text_of(client.post("/trail/export/", {"action": "nope"}))


def test_the_front_page_of_an_auditor_shows_refusals() -> None:
    viewer = factories.account(Role.VIEWER)
    client_of(viewer).get("/trail/")
    text = text_of(auditor().get("/"))
    assert "Tried to read the trail Refused" in text
    assert str(viewer) in text


def test_words_are_searched_by_who_may_read_them() -> None:
    waiting(justification="Better for Zoë.")
    client = auditor()
    assert "Requested a promotion" in text_of(client.get("/trail/", {"text": "ZOE better"}))
    none = text_of(client.get("/trail/", {"text": "nowhere", "outcome": "denied"}))
    assert "Looked in “Changes and refusals” for words “nowhere”, outcome refused." in none
    assert "Look in “Reads of sensitive things”" in none
    wrong = client.get("/trail/", {"text": "?"})
    assert wrong.status_code == 400
    assert "Search for whole words of 2 to 40 letters or digits." in text_of(wrong)
    administrator = browser(Role.ADMINISTRATOR)[1]
    page = administrator.get("/trail/")
    assert 'name="text"' not in page.content.decode()
    assert "is searched by auditors and compliance officers" in text_of(page)
    assert administrator.get("/trail/", {"text": "zoe"}).status_code == 403


def test_an_entry_shows_both_sides_of_what_changed() -> None:
    found = waiting()
    promotion.decide(
        by=actor(found.reviewer),
        request=found.request,
        kind=DecisionKind.APPROVE,
        subject_digest=found.digest,
        comment="Read by Zoë.",
    )
    event = Event.objects.get(action="promotion.decide")
    page = auditor().get(f"/trail/{event.pk}/")
    text = text_of(page)
    assert "state Changed OPEN APPROVED" in text
    assert "decision Added – APPROVE" in text
    assert "Read by Zoë." in text
    assert "number 2 of 2" in text
    assert "erased" not in text.partition("Personal values")[2].partition("The leaf")[0].replace("can be erased", "")
    assert html.escape(bytes(event.leaf_data).decode(), quote=True) in page.content.decode().replace("&#x27;", "&#x27;")
    withheld = text_of(browser(Role.ADMINISTRATOR)[1].get(f"/trail/{event.pk}/"))
    assert "Read by Zoë." not in withheld
    assert "192.0.2.1" not in withheld
    assert "the reason given: erased or withheld from your role" in withheld
    assert "where the request came from: erased or withheld from your role" in withheld


def test_values_are_compared_field_by_field() -> None:
    change = {"before": {"a": 1, "b": "x", "c": ["y"], "d": None}, "after": {"a": 1, "b": "z", "e": True, "d": 0}}
    made = trail_entry.diff(_entry(change))
    assert [(row["field"], row["kind"]) for row in made["rows"]] == [
        ("b", "changed"), ("c", "removed"), ("d", "changed"), ("e", "added"), ("a", "same"),
    ]  # fmt: skip
    sides = {row["field"]: (row["before"], row["after"]) for row in made["rows"]}
    assert sides["d"] == ({"text": "nothing"}, {"text": "0"})
    assert sides["a"] == ({"text": "1"}, {"text": "1"})
    assert sides["c"] == ({"text": '[\n  "y"\n]', "code": True}, None)
    assert sides["e"] == (None, {"text": "yes"})
    assert trail_entry.diff(_entry({}))["rows"] == []


def _entry(change: dict[str, Any]) -> Entry:
    leaf = {"object": {"type": "t", "id": "1"}, "change": change}
    return Entry(id=uuid.uuid4(), index=0, leaf=leaf, leaf_hash="", account=None)


def test_a_long_life_is_shown_in_parts() -> None:
    user = factories.account()
    for number in range(60):
        actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"m-{number}")
    client = auditor()
    first = client.get(f"/trail/object/user/{user.pk}/")
    assert "61 entries are recorded of this account, oldest first." in text_of(first)
    assert "Numbers 1 to 50 of 61" in text_of(first)
    assert "No. 1 · " in text_of(first)
    assert f"Granted a role: {user}, viewer on m-0" in text_of(first)
    assert f"<h1>{user}</h1>" in first.content.decode()
    rest = client.get(f"/trail/object/user/{user.pk}/?after=50")
    assert "Numbers 51 to 61 of 61" in text_of(rest)
    assert 'rel="next"' not in rest.content.decode()
    assert client.get(f"/trail/object/user/{user.pk}/?after=x").status_code == 400
    assert client.get(f"/trail/object/user/{user.pk}/?after=61").status_code == 404


def test_a_log_in_which_signing_stopped_says_so_on_every_page() -> None:
    context.forget_trail_line()
    head = replace(
        standing("admin"), size=9, signed_size=7, waiting=3, waiting_since=clock.now() - timedelta(minutes=2)
    )
    said = trail_logs.banner(head)
    assert (said["tone"], said["title"]) == ("bad", "Signing has stopped")
    assert "there is 3 entries without a place and 2 without a signature." in said["sentence"]
    refused = trail_logs.banner(replace(head, refusal="The database holds less than was signed."))
    assert refused["sentence"] == "The database holds less than was signed."
    fine = replace(head, waiting_since=None, size=7, signed_at=clock.now(), note="x", root="0" * 64)
    assert trail_logs.banner(fine)["title"].endswith("UNWITNESSED")
    confirmed = [Confirmation("vault", "file", 5, "0" * 64, clock.now(), "")]
    witnessed = trail_logs.banner(replace(fine, confirmations=confirmed))
    assert witnessed["title"].endswith(", witnessed")
    assert "vault outside this installation confirmed the first 5 entries." in witnessed["sentence"]


def test_the_page_of_the_logs_says_what_unwitnessed_means() -> None:
    text = text_of(auditor().get("/trail/log/"))
    assert "Changes and refusals" in text
    assert "Reads of sensitive things" in text
    assert "Nothing is signed yet" in text
    assert "No anchor Outside parties that confirm the log appear here once PLIMSOLL_ANCHORS names them." in text
