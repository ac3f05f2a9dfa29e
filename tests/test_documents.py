"""The documents: generated pages are current, links lead somewhere, commands and settings exist, nothing is local."""

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.core.management import call_command, get_commands
from django.urls import resolve

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), ROOT / "NOTICE", *(ROOT / "docs").rglob("*.md"), *(ROOT / "demo").rglob("*.md")],
)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
# The licence's text as its authors publish it: www.apache.org/licenses/LICENSE-2.0.txt.
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
# What processes tell each other, and what only manage.py sets.
INTERNAL = {"PLIMSOLL_WEB_FD", "PLIMSOLL_ROLE", "PLIMSOLL_TRACKING_URL"}
SETTINGS_READ_IN = ("web/settings.py", "deploy/run/environment.py", "deploy/run/server.py")

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"```.*?```", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_READ = (
    re.compile(r"""(?:ENV|environ)(?:\.get)?[\[(]"([A-Z_]+)\""""),
    re.compile(r"""\((?:environ, )?"((?:PLIMSOLL|MLFLOW|DATABASE)_[A-Z_]+)"[,)]"""),
)
_ROW_OF_SETTINGS = re.compile(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["permissions", "states"])
def test_a_generated_page_is_current(command: str) -> None:
    page = {"permissions": "docs/reference/permissions.md", "states": "docs/reference/promotion-states.md"}[command]
    printed = io.StringIO()
    call_command(command, stdout=printed)
    assert text_of(page) == printed.getvalue(), f"run: .venv/bin/python manage.py {command} > {page}"


def slugs_in(text: str) -> set[str]:
    """The anchors a reader's browser gives to headings: lower case, no signs, hyphens for spaces."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_in(name: str) -> Iterator[tuple[Path, str]]:
    for target in _LINK.findall(_FENCE.sub("", text_of(name))):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = unquote(target).partition("#")
            yield ((ROOT / name).parent / path if path else ROOT / name).resolve(), anchor


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    for target, anchor in links_in(name):
        assert target.exists(), f"{name} links to {target.name}, which is not there"
        assert target.is_relative_to(ROOT)
        assert not anchor or anchor in slugs_in(target.read_text(encoding="utf-8")), f"{name}: no heading #{anchor}"


def test_every_page_is_in_the_index() -> None:
    linked = {target for target, _ in links_in("docs/index.md")}
    assert {path.resolve() for path in (ROOT / "docs").rglob("*.md")} - {ROOT / "docs/index.md"} <= linked


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))


def test_the_two_commands_exist() -> None:
    assert {"demo", "test"} <= targets()
    assert {"make demo", "make test"} <= set(re.findall(r"^make \w+", text_of("README.md"), re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_that_is_named_exists(name: str) -> None:
    text = text_of(name)
    quoted = " ".join([*re.findall(r"`([^`]+)`", _FENCE.sub("", text)), *_FENCE.findall(text)])
    assert set(re.findall(r"\bmake ([a-z]+)", quoted)) <= targets()
    assert set(re.findall(r"manage\.py ([a-z_]+)", quoted)) <= set(get_commands())


@pytest.mark.parametrize("name", NAMES)
def test_no_document_names_a_path_of_this_machine(name: str) -> None:
    local = {str(path) for path in (ROOT, ROOT.parent, Path.home()) if len(path.parts) > 1}
    for path in local:
        assert not re.search(rf"(?<![\w.]){re.escape(path)}(?![\w-])", text_of(name)), f"{name} names {path}"


def settings_documented() -> set[str]:
    tables = text_of("README.md") + text_of("docs/operations.md")
    return {name for row in _ROW_OF_SETTINGS.findall(tables) for name in re.findall(r"[A-Z_]+", row)}


def settings_read() -> set[str]:
    found = {name for path in SETTINGS_READ_IN for pattern in _READ for name in pattern.findall(text_of(path))}
    return found - INTERNAL


def test_every_setting_is_documented_and_every_documented_setting_is_read() -> None:
    assert settings_documented() == settings_read()


def test_what_is_said_to_answer_501_does() -> None:
    said = re.search(r"answer 501:\s+(.+?)\.\n\n", text_of("README.md"), re.DOTALL)
    assert said is not None
    addresses = re.findall(r"`(/[^`]+)`", said.group(1))
    assert len(addresses) >= 2
    for address in addresses:
        assert resolve(address).func.__name__ in {"view", "unbuilt"}
        assert resolve(address).func.__module__ in {"web.unbuilt", "web.mlflow.entrance"}


def test_the_licence_is_the_whole_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_what_we_carry_of_others_is_in_the_notice() -> None:
    notice = text_of("NOTICE")
    vendored = [path for path in (ROOT / "web/static").rglob("vendor/*") if path.is_file()]
    data = list((ROOT / "demo/data").glob("*.parquet"))
    assert vendored
    assert data
    for path in [*vendored, *data]:
        assert str(path.relative_to(ROOT)) in notice
