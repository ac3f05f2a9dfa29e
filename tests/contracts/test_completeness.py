"""Nothing is forgotten: every action has a rule, words and a test, every address an owner; the web process is light."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from access.policy import ENTANGLED, POLICY, Relation, Rule
from access.roles import DESCRIPTIONS, LABELS, Role
from audit.events import WORDS, Action
from registry.states import LIVE, TRANSITIONS, RequestState
from web.routes import Open, owner_of

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("audit", "access", "registry", "fairness", "explain", "erasure", "web", "deploy", "demo")


@pytest.mark.parametrize("action", list(Action))
def test_every_action_has_a_rule_and_words(action: Action) -> None:
    rule = POLICY[action]
    assert isinstance(rule, Rule)
    assert rule.roles or rule.system or rule.anyone or rule.own, "a rule that lets nobody through is a dead action"
    assert WORDS[action]
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", action.value)


def test_the_policy_names_no_unknown_action() -> None:
    assert set(POLICY) == set(Action) == set(WORDS)


def test_every_role_and_relation_has_words() -> None:
    assert set(LABELS) == set(DESCRIPTIONS) == set(Role)
    assert set(ENTANGLED) == set(Relation)


def test_every_live_state_can_be_left_and_every_final_state_cannot() -> None:
    leavable = {state for state, _ in TRANSITIONS}
    assert leavable == LIVE
    assert set(TRANSITIONS.values()) <= set(RequestState)


def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        here = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, here)
        else:
            yield here, entry


ADDRESSES = list(_patterns(get_resolver()))


@pytest.mark.parametrize(("address", "pattern"), ADDRESSES, ids=[address for address, _ in ADDRESSES])
def test_every_address_declares_its_owner(address: str, pattern: URLPattern) -> None:
    owner = owner_of(pattern.callback)
    assert isinstance(owner, Action | Open), f"{address} has no owner: mark its view with web.routes.route"


def test_the_web_process_imports_nothing_heavy() -> None:
    code = (
        "import json, sys; from web.wsgi import application; from django.urls import get_resolver;"
        " get_resolver().url_patterns; from django.test import Client; Client().get('/healthz');"
        " print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    environment = {**os.environ, "PLIMSOLL_ROLE": "app"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    loaded = set(json.loads(done.stdout.strip().splitlines()[-1]))
    heavy = {"mlflow", "pandas", "numpy", "scipy", "sklearn", "shap", "aif360", "xgboost", "pyarrow", "duckdb", "numba"}
    assert loaded & heavy == set()


SOURCES = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
# The auditor reads the verifier as one file, with its signature check inside.
LONGER = {"audit/verify.py": 960}


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_files_stay_small(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    assert path.read_text().count("\n") <= LONGER.get(name, 400)


def test_no_signals_no_pickle_no_naive_time() -> None:
    banned = re.compile(r"django\.dispatch|@receiver|import pickle|cloudpickle\.|datetime\.utcnow|timezone\.now\(")
    found = [str(path.relative_to(ROOT)) for path in SOURCES if banned.search(path.read_text())]
    assert found == []
