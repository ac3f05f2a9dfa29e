"""``python -m tests.checks.templates``: no template carries inline style or script; the content policy forbids them."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = ROOT / "web" / "templates"
FORBIDDEN = (
    (re.compile(r"\sstyle\s*=", re.IGNORECASE), "an inline style"),
    (re.compile(r"<style\b", re.IGNORECASE), "a style element"),
    (re.compile(r"<script(?![^>]*\bsrc=)", re.IGNORECASE), "an inline script"),
    (re.compile(r"\son[a-z]+\s*=", re.IGNORECASE), "an event handler"),
    (re.compile(r"(?:href|src)\s*=\s*[\"']?\s*(?:javascript:|data:|https?://)", re.IGNORECASE), "a foreign address"),
)


def faults() -> list[str]:
    """``file:line: what`` for everything that is forbidden."""
    found = []
    for path in sorted(TEMPLATES.rglob("*.html")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found += [f"{path.relative_to(ROOT)}:{number}: {what}" for rule, what in FORBIDDEN if rule.search(line)]
    return found


def main() -> int:
    """Print the faults; 1 when there are any."""
    found = faults()
    for fault in found:
        print(fault, file=sys.stderr)  # noqa: T201 - a command line
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
