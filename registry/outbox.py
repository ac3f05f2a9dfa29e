"""Putting an event into the outbox, in the transaction of what it tells of: both are kept or neither is.

One statement writes the event and a delivery for each webhook that asked for it, so that a hook is told of exactly what
happened while it listened. What no webhook asked for is kept for a while too; other readers follow the table. Sending
is ``registry/delivery.py``; the names are ``registry/event_names.py``.

Data holds what MLflow's webhooks say of the same event, ids, states and digests; never who did it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import UUID

from celery import current_app
from django.db import connection, transaction

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.event_names import OF_PROMPT
from registry.fields import PROMPT_TAG, is_prompt
from registry.models import Evidence, ModelVersion, PromotionRequest, RegisteredModel

TASK: Final = "registry.tasks.deliver"
# Tags of MLflow's prompts: what kind a prompt is, and its text.
_PROMPT_TYPE: Final = "_mlflow_prompt_type"
_TEMPLATE: Final = "mlflow.prompt.text"

# Whether a model is a prompt decides on the event's name, and is asked in the same round trip.
_TELL: Final = """
WITH told AS (
    INSERT INTO registry_outboxevent
        (id, entity, action, subject_type, subject_id, stream, payload, recorded_at)
    SELECT %(id)s, CASE WHEN EXISTS (
            SELECT FROM registry_modeltag
            WHERE model_id = %(model)s AND key = %(tag)s AND lower(value) = 'true'
        ) THEN %(prompt)s ELSE %(entity)s END,
        %(action)s, %(subject_type)s, %(subject_id)s, %(stream)s, %(payload)s::jsonb, %(now)s
    RETURNING id, entity || '.' || action AS name
)
INSERT INTO registry_delivery (id, event_id, webhook_id, stream, state, fence, attempts, since, due_at, error)
SELECT gen_random_uuid(), told.id, hook.id, %(stream)s, 'waiting', 0, 0, %(now)s, %(now)s, ''
FROM told JOIN registry_webhook hook
    ON hook.deleted_at IS NULL AND hook.status = 'ACTIVE' AND told.name = ANY(hook.events)
RETURNING webhook_id
"""


def tell(
    entity: str,
    action: str,
    *,
    on: Subject,
    data: Mapping[str, object],
    model: UUID | None = None,
    prompt: bool | None = None,
) -> None:
    """Have ``entity.action`` told of ``on`` when the present transaction commits.

    ``model`` is the id of the registered model it belongs to: the events of one model are told in order. ``prompt``
    says whether that is a prompt, for what is not written yet; None asks.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An event belongs into the transaction of what it tells of.")
    moment = now()
    of_prompt = OF_PROMPT.get(entity, entity)
    with connection.cursor() as cursor:
        cursor.execute(
            _TELL,
            {
                "id": uuid7(moment),
                "entity": of_prompt if prompt else entity,
                "prompt": of_prompt if prompt is None else (of_prompt if prompt else entity),
                "action": action,
                "model": model,
                "tag": PROMPT_TAG,
                "subject_type": on.type,
                "subject_id": on.id,
                "stream": f"registered_model/{model}" if model is not None else f"{on.type}/{on.id}",
                "payload": json.dumps(dict(data)),
                "now": moment,
            },
        )
        wake({str(key) for (key,) in cursor.fetchall()})


def wake(hooks: Iterable[str]) -> None:
    """Tell the workers on commit that these hooks have something to be sent; a broker that is down is made up for by
    the sweep.
    """
    for key in sorted(hooks):
        transaction.on_commit(_waking(key), robust=True)


def _waking(key: str) -> Callable[[], None]:
    def send() -> None:
        current_app.send_task(TASK, [key], retry=False)

    return send


def of_model(
    model: RegisteredModel,
    action: str,
    *,
    data: Mapping[str, object] | None = None,
    tag: bool = False,
    prompt: bool | None = None,
) -> None:
    """An event of a registered model, or of one of its tags."""
    entity = "registered_model_tag" if tag else "registered_model"
    tell(entity, action, on=model.subject(), data={"name": model.name, **(data or {})}, model=model.pk, prompt=prompt)


def of_version(
    version: ModelVersion,
    action: str,
    *,
    data: Mapping[str, object] | None = None,
    tag: bool = False,
    prompt: bool | None = None,
) -> None:
    """An event of a version, or of one of its tags."""
    entity = "model_version_tag" if tag else "model_version"
    named = {"name": version.model.name, "version": str(version.number), **(data or {})}
    tell(entity, action, on=version.subject(), data=named, model=version.model_id, prompt=prompt)


def of_alias(model: RegisteredModel, action: str, alias: str, number: int | None = None) -> None:
    """An alias came to name a version, or went."""
    data: dict[str, object] = {"name": model.name, "alias": alias}
    if number is not None:
        data["version"] = str(number)
    tell("model_version_alias", action, on=model.subject(), data=data, model=model.pk)


def of_promotion(request: PromotionRequest, action: str, **data: object) -> None:
    """Something happened to a promotion request; nothing that people wrote is told."""
    said = {
        "name": request.model.name,
        "version": str(request.version.number),
        "request": str(request.pk),
        "stage": request.target_stage,
        "state": request.state,
        **data,
    }
    subject = Subject(type="promotion_request", id=str(request.pk))
    tell("promotion", action, on=subject, data=said, model=request.model_id)


def of_evidence(row: Evidence) -> None:
    """Evidence was attached to a version: what it is and its digest, not what it found."""
    version = row.version
    data = {
        "name": version.model.name,
        "version": str(version.number),
        "evidence": str(row.pk),
        "kind": row.kind,
        "status": row.status,
        "result_digest": row.result_digest,
    }
    tell("evidence", "attached", on=Subject(type="evidence", id=str(row.pk)), data=data, model=version.model_id)


def of_new_model(model: RegisteredModel, tags: Mapping[str, str]) -> None:
    """A name was registered, with these tags."""
    prompt = is_prompt(tags)
    said = {"tags": _told(tags, prompt), "description": model.description or ""}
    of_model(model, "created", data=said, prompt=prompt)


def of_new_version(version: ModelVersion, tags: Mapping[str, str]) -> None:
    """A version was registered, with these tags. Of a prompt's, the template is told in place of source and run."""
    prompt = is_prompt(tags)
    said = {"tags": _told(tags, prompt), "description": version.description or None}
    if prompt:
        said |= {"template": tags.get(_TEMPLATE)}
    else:
        said |= {"source": version.source, "run_id": version.run_id or None}
    of_version(version, "created", data=said, prompt=prompt)


def _told(tags: Mapping[str, str], prompt: bool) -> dict[str, str]:
    """The tags without those by which MLflow's client makes a prompt of a model."""
    hidden = {PROMPT_TAG, _PROMPT_TYPE, _TEMPLATE} if prompt else set()
    return {key: value for key, value in tags.items() if key not in hidden}
