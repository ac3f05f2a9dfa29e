"""Lineage and history in a browser: the drawing on a wide and a narrow screen, by keyboard, and pages of the past."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from access import actions
from access.roles import Role
from audit import clock, door
from audit.actors import SYSTEM
from audit.clock import rfc3339
from audit.events import Action
from registry.actions import promotion
from registry.models import ModelVersion, RegisteredModel, VersionParent, VersionRun
from registry.states import DecisionKind, ParentKind
from tests import factories
from tests.browser.test_pages import _LOOK, LONG, faults
from tests.browser.test_promotion import person, visit
from tests.web.pages import case
from tests.web.pages.case import actor

SHOTS = os.environ.get("SHOTS", "")


class Grown:
    """A version in Production with data, evidence, a run and a base model that its reader may not see; two children."""

    def __init__(self) -> None:
        found = case.waiting("credit")
        self.by = actor(found.scientist)
        self.version = found.version
        digest = found.request.subject_digest
        rex = factories.actor(Role.REVIEWER)
        promotion.decide(
            by=rex, request=found.request, kind=DecisionKind.APPROVE, subject_digest=digest, comment="Read."
        )
        self.before = clock.now()
        promotion.apply(by=self.by, request=found.request, subject_digest=digest)
        self.served = clock.now()
        with door.open(self.by, Action.VERSION_UPDATE, on=self.version) as entry:
            base = self._version("secret-base")
            VersionParent.objects.create(version=self.version, parent=base, parent_name="secret-base", parent_number=1,
                                         kind=ParentKind.FINE_TUNED)  # fmt: skip
            for name in (LONG, "credit-copy"):
                child = self._version(name)
                VersionParent.objects.create(version=child, parent=self.version, parent_name="credit", parent_number=1,
                                             kind=ParentKind.COPY)  # fmt: skip
            VersionRun.objects.create(
                version=self.version, run_id="a" * 32, name="night run", commit="c" * 40,
                repository="https://git.example.org/credit.git", entry_point="train.py", status="FINISHED",
                params={"max_depth": "6", "eta": "0.1"},
            )  # fmt: skip
            entry.record()

    def _version(self, name: str) -> ModelVersion:
        model = RegisteredModel.objects.create(name=name, created_by=self.by.account)
        return ModelVersion.objects.create(model=model, number=1, source="s", created_by=self.by.account)


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


ADDRESSES = {
    "lineage": "/models/credit/versions/1/lineage/",
    "lineage-deep": "/models/credit/versions/1/lineage/?direction=up&depth=10",
    "lineage-alone": "/models/secret-base/versions/1/lineage/?direction=up",
    "data-lineage": "/data-sets/credit%20rows/1/lineage/?depth=5",
    "history": "/models/credit/history/",
}


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
def test_lineage_and_history_hold_together(chromium: Browser, server: str, width: int, scheme: str) -> None:
    grown = Grown()
    person("everyone", *(role for role in Role if role is not Role.SERVICE))
    at = rfc3339(grown.served)
    addresses = ADDRESSES | {
        "served": f"/models/credit/history/?held=stage:Production&as_of={at}",
        "not-served": f"/models/credit/history/?held=alias:champion&as_of={rfc3339(grown.before)}",
        "model-then": f"/models/credit/?as_of={at}",
        "version-then": f"/models/credit/versions/1/?as_of={at}",
    }
    wrong = {}
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with visit(chromium, server, "everyone", **options) as seen:
        for name, address in addresses.items():
            seen.page.goto(address)
            if said := faults(seen.page.evaluate(_LOOK)):
                wrong[name] = said
            shot(seen.page, f"{name}-{width}-{scheme}")
            drawn = seen.page.locator("svg.graph:visible").count()
            assert drawn == (1 if "lineage" in name and name != "lineage-alone" else 0), name
    assert wrong == {}
    assert [text for text in seen.complaints if "Content Security Policy" in text] == []


@pytest.mark.parametrize("width", [1440, 390])
def test_a_keyboard_follows_the_lines(chromium: Browser, server: str, width: int) -> None:
    Grown()
    person("everyone", *(role for role in Role if role is not Role.SERVICE))
    with visit(chromium, server, "everyone", viewport={"width": width, "height": 900}) as seen:
        seen.page.goto("/models/credit/versions/1/lineage/")
        reached = []
        for _ in range(60):
            seen.page.keyboard.press("Tab")
            here = seen.page.evaluate(
                "() => document.activeElement.closest('svg.graph') && document.activeElement.getAttribute('href')"
            )
            if here in reached:
                break  # round the page and back
            reached += [here] if here else []
        assert f"/models/{LONG}/versions/1/" in reached
        assert "/models/credit-copy/versions/1/" in reached
        seen.page.locator("svg.graph:visible a[href='/models/credit-copy/versions/1/']").press("Enter")
        seen.page.wait_for_url("**/models/credit-copy/versions/1/")


def test_what_is_hidden_stays_hidden(chromium: Browser, server: str) -> None:
    Grown()
    actions.grant_role(by=SYSTEM, user=person("reader"), role=Role.VIEWER, pattern="credit*")
    with visit(chromium, server, "reader", viewport={"width": 1440, "height": 900}) as seen:
        seen.page.goto("/models/credit/versions/1/lineage/")
        text = seen.page.content()
        assert "not visible to you" in text
        assert "secret-base" not in text
        assert LONG not in text
        shot(seen.page, "hidden")
