"""What a spec accepts, what it refuses and with which sentence."""

import json
from typing import Any

import pytest

from fairness.engine.errors import SpecError
from fairness.engine.spec import FairnessSpec, Rule

GOOD: dict[str, Any] = {
    "label": "credit",
    "favourable": 1,
    "protected": [
        {"column": "age", "name": "Age", "privileged": {"op": ">", "value": 25}},
        {"column": "sex", "name": "Sex", "privileged": {"op": "in", "value": ["male"]}},
    ],
    "minimum_group_size": 20,
    "seed": 7,
    "replicates": 2000,
    "confidence": 0.9,
}


def test_a_spec_survives_json() -> None:
    spec = FairnessSpec.from_json(GOOD)
    assert spec.to_json() == GOOD
    assert FairnessSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_defaults_are_written_out() -> None:
    short = {
        "label": "y",
        "favourable": "yes",
        "protected": [{"column": "g", "privileged": {"op": "in", "value": ["a"]}}],
    }
    written = FairnessSpec.from_json(short).to_json()
    assert written["replicates"] == 10_000
    assert written["confidence"] == 0.95
    assert written["minimum_group_size"] == 30
    assert written["protected"] == [{"column": "g", "name": "g", "privileged": {"op": "in", "value": ["a"]}}]


def test_one_threshold_has_one_spelling() -> None:
    def with_threshold(value: float) -> FairnessSpec:
        rule = {"column": "age", "privileged": {"op": ">", "value": value}}
        return FairnessSpec.from_json({**GOOD, "protected": [rule]})

    assert json.dumps(with_threshold(25.0).to_json()) == json.dumps(with_threshold(25).to_json())


@pytest.mark.parametrize(
    ("rule", "text", "complement"),
    [
        (Rule(">", (25,)), "age > 25", "age <= 25"),
        (Rule(">=", (25,)), "age >= 25", "age < 25"),
        (Rule("<", (60.5,)), "age < 60.5", "age >= 60.5"),
        (Rule("<=", (60,)), "age <= 60", "age > 60"),
        (Rule("in", ("A91", "A93")), "age is A91 or A93", "age is not A91 or A93"),
        (Rule("in", (True,)), "age is true", "age is not true"),
    ],
)
def test_rules_are_written_out_for_both_sides(rule: Rule, text: str, complement: str) -> None:
    assert (rule.text("age"), rule.complement_text("age")) == (text, complement)


def _protected(**change: Any) -> dict[str, Any]:
    return {"protected": [{"column": "age", "name": "Age", "privileged": {"op": ">", "value": 25}, **change}]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": ""}, "“label” must be a text that is not empty."),
        ({"label": 3}, "“label” must be a text that is not empty."),
        ({"label": "x" * 201}, "“label” is longer than 200 characters."),
        ({"label": "a\x00b"}, "“label” holds a character that text cannot carry."),
        ({"label": "a\ud800"}, "“label” holds a character that text cannot carry."),
        ({"favourable": None}, "“favourable” is missing."),
        ({"favourable": [1]}, "“favourable” must be a text, a number or a boolean."),
        ({"favourable": float("nan")}, "“favourable” must be a finite number of ordinary size."),
        ({"favourable": 10**400}, "“favourable” must be a finite number of ordinary size."),
        ({"protected": []}, "“protected” must be a list with at least one protected attribute."),
        ({"protected": "age"}, "“protected” must be a list with at least one protected attribute."),
        ({"protected": GOOD["protected"] * 4}, "“protected” holds 8 attributes; a report takes at most 6."),
        ({"protected": GOOD["protected"] * 2}, "Two protected attributes are called “Age”"),
        ({"protected": ["age"]}, "Protected attribute 1 must be an object"),
        ({"label": "age"}, "The label column “age” cannot be a protected attribute as well."),
        (_protected(column=None), "Protected attribute 1: “column” must be a text"),
        (_protected(colour="red"), "Protected attribute 1 has an unknown key “colour”"),
        (_protected(privileged=None), "Protected attribute 1 (“Age”) needs a “privileged” rule"),
        (_protected(privileged={"op": "=", "value": 1}), "“op” must be one of in, >, >=, <, <=."),
        (_protected(privileged={"op": ["in"], "value": 1}), "“op” must be one of in, >, >=, <, <=."),
        (_protected(privileged={"op": ">", "value": "25"}), "the value after “>” must be a number."),
        (_protected(privileged={"op": ">", "value": True}), "the value after “>” must be a number."),
        (_protected(privileged={"op": ">", "value": float("inf")}), "must be a finite number of ordinary size."),
        (_protected(privileged={"op": "in", "value": "male"}), "must be a list of 1 to 100 values."),
        (_protected(privileged={"op": "in", "value": []}), "must be a list of 1 to 100 values."),
        (_protected(privileged={"op": "in", "value": ["male", 1]}), "must all be texts, all numbers or all booleans."),
        ({"minimum_group_size": 0}, "“minimum_group_size” must be a whole number from 1 to 1000000."),
        ({"seed": -1}, "“seed” must be a whole number from 0 to 4294967295."),
        ({"seed": 1.5}, "“seed” must be a whole number"),
        ({"replicates": True}, "“replicates” must be a whole number from 1000 to 100000."),
        ({"replicates": 10**9}, "“replicates” must be a whole number from 1000 to 100000."),
        ({"confidence": 1}, "“confidence” must be a number from 0.5 to 0.999."),
        ({"confidence": float("nan")}, "“confidence” must be a number from 0.5 to 0.999."),
        ({"extra": 1}, "The fairness spec has an unknown key “extra”"),
    ],
)
def test_a_wrong_spec_is_refused_with_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as refused:
        FairnessSpec.from_json({**GOOD, **change})
    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")


def test_something_that_is_no_object_is_refused() -> None:
    with pytest.raises(SpecError, match="must be a JSON object"):
        FairnessSpec.from_json([])  # type: ignore[arg-type]
