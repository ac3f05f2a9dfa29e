"""The tamper matrix: what a superuser of the database can do to the trail, and who sees it.

Every row names what the doctor finds and what the offline verifier says, and before the deed neither says anything.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit import doctor
from audit.findings import Severity, exit_code
from tests.audit import tamper_table, tamper_world
from tests.audit.tamper_rows import ROWS, Row
from tests.audit.tamper_world import World, admin_of

pytestmark = pytest.mark.xdist_group("tamper")


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with django_db_blocker.unblock(), tamper_world.built(tmp_path_factory.mktemp("tamper")) as made:
        yield made


@pytest.fixture
def unblocked(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.mark.usefixtures("unblocked")
def test_nothing_is_found_before(world: World, tmp_path: Path) -> None:
    with tamper_world.copied(world, tmp_path):
        report = doctor.examine()
        assert report.findings.all() == []
        assert report.exit_code == 0
        assert doctor.alarms() == []
        assert tamper_world.verdict(world, tmp_path / "auditor") == "0"


@pytest.mark.usefixtures("unblocked")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_tampering_is_found(row: Row, world: World, tmp_path: Path) -> None:
    with tamper_world.copied(world, tmp_path, world.early if row.on_backup else world.sound) as database:
        with admin_of(database) as admin:
            row.act(admin, world)
        found = doctor.examine().findings.all()
        assert {each.code for each in found if each.severity is not Severity.NOTE} == row.doctor
        assert exit_code(found) == tamper_table.exit_of(row)
        assert tamper_world.verdict(world, tmp_path / "auditor") == row.verifier


def test_the_page_shows_the_matrix() -> None:
    written = tamper_table.PAGE.read_text(encoding="utf-8")
    assert written == tamper_table.page(), "run: .venv/bin/python -m tests.audit.tamper_table"
