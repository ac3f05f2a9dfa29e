"""The tamper matrix as a page of the documentation. Run as a program, it writes the page."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.audit.tamper_rows import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tamper-matrix.md"
# Findings that alone do not show a change: the doctor then ends with 2.
NOT_PROVEN = {"time-odd", "opening-missing", "anchor-forgot"}
HEAD = """# Tamper matrix

What somebody with every right in the database can do to the trail, and who sees it. Generated from the rows of
`tests/audit/tamper_rows.py`, each of which is a test; before each deed neither side finds anything.

*Verifier* is `verify.py` in the hands of an auditor who has the log's key on paper, kept the last checkpoint, and asks
for a new export of the whole log: its exit code and what it names. 0 means that the export is as it was; what was
changed is not part of it. *Doctor* is `manage.py doctor`: its exit code and findings, as explained under
[Is the trail intact?](../operations.md#is-the-trail-intact)

| A superuser … | Verifier | Doctor |
|---|---|---|
"""


def exit_of(row: "Row") -> int:
    """The doctor's exit code for a row."""
    return 2 if row.doctor <= NOT_PROVEN else 1


def page() -> str:
    """The page as it should stand."""
    from tests.audit.tamper_rows import ROWS

    lines = [
        f"| {row.name} | {row.verifier} | {exit_of(row)} {', '.join(f'`{code}`' for code in sorted(row.doctor))} |"
        for row in ROWS
    ]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    django.setup()
    PAGE.write_text(page(), encoding="utf-8")
