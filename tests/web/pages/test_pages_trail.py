"""The trail for people: sentences, filters, one entry, one object's life, and an export that verifies."""

import html
import json
import re

import pytest
from django.test import Client

from access import actions
from access.roles import Role
from audit.actors import SYSTEM
from audit.events import WORDS
from audit.models import Event
from registry.actions import promotion
from registry.states import DecisionKind
from tests import factories
from tests.web.pages.case import actor, browser, client_of, waiting
from tests.web.pages.test_pages_promotion import text_of
from web.pages import context, entries

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
    assert "change/justification It is better." in text
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
