"""Whatever a filter says, the database finds what a reading of the same clauses in plain Python finds."""

import re
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from access.roles import Role
from audit.actors import Actor
from audit.errors import Invalid
from registry import filters
from registry.actions import models, versions
from registry.queries import search
from tests import factories

PROMPT: Final = "mlflow.prompt.is_prompt"
RUNS: Final = ["", "run-1", "Run_1", "run%2"]
VALUES: Final = ["", "a", "A", "ab", "aB", "a%", "a_b", "it's", 'say "a"', "x = 'y' AND z", "%", "_", "\\"]
KEYS: Final = ["team", "Team", "a.b c", "mlflow.note", "x/y:z-1"]
# name, then for each version its run and its tags; the last two are prompts.
SHELF: Final[list[tuple[str, list[tuple[str, dict[str, str]]]]]] = [
    ("aa", [("run-1", {"team": "a", "Team": "A"}), ("", {"team": "aB"})]),
    ("ab", [("Run_1", {"a.b c": "it's", "team": "a_b"}), ("run%2", {"mlflow.note": "%"}), ("run-1", {})]),
    ("b1", [("run-1", {"team": 'say "a"', "x/y:z-1": ""})]),
    ("b2", [("", {"team": "x = 'y' AND z", "mlflow.note": "\\"})]),
    ("cc", []),
    ("p1", [("", {PROMPT: "true", "team": "a"})]),
    ("p2", [("", {PROMPT: "true"}), ("", {PROMPT: "true", "team": "A"})]),
]


@dataclass(frozen=True)
class Said:
    """One clause: what is compared, how, with what, and whether what is compared is a tag."""

    key: str
    operator: str
    value: Any
    tag: bool


def like(text: str, pattern: str, *, fold: bool) -> bool:
    parts = [{"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern]
    return re.fullmatch("".join(parts), text, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def holds(said: Said, have: Any) -> bool:
    match said.operator:
        case "=":
            return have == said.value
        case "!=":
            return have != said.value
        case "LIKE" | "ILIKE":
            return like(have, said.value, fold=said.operator == "ILIKE")
        case "IN":
            return have in said.value
        case "NOT IN":
            return have not in said.value
    return {
        "<": have < said.value,
        "<=": have <= said.value,
        ">": have > said.value,
        ">=": have >= said.value,
    }[said.operator]


def keeps(clauses: list[Said], row: dict[str, Any]) -> bool:
    """MLflow's rules: a tag clause needs the tag; prompts are found only when the first clause on their tag asks so."""
    asked = [clause for clause in clauses if clause.tag and clause.key == PROMPT]
    wants_prompts = bool(asked) and (asked[0].operator, asked[0].value) in {("=", "true"), ("!=", "false")}
    if not wants_prompts and row["tags"].get(PROMPT) == "true":
        return False
    for clause in clauses:
        if clause.tag and clause.key == PROMPT and not wants_prompts:
            continue
        have = row["tags"].get(clause.key) if clause.tag else row[clause.key]
        if have is None or not holds(clause, have):
            return False
    return True


def quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def spelt(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(quoted(entry) for entry in value)})"
    return str(value) if isinstance(value, int) else quoted(value)


TEXTS = some.sampled_from([value for value in VALUES if not ("'" in value and '"' in value)])
TAG_CLAUSE = some.builds(
    Said, some.sampled_from(KEYS), some.sampled_from(["=", "!=", "LIKE", "ILIKE"]), TEXTS, some.just(True)
)
PROMPT_CLAUSE = some.builds(
    Said, some.just(PROMPT), some.sampled_from(["=", "!="]), some.sampled_from(["true", "false"]), some.just(True)
)
NUMBER = some.builds(
    Said,
    some.just("version_number"),
    some.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    some.integers(-1, 4),
    some.just(False),
)


def text_clauses(key: str, values: list[str], listed: bool = True) -> some.SearchStrategy[Said]:
    value = some.sampled_from(values)
    one = some.builds(Said, some.just(key), some.sampled_from(["=", "!=", "LIKE", "ILIKE"]), value, some.just(False))
    if not listed:
        return one
    many = some.lists(value, min_size=1, max_size=3).map(tuple)
    return one | some.builds(Said, some.just(key), some.sampled_from(["IN", "NOT IN"]), many, some.just(False))


NAMES = [name for name, _ in SHELF] + ["a%", "_b", "A%", "none", "%"]
OF_MODELS = some.lists(text_clauses("name", NAMES) | TAG_CLAUSE | PROMPT_CLAUSE, max_size=4)
OF_VERSIONS = some.lists(
    text_clauses("name", NAMES)
    | text_clauses("run_id", [*RUNS, "run%", "RUN_1"])
    | text_clauses("source_path", ["dummy-source", "s3://bucket/%", "S3://bucket/aa"], listed=False)
    | NUMBER
    | TAG_CLAUSE
    | PROMPT_CLAUSE,
    max_size=4,
)


def written(clauses: list[Said], draw: Any) -> str:
    """The clauses as somebody might write them."""
    parts = []
    for clause in clauses:
        key = clause.key if not clause.tag else f"{draw(some.sampled_from(['tag', 'tags']))}.`{clause.key}`"
        if not clause.tag and draw(some.booleans()):
            key = f"attribute.{key}"
        operator = clause.operator if draw(some.booleans()) else clause.operator.lower()
        gap = draw(some.sampled_from([" ", "  ", "\n", "\t"]))
        parts.append(f"{key}{gap}{operator}{gap}{spelt(clause.value)}")
    return draw(some.sampled_from([" AND ", " and ", "\nAnd\t"])).join(parts)


@pytest.fixture
def by(db: None) -> Actor:
    actor = factories.actor(Role.DATA_SCIENTIST)
    for name, made in SHELF:
        is_prompt = name.startswith("p")
        model = models.create(by=actor, name=name, tags={PROMPT: "true"} if is_prompt else (made or [("", {})])[0][1])
        for run, tags in made:
            source = "dummy-source" if is_prompt else f"s3://bucket/{name}"
            versions.create(by=actor, model=model, source=source, run_id=run, tags=tags)
    return actor


def models_of_shelf() -> list[dict[str, Any]]:
    return [
        {"name": name, "tags": {PROMPT: "true"} if name.startswith("p") else (made or [("", {})])[0][1]}
        for name, made in SHELF
    ]


def versions_of_shelf() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "version_number": number,
            "run_id": run,
            "source_path": "dummy-source" if name.startswith("p") else f"s3://bucket/{name}",
            "tags": tags,
        }
        for name, made in SHELF
        for number, (run, tags) in enumerate(made, start=1)
    ]


