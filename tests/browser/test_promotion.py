"""A promotion carried through by two people in a browser, with JavaScript and without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from access import actions, policy
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM
from audit.events import Action
from registry.models import PromotionRequest
from tests import factories
from tests.web.pages import case
from tests.web.pages.case import actor

JUSTIFICATION = "Fairer by age, and <b>bold</b> enough."


def person(name: str, *roles: Role) -> User:
    user = actions.create_user(by=SYSTEM, username=name, password=factories.PASSWORD, display_name=name.title())
    for role in roles:
        actions.grant_role(by=SYSTEM, user=user, role=role)
    return user


@dataclass
class Visit:
    """One person in a browser of their own, and what its console complained of."""

    page: Page
    complaints: list[str]


@contextmanager
def visit(browser: Browser, server: str, name: str, **options: object) -> Iterator[Visit]:
    """``name`` signs in."""
    context = browser.new_context(base_url=server, **options)  # type: ignore[arg-type]
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/models/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    yield Visit(page, complaints)
    context.close()


@pytest.mark.parametrize("scripted", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_promotion_from_the_request_to_production(chromium: Browser, server: str, scripted: bool) -> None:
    scientist = person("ana", Role.DATA_SCIENTIST, Role.REVIEWER)
    person("rafael", Role.REVIEWER)
    row = case.version(actor(scientist), "german credit & more")
    case.link(actor(scientist), row, case.data_set(actor(scientist), "german"))
    case.reports(row)

    with visit(chromium, server, "ana", java_script_enabled=scripted) as seen:
        page = seen.page
        page.get_by_role("link", name="german credit & more").click()
        page.get_by_role("link", name="Version 1").click()
        page.get_by_role("link", name="Request promotion").click()
        page.get_by_role("button", name="File the request").click()
        expect(page.get_by_role("alert")).to_contain_text("Say why this version should be promoted.")
        page.get_by_label("Justification").fill(JUSTIFICATION)
        page.get_by_role("button", name="File the request").click()
        expect(page.get_by_text("The request is open.")).to_be_visible()
        request = PromotionRequest.objects.get()
        sentence = policy.why_not(actor(scientist), Action.PROMOTION_DECIDE, request)
        assert sentence == ("You filed this request, so you may not decide on a promotion: someone independent has to.")
        approve = page.get_by_role("button", name="Approve")
        expect(approve).to_have_attribute("aria-disabled", "true")
        expect(approve).to_have_accessible_description(sentence)
        expect(page.get_by_text(sentence)).to_be_visible()
        assert seen.complaints == ["Failed to load resource: the server responded with a status of 400 (Bad Request)"]

    with visit(chromium, server, "rafael", java_script_enabled=scripted) as seen:
        page = seen.page
        page.get_by_role("link", name="Plimsoll").click()
        expect(page.get_by_text("Your decision")).to_be_visible()
        page.get_by_role("link", name="german credit & more v1").click()
        expect(page.get_by_text(JUSTIFICATION)).to_be_visible()
        expect(page.get_by_role("heading", name="Disparate impact, sex")).to_be_visible()
        page.get_by_label("Comment").fill("Read, and convinced.")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("You approved german credit & more v1.")).to_be_visible()
        expect(page.get_by_text("Read, and convinced.")).to_be_visible()
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_text("german credit & more v1 is in Production.")).to_be_visible()
        page.get_by_role("link", name="german credit & more version 1").click()
        expect(page.get_by_role("banner")).to_be_visible()
        expect(page.locator("main .page-title .status")).to_have_text("Production")
        expect(page.get_by_text("champion")).to_be_visible()
        assert seen.complaints == []
    row.refresh_from_db()
    assert row.stage == "Production"


def test_a_page_left_open_while_the_content_moved(chromium: Browser, server: str) -> None:
    found = case.waiting("moving")
    person("rafael", Role.REVIEWER)
    with visit(chromium, server, "rafael", java_script_enabled=False) as seen:
        page = seen.page
        page.goto(found.url)
        case.reports(found.version)  # same results, so nothing a reviewer judged has moved
        from registry.actions import versions

        versions.update(by=actor(found.scientist), version=found.version, description="Something else.")
        page.get_by_label("Comment").fill("Typed before I knew.")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("Your decision was not recorded")).to_be_visible()
        expect(page.get_by_role("heading", name="Stale: the description changed")).to_be_visible()
        expect(page.get_by_label("Comment")).to_have_value("Typed before I knew.")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("You approved moving v1.")).to_be_visible()
