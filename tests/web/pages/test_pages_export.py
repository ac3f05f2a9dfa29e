"""An export taken through the page, on a database of its own, since only what is committed is sequenced and signed."""

import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from django.db import connections

from access.roles import Role
from audit.models import Event
from tests import factories
from tests.web.pages.case import browser
from tests.web.pages.test_pages_promotion import text_of
from web.pages import context


def test_an_export_downloads_and_verifies(fresh_database: str, tmp_path: Path) -> None:
    factories.account(Role.VIEWER)
    _, client = browser(Role.AUDITOR)
    _sequence()
    response = client.post("/trail/export/", {"log": "admin"})
    assert response.status_code == 200
    assert re.fullmatch(r'attachment; filename="plimsoll-trail-admin-\d+\.zip"', response["Content-Disposition"])
    content = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    checked = subprocess.run(
        [sys.executable, "-I", "verify.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert Event.objects.filter(action="trail.export").count() == 1
    context.forget_trail_line()
    text = text_of(client.get("/trail/"))
    assert re.search(r"Entries 0–\d+ of \d+, signed .* UTC, UNWITNESSED", text)


def _sequence() -> None:
    """Give every entry its place, as the sequencer's own database role."""
    name = connections["default"].settings_dict["NAME"]
    address = os.environ["PLIMSOLL_DB_SEQUENCER"].replace("/plimsoll?", f"/{name}?")
    environ = {**os.environ, "PLIMSOLL_ROLE": "sequencer", "PLIMSOLL_DB_SEQUENCER": address}
    subprocess.run([sys.executable, "manage.py", "sequencer", "--once"], check=True, env=environ, capture_output=True)
