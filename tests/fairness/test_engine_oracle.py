"""How AIF360 is brought in: what is kept quiet and what is not."""

import logging

import pytest

from fairness.engine.oracle import _quiet_import


def test_only_the_notes_on_missing_extras_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    note = "GridSearchReduction will be unavailable. To install, run:\npip install 'aif360[Reductions]'"
    with _quiet_import():
        logging.getLogger().warning(note)
        logging.getLogger().warning("The disk is full.")
    logging.getLogger().warning(note)
    assert [record.getMessage() for record in caplog.records] == ["The disk is full.", note]
