"""Templates and style sheets keep the promises a strict content policy, a keyboard and a pair of tired eyes rely on."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.template import Context
from django.template.loader import get_template

from tests.web import styleguide_samples as samples

WEB = Path(__file__).resolve().parents[2] / "web"
TEMPLATES = sorted(path.relative_to(WEB / "templates").as_posix() for path in (WEB / "templates").rglob("*.html"))
SHEETS = sorted((WEB / "static" / "css").rglob("*.css"))
ERRORS = [400, 403, 404, 409, 413, 429, 500, 501, 503]
WHOLE_PAGES = ["styleguide.html", "styleguide/review.html", *(f"errors/{status}.html" for status in ERRORS)]
HOSTILE = "<img src=x onerror=alert(1)>"
VOID = {"meta", "link", "input", "br", "hr", "img", "wbr", "col", "source"}


class Page(HTMLParser):
    """Elements of a rendered page, and whether its tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.crossed: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()
        else:
            self.crossed.append(tag)

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


def source(name: str) -> str:
    """A template without its comments."""
    text = (WEB / "templates" / name).read_text(encoding="utf-8")
    return re.sub(r"\{% comment %\}.*?\{% endcomment %\}|\{#.*?#\}", "", text, flags=re.DOTALL)


def render(name: str, context: dict[str, Any]) -> str:
    return str(get_template(name).template.render(Context(context)))  # type: ignore[attr-defined]


def rendered(name: str) -> str:
    contexts = {"styleguide.html": samples.styleguide, "styleguide/review.html": samples.review}
    return render(name, contexts.get(name, dict)())


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_inline_style_or_script(name: str) -> None:
    text = source(name)
    assert not re.search(r"<style\b|\sstyle\s*=", text, re.IGNORECASE)
    assert not re.search(r"\son[a-z]+\s*=", text, re.IGNORECASE)
    assert not re.search(r"javascript:|data:[a-z]+/", text, re.IGNORECASE)
    assert not re.search(r"<script\b(?![^>]*\bsrc=)", text, re.IGNORECASE)
    assert not re.search(r"hx-on|hx-vals=.js:", text, re.IGNORECASE)


@pytest.mark.parametrize("name", TEMPLATES)
def test_everything_loaded_is_ours(name: str) -> None:
    for tag, address in re.findall(
        r"<(script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"([^\"]*\")", source(name)
    ):
        assert address.startswith(("{% static ", "{{ ")), f"{tag} loads {address}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_is_left_unescaped(name: str) -> None:
    assert not re.search(r"\|\s*safe\b|\|\s*safeseq\b|autoescape\s+off", source(name))


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_parses_and_what_it_names_exists(name: str) -> None:
    get_template(name)
    for target in re.findall(r"{%\s*(?:include|extends)\s+\"([^\"]+)\"", source(name)):
        assert target in TEMPLATES
    for target in re.findall(r"{%\s*static\s+\"([^\"]+)\"", source(name)):
        assert finders.find(target), f"no static file {target}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_posting_forms_carry_their_token_and_are_not_included_without_it(name: str) -> None:
    text = source(name)
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text, re.IGNORECASE | re.DOTALL):
        assert "{% csrf_token %}" in form
    posting = ("parts/action.html", "parts/page_header.html", "parts/account.html")
    for include in re.findall(r"{%\s*include\s+[^%]*%}", text):
        assert not (" only " in include and any(part in include for part in posting)), include


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name.startswith(("parts/", "errors/error"))])
def test_every_part_documents_its_context(name: str) -> None:
    text = (WEB / "templates" / name).read_text(encoding="utf-8")
    assert "Context:" in text[:900]


@pytest.mark.parametrize("name", WHOLE_PAGES)
def test_rendered_pages_hold_together(name: str) -> None:
    page = Page(rendered(name))
    assert not page.crossed, f"{name}: tags cross"
    assert not page.stack, f"{name}: tags left open"
    ids = page.values("id")
    assert len(ids) == len(set(ids)), f"{name}: an id occurs twice"
    keys = ("aria-labelledby", "aria-describedby", "for", "popovertarget")
    wanted = {word for key in keys for value in page.values(key) for word in value.split()}
    wanted |= {value[1:] for value in page.values("href") if value.startswith("#")}
    assert wanted <= set(ids), f"{name}: {wanted - set(ids)} is referred to but nowhere"
    assert page.values("lang") == ["en"]
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert [tag for tag, _ in page.elements].count("main") == 1
    assert "style" not in {key for _, attributes in page.elements for key in attributes}


