"""What holds for every page: one heading of the first level, labels, landmarks, no sideways scrolling, no complaint."""

from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser

from access import actions
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM
from audit.models import Event
from tests.browser.test_promotion import person, visit
from tests.web.pages import case
from tests.web.pages.case import actor

LONG = "a-name-of-two-hundred-and-fifty-six-characters-" + "x" * 209
_LOOK = """() => {
  const all = (query) => [...document.querySelectorAll(query)];
  const seen = (element) => element.checkVisibility();
  return {
    headings: all('h1, h2, h3, h4').filter(seen).map((h) => Number(h.tagName[1])),
    unlabelled: all('input:not([type=hidden]), select, textarea').filter((f) => !f.labels.length).map((f) => f.name),
    nameless: all('a, button').filter((e) => seen(e) && !e.textContent.trim()).length,
    landmarks: ['header', 'main', 'footer'].map((name) => all(`body > ${name}`).length),
    ids: all('[id]').map((e) => e.id),
    handlers: all('*').filter((e) => [...e.attributes].some((a) => /^(on.*|style)$/.test(a.name))).length,
    wide: document.scrollingElement.scrollWidth - window.innerWidth,
    title: document.title,
    lang: document.documentElement.lang,
  };
}"""


def faults(look: dict[str, Any]) -> list[str]:
    """What is wrong with a page, in words."""
    levels = look["headings"]
    found = {
        "not one h1": levels.count(1) != 1,
        "a heading level is skipped": any(after > before + 1 for before, after in pairwise(levels)),
        f"without label: {look['unlabelled']}": bool(look["unlabelled"]),
        "a link or button without a name": look["nameless"] > 0,
        "landmarks": look["landmarks"] != [1, 1, 1],
        "an id occurs twice": len(look["ids"]) != len(set(look["ids"])),
        "inline handler or style": look["handlers"] > 0,
        f"{look['wide']} px too wide": look["wide"] > 0,
        "no title": not look["title"].strip(),
        "no language": look["lang"] != "en",
    }
    return [words for words, wrong in found.items() if wrong]


def access_pages(reader: User) -> tuple[str, ...]:
    """A group and a service account with long names, and what is asked of them."""
    group = actions.create_group(by=SYSTEM, name="g" * 100, description="x" * 500)
    actions.add_member(by=SYSTEM, group=group, user=reader)
    actions.grant_role(by=SYSTEM, group=group, role=Role.REVIEWER, pattern="p" * 256)
    robot = actions.create_user(by=SYSTEM, username="r" * 150, password=None, is_service=True, owner=reader)
    question = f"/people/who-can/?action=promotion.decide&model={'p' * 256}"
    return (
        *("/people/groups/", f"/people/groups/{group.pk}/", f"/people/{robot.pk}/", "/people/who-can/", question),
        *(f"{question}&person=everyone", "/account/", "/account/password/", f"/service-accounts/{robot.pk}/tokens/"),
    )


@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_holds_together(chromium: Browser, server: str, width: int) -> None:
    found = case.waiting(LONG, justification="x" * 500)
    row = case.version(actor(found.scientist), "<b>empty</b>".replace("/", ""))
    evidence = [f"/evidence/{made.pk}/" for made in found.version.evidence.all()]
    reader = person("everyone", *(role for role in Role if role is not Role.SERVICE))
    addresses = [
        *(
            "/",
            "/models/",
            f"/models/{LONG}/",
            f"/models/{LONG}/versions/1/",
            "/data-sets/",
            f"/data-sets/{LONG[:200]} rows/1/",
        ),
        *("/models/%3Cb%3Eempty%3Cb%3E/", "/promotions/", found.url, "/trail/", "/trail/?since=soon", "/people/"),
        *(
            f"/people/{reader.pk}/",
            "/people/new/",
            "/tokens/",
            *access_pages(reader),
            "/webhooks/",
            "/webhooks/new/",
            f"/trail/object/model_version/{row.pk}/",
            "/nowhere/",
        ),
        *(f"/models/{row.model.name}/versions/1/promote/", *evidence),
        *(
            "/trail/log/",
            "/trail/?text=nowhere",
            "/trail/?log=access",
            f"/trail/object/promotion_request/{found.request.pk}/",
        ),
        *(f"/trail/{event.pk}/" for event in Event.objects.filter(action__in=["promotion.request", "role.grant"])[:3]),
    ]
    wrong = {}
    with visit(chromium, server, "everyone", viewport={"width": width, "height": 900}) as seen:
        for address in addresses:
            seen.page.goto(address)
            if said := faults(seen.page.evaluate(_LOOK)):
                wrong[address] = said
    assert wrong == {}
    assert [text for text in seen.complaints if "Content Security Policy" in text] == []
