"""What is told to the outside: the names of events, and an example of each for the test button. Pure.

MLflow's events are those that its clients know; ours go beyond them. How an event gets out is ``registry/outbox.py``
and ``registry/delivery.py``.
"""

from collections.abc import Mapping
from typing import Final

from audit.errors import Invalid

# What JSON can hold.
Json = dict[str, object]

# entity → actions, as MLflow's clients know them. They fail on any other, in a list of hooks too.
MLFLOW: Final[dict[str, tuple[str, ...]]] = {
    "registered_model": ("created",),
    "model_version": ("created",),
    "model_version_tag": ("deleted", "set"),
    "model_version_alias": ("created", "deleted"),
    "prompt": ("created",),
    "prompt_version": ("created",),
    "prompt_tag": ("deleted", "set"),
    "prompt_version_tag": ("deleted", "set"),
    "prompt_alias": ("created", "deleted"),
    # MLflow's gateway sends these; it is not part of this service, and the event never happens here.
    "budget_policy": ("exceeded",),
}
OWN: Final[dict[str, tuple[str, ...]]] = {
    "registered_model": ("deleted", "renamed", "updated"),
    "registered_model_tag": ("deleted", "set"),
    "model_version": ("deleted", "transitioned", "updated"),
    "prompt": ("deleted", "renamed", "updated"),
    "prompt_version": ("deleted", "transitioned", "updated"),
    "promotion": ("applied", "decided", "requested", "resubmitted", "withdrawn"),
    "evidence": ("attached",),
    "erasure": ("completed", "executed"),
}
# What is told of a model is told of a prompt under another name: prompts are models with a tag.
OF_PROMPT: Final[dict[str, str]] = {
    "registered_model": "prompt",
    "registered_model_tag": "prompt_tag",
    "model_version": "prompt_version",
    "model_version_tag": "prompt_version_tag",
    "model_version_alias": "prompt_alias",
}


def _names(table: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(f"{entity}.{action}" for entity, actions in table.items() for action in actions)


MLFLOW_EVENTS: Final = _names(MLFLOW)
OWN_EVENTS: Final = _names(OWN)
EVENTS: Final = MLFLOW_EVENTS | OWN_EVENTS
# They say that somebody asked to be forgotten: only who may see erasure requests may have them sent anywhere.
ERASURE_EVENTS: Final = _names({"erasure": OWN["erasure"]})


def mlflow_name(entity: str, action: str) -> str:
    """The event that MLflow's client means by this pair of words. Raises Invalid for one it could not mean."""
    entity, action = entity.lower(), action.lower()
    if entity not in MLFLOW:
        known = ", ".join(name.upper() for name in MLFLOW)
        raise Invalid(f"Invalid webhook entity {entity[:40]!r}. Valid entities are: {known}.", code="unknown_event")
    if action not in MLFLOW[entity]:
        raise Invalid(
            f"Invalid action {action[:40]!r} for entity {entity!r}. Valid actions are: {list(MLFLOW[entity])}",
            code="unknown_event",
        )
    return f"{entity}.{action}"


def example(name: str) -> Json:
    """The data of an event as the test button sends it: MLflow's own where it has one."""
    entity, _, action = name.partition(".")
    data: Json = {}
    if entity in _EXAMPLES:
        data = dict(_EXAMPLES[entity])
    if name in _MORE:
        data |= _MORE[name]
    if action == "deleted":
        data = {field: value for field, value in data.items() if field not in _GONE[entity]}
    return data


def _created(what: str, **more: object) -> Json:
    return {**more, "tags": {"example_key": "example_value"}, "description": f"An example {what}"}


_MODEL: Final[Json] = {"name": "example_model"}
_PROMPT: Final[Json] = {"name": "example_prompt"}
_VERSION: Final[Json] = {"version": "1"}
_TAG: Final[Json] = {"key": "example_key", "value": "example_value"}
_ID: Final = "01a203b4-9166-71d2-9ef1-85abbecc0aa2"
_DIGEST: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_REQUEST: Final[Json] = {"request": _ID, "stage": "Production", "state": "OPEN"}

_EXAMPLES: Final[dict[str, Json]] = {
    "registered_model": _MODEL,
    "registered_model_tag": _MODEL | _TAG,
    "model_version": _MODEL | _VERSION,
    "model_version_tag": _MODEL | _VERSION | _TAG,
    "model_version_alias": _MODEL | {"alias": "example_alias"} | _VERSION,
    "prompt": _PROMPT,
    "prompt_version": _PROMPT | _VERSION,
    "prompt_tag": _PROMPT | _TAG,
    "prompt_version_tag": _PROMPT | _VERSION | _TAG,
    "prompt_alias": _PROMPT | {"alias": "example_alias"} | _VERSION,
    "promotion": _MODEL | _VERSION | _REQUEST,
}
_MORE: Final[dict[str, Json]] = {
    "registered_model.created": _created("registered model"),
    "registered_model.renamed": {"former_name": "former_model"},
    "registered_model.updated": {"changed": ["description"]},
    "model_version.created": {"source": "models:/123", "run_id": "abcd1234abcd5678", **_created("model version")},
    "model_version.updated": {"changed": ["description"]},
    "model_version.transitioned": {"from_stage": "None", "to_stage": "Staging"},
    "prompt.created": _created("prompt"),
    "prompt.renamed": {"former_name": "former_prompt"},
    "prompt.updated": {"changed": ["description"]},
    "prompt_version.created": {"template": "Hello {{name}}!", **_created("prompt version")},
    "prompt_version.updated": {"changed": ["description"]},
    "prompt_version.transitioned": {"from_stage": "None", "to_stage": "Staging"},
    "promotion.decided": {"state": "APPROVED", "decision": "APPROVE", "subject_digest": _DIGEST},
    "promotion.applied": {"state": "APPLIED", "grant": _ID, "alias": "champion"},
    "promotion.withdrawn": {"state": "WITHDRAWN"},
    "evidence.attached": _MODEL
    | _VERSION
    | {"evidence": _ID, "kind": "fairness", "status": "OK", "result_digest": _DIGEST},
    "erasure.executed": {"request": _ID, "data_sets": 1},
    "erasure.completed": {"request": _ID, "outcome": "erased", "certificate": _DIGEST},
    "budget_policy.exceeded": {
        "budget_policy_id": "bp-abc123",
        "budget_unit": "USD",
        "budget_amount": 100.0,
        "current_spend": 105.5,
        "duration_unit": "MONTHS",
        "duration_value": 1,
        "target_scope": "ENDPOINT",
        "workspace": "default",
        "target_value": "ep-abc123",
        "window_start": 1704067200000,
    },
}
# What is not said any more once the thing is gone.
_GONE: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("registered_model", "model_version", "prompt", "prompt_version"), frozenset()),
    **dict.fromkeys(
        ("registered_model_tag", "model_version_tag", "prompt_tag", "prompt_version_tag"), frozenset({"value"})
    ),
    **dict.fromkeys(("model_version_alias", "prompt_alias"), frozenset({"version"})),
}