ENOUGH = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def test_models_are_found_as_plain_python_finds_them(by: Actor) -> None:
    @ENOUGH
    @given(clauses=OF_MODELS, data=some.data())
    def check(clauses: list[Said], data: Any) -> None:
        text = written(clauses, data.draw)
        found = [row.name for row in search.models(by, filter_text=text, most=100).rows]
        assert found == [row["name"] for row in models_of_shelf() if keeps(clauses, row)], text

    check()


def test_versions_are_found_as_plain_python_finds_them_page_by_page(by: Actor) -> None:
    @ENOUGH
    @given(clauses=OF_VERSIONS, size=some.integers(1, 5), descending=some.booleans(), data=some.data())
    def check(clauses: list[Said], size: int, descending: bool, data: Any) -> None:
        text = written(clauses, data.draw)
        order = ["name DESC" if descending else "name ASC", "version_number"]
        expected = [row for row in versions_of_shelf() if keeps(clauses, row)]
        expected.sort(key=lambda row: row["version_number"])
        expected.sort(key=lambda row: row["name"], reverse=descending)
        found, token = [], ""
        while True:
            page = search.versions(by, filter_text=text, order_by=order, most=size, token=token)
            assert len(page.rows) <= size
            found += [(row.model.name, row.number) for row in page.rows]
            token = page.next_token
            if not token:
                break
        assert found == [(row["name"], row["version_number"]) for row in expected], text

    check()


PIECES: Final = [
    *["name", "tags.a", "`x`", "attribute.name", "version_number", "AND", "OR", "NOT", "IN", "LIKE", "=", "!=", "<"],
    *[",", "(", ")", "'v'", '"v"', "''", "5", "-1.5", "true", ".", "'", "`", ";", "--", "é", "\x00", " "],
]


@settings(max_examples=400)
@given(some.lists(some.sampled_from(PIECES), max_size=9).map(" ".join) | some.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    attributes = {"name": filters.TEXT_LISTED, "version_number": filters.NUMBER}
    refused, clauses = "", []
    try:
        clauses = filters.parse(text, attributes)
    except Invalid as error:
        refused = f"{error.code}: {error.sentence}"
    assert all(clause.tag or clause.key in attributes for clause in clauses)
    assert not refused or re.match(r"bad_filter: [A-Z]", refused)
