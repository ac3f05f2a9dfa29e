"""Every field of every table has an erasure decision, and every decision a field."""

import pytest
from django.apps import apps

from erasure.census import CENSUS, Decision, entries

OURS = ("audit", "access", "registry", "fairness", "explain", "erasure", "web")


def fields() -> dict[str, set[str]]:
    return {
        f"{model._meta.app_label}.{model.__name__}": {field.name for field in model._meta.local_concrete_fields}
        for label in OURS
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
    }


def test_every_model_is_in_the_census_and_nothing_else() -> None:
    assert set(CENSUS) == set(fields())


@pytest.mark.parametrize("model", sorted(CENSUS))
def test_every_field_is_decided_on_once_and_no_decision_is_stale(model: str) -> None:
    here = fields()[model]
    undecided, stale = here - set(CENSUS[model]), set(CENSUS[model]) - here
    assert not undecided, f"say in erasure/census.py what an erasure does with {model}: {sorted(undecided)}"
    assert not stale, f"{model} has no {sorted(stale)} any more; take them out of erasure/census.py"


def test_every_decision_is_used_and_is_a_sentence() -> None:
    assert {decision for _, _, decision in entries()} == set(Decision)
    assert all(decision.value.endswith(".") for decision in Decision)


def test_what_people_write_is_never_said_to_be_harmless() -> None:
    """Long texts and names are where a person is forgotten."""
    for model, name, decision in entries():
        if name in {"description", "comment", "justification", "name", "value", "email", "username"}:
            assert decision in {Decision.FREE_TEXT, Decision.ACCOUNT}, f"{model}.{name}"