def test_every_class_that_is_used_is_styled() -> None:
    known = set(re.findall(r"\.([a-zA-Z][\w-]*)", "".join(path.read_text(encoding="utf-8") for path in SHEETS)))
    used = {word for name in WHOLE_PAGES for value in Page(rendered(name)).values("class") for word in value.split()}
    meaningless = {"right", "secondary", "error-list", "pages", "c-row", "c-value", "metric", "error-page"}
    assert used - known - meaningless == set()


def test_every_colour_and_size_that_is_named_exists() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SHEETS)
    defined = set(re.findall(r"(--[\w-]+)\s*:", text))
    assert set(re.findall(r"var\((--[\w-]+)", text)) <= defined


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_style_sheets_load_nothing_and_stay_in_their_layers(sheet: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "@import" not in text
    assert "url(" not in text
    outside = re.sub(r"@layer [a-z, ]+;", "", text)
    assert all(line.startswith(("@layer", "}", " ")) or not line.strip() for line in outside.splitlines())


def test_every_state_of_the_samples_has_a_look_of_its_own() -> None:
    for status in samples.STATUSES:
        html = render("parts/status.html", {"status": status})
        assert "<svg" in html
        plain = "tone-none" in html and 'fill="currentColor"' in html
        assert plain == (status == "DRAFT"), status
        assert re.search(r"</svg>\s*[A-Z][a-z ]+</span>", html), status


def test_an_unknown_state_is_shown_plainly_and_escaped() -> None:
    html = render("parts/status.html", {"status": HOSTILE})
    assert "tone-none" in html
    assert "<img" not in html


@pytest.mark.parametrize("status", ERRORS)
def test_error_pages_say_what_happened_what_to_do_and_what_to_quote(status: int) -> None:
    html = render(f"errors/{status}.html", {"code": "SOME_CODE", "request_id": "req-1"})
    assert f">{status} " in html
    assert "SOME_CODE" in html
    assert "req-1" in html
    own = render(f"errors/{status}.html", {"sentence": HOSTILE, "what_to_do": "Ask Ana."})
    assert "Ask Ana." in own
    assert "<img" not in own


def test_a_disabled_action_cannot_be_sent_and_says_why() -> None:
    action = {
        "label": "Approve",
        "url": "/x/",
        "method": "post",
        "name": "approve",
        "why_not": "You filed this request.",
    }
    html = render("parts/action.html", {"action": action})
    assert "<form" not in html
    assert "You filed this request." in html
    page = Page(html)
    assert page.values("aria-describedby") == ["why-approve"]
    assert "why-approve" in page.values("id")


def test_a_form_error_is_listed_with_a_link_to_its_field() -> None:
    form = samples.SampleForm({})
    html = render("parts/error_summary.html", {"form": form})
    assert 'href="#id_justification"' in html
    assert "Justification: This field is required." in html
    assert render("parts/error_summary.html", {"form": samples.SampleForm()}).strip() == ""


def _scales() -> dict[str, dict[str, str]]:
    """The vendored colours by theme. The sheet holds light, dark by the system, dark by choice, in this order."""
    text = (WEB / "static" / "css" / "vendor" / "radix-colors.css").read_text(encoding="utf-8")
    found = re.findall(r"(--[a-z]+-\d+): (#[0-9a-f]{6});", text)
    assert len(found) == 3 * 60
    assert found[60:120] == found[120:180], "the two dark themes differ"
    return {"light": dict(found[:60]), "dark": dict(found[60:120])}


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(first: str, second: str) -> float:
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_formula_itself() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


TONES = [f"{tone}-{part}" for tone in ("ok", "warn", "bad", "info", "none") for part in ("bg", "soft")]
WORDS = [
    *(("text", ground, 4.5) for ground in ("page", "surface", "well")),
    *(("muted", ground, 4.5) for ground in ("page", "surface", "well")),
    *(("accent-text", ground, 4.5) for ground in ("page", "surface", "well")),
    *((f"{tone.split('-')[0]}-text", tone, 7.0) for tone in TONES),
    *((f"{tone.split('-')[0]}-mark", tone, 3.0) for tone in TONES),
    *((f"{tone}-mark", "page", 3.0) for tone in ("ok", "warn", "bad", "info", "none")),
    ("on-accent", "accent", 4.5),
    ("line-input", "page", 3.0),
    ("focus", "page", 3.0),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), WORDS)
def test_contrast_is_sufficient(theme: str, ink: str, ground: str, least: float) -> None:
    tokens = dict(re.findall(r"--([\w-]+): ([^;]+);", (WEB / "static/css/tokens.css").read_text(encoding="utf-8")))
    scales = _scales()[theme]

    def colour(token: str) -> str:
        value = tokens[token]
        return "#ffffff" if value == "#fff" else scales[value.removeprefix("var(").removesuffix(")")]

    assert _contrast(colour(ink), colour(ground)) >= least
