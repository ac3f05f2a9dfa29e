"""Fixtures for this folder."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path():
    """A directory of the test's own that no other run of pytest changes the permissions of.

    pytest's own directories share a parent that every run closes to other accounts, and the embedded server runs
    under one.
    """
    directory = Path(tempfile.mkdtemp(prefix="plimsoll-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
