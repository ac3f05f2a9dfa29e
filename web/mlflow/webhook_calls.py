"""The calls on webhooks: each calls one action or query, and answers.

MLflow's client fails on an event it does not know, in the list of all webhooks too. So a webhook shows those of its
events that are MLflow's, and one that has none of them is not there; the REST surface shows all. An update from here
exchanges what is shown from here and leaves the other events as they are.
"""

from datetime import datetime

from django.http import HttpResponse

from audit.actors import Actor
from registry import delivery
from registry.actions import webhooks
from registry.actions.webhooks import Changes
from registry.event_names import MLFLOW_EVENTS
from registry.models import Webhook
from registry.queries import webhooks as found
from web.mlflow.codec import Field, Kind, Values, answer
from web.mlflow.entrance import Call
from web.mlflow.model_calls import within

_ANY = (
    Field("name"),
    Field("url"),
    Field("events", Kind.EVENTS),
    Field("description"),
    Field("secret"),
    Field("status"),
)


def _shown(row: Webhook) -> dict[str, object]:
    pairs = [name.split(".") for name in row.events if name in MLFLOW_EVENTS]
    body: dict[str, object] = {
        "webhook_id": str(row.pk),
        "name": row.name,
        "url": row.url,
        "events": [{"entity": entity.upper(), "action": action.upper()} for entity, action in pairs],
        "status": row.status,
        "creation_timestamp": _milliseconds(row.created_at),
        "last_updated_timestamp": _milliseconds(row.updated_at),
    }
    return body if row.description is None else body | {"description": row.description}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _create(by: Actor, given: Values) -> HttpResponse:
    changes = Changes(
        name=given.text("name"),
        url=given.text("url"),
        events=given.events("events"),
        description=given.text("description") or None,
        secret=given.text("secret") or None,
        status=given.text("status") or None,
    )
    return answer({"webhook": _shown(webhooks.create(by=by, changes=changes))})


def _list(by: Actor, given: Values) -> HttpResponse:
    most = within(given, 100, 1000) if given.integer("max_results", 0) else 100
    page = found.page(found.on_wire(by), most=most, token=given.text("page_token"))
    listed = [_shown(row) for row in page.rows]
    return answer(
        ({"webhooks": listed} if listed else {}) | ({"next_page_token": page.next_token} if page.next_token else {})
    )


def _found(by: Actor, given: Values) -> Webhook:
    return found.one(found.on_wire(by), given.text("webhook_id"))


def _get(by: Actor, given: Values) -> HttpResponse:
    return answer({"webhook": _shown(_found(by, given))})


def _update(by: Actor, given: Values) -> HttpResponse:
    hook = _found(by, given)
    events = given.events("events")
    hidden = [name for name in hook.events if name not in MLFLOW_EVENTS]
    changes = Changes(
        name=given.text("name") or None,
        url=given.text("url") or None,
        events=[*events, *hidden] if events else None,
        description=given.optional("description"),
        secret=given.optional("secret"),
        status=given.optional("status"),
    )
    return answer({"webhook": _shown(webhooks.update(by=by, hook=hook, changes=changes))})


def _delete(by: Actor, given: Values) -> HttpResponse:
    webhooks.delete(by=by, hook=_found(by, given))
    return answer()


def _test(by: Actor, given: Values) -> HttpResponse:
    hook = _found(by, given)
    first = next(name for name in hook.events if name in MLFLOW_EVENTS)
    sent = webhooks.send_test(by=by, hook=hook, event=given.text("event") or first)
    result: dict[str, object] = {"success": sent.is_success}
    if sent.status is not None:
        result |= {"response_status": sent.status, "response_body": sent.response}
    if not sent.is_success:
        result["error_message"] = f"Failed to test webhook: {delivery.words(sent)}"
    return answer({"result": result})


CREATE = Call(
    _create, Field("name", required=True), Field("url", required=True), Field("events", Kind.EVENTS, True), *_ANY[3:]
)
LIST = Call(_list, Field("max_results", Kind.INTEGER), Field("page_token"))
GET = Call(_get)
UPDATE = Call(_update, *_ANY)
DELETE = Call(_delete)
TEST = Call(_test, Field("event", Kind.EVENT))
