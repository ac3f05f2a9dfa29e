"""The calls on registered models, their tags and aliases: each calls one action or query, and answers."""

from django.http import HttpResponse

from audit.actors import Actor
from audit.errors import Invalid
from registry import fields
from registry.actions import aliases, models, tags
from registry.queries import search, visible, wire
from web.mlflow import messages
from web.mlflow.codec import Field, Kind, Values, answer
from web.mlflow.entrance import Call

NAME = Field("name", required=True, rule=fields.check_spoken_name)
VERSION = Field("version", required=True)
DESCRIPTION = Field("description")
KEY = Field("key", required=True)
ALIAS = Field("alias", required=True)
SEARCH = (Field("filter"), Field("max_results", Kind.INTEGER), Field("order_by", Kind.TEXTS), Field("page_token"))


def _create(by: Actor, given: Values) -> HttpResponse:
    model = models.create(
        by=by, name=given.text("name"), description=given.optional("description"), tags=given.tags("tags")
    )
    return _shown(by, model.name)


def _shown(by: Actor, name: str) -> HttpResponse:
    return answer({"registered_model": messages.model(wire.model(by, name))})


def _get(by: Actor, given: Values) -> HttpResponse:
    return _shown(by, given.text("name"))


def _update(by: Actor, given: Values) -> HttpResponse:
    model = visible.model(by, given.text("name"))
    return _shown(by, models.update(by=by, model=model, description=given.optional("description")).name)


def _rename(by: Actor, given: Values) -> HttpResponse:
    model = visible.model(by, given.text("name"))
    return _shown(by, models.rename(by=by, model=model, new_name=given.text("new_name")).name)


def _delete(by: Actor, given: Values) -> HttpResponse:
    models.delete(by=by, model=visible.model(by, given.text("name")))
    return answer()


def within(given: Values, default: int, most: int) -> int:
    """How many results are asked for. Raises Invalid outside 1…``most``."""
    wanted = given.integer("max_results", default)
    if not 1 <= wanted <= most:
        raise Invalid(
            f"Invalid value {wanted} for parameter 'max_results' supplied: it must be at least 1 and at most {most}.",
            code="bad_max_results",
        )
    return wanted


def _search(by: Actor, given: Values) -> HttpResponse:
    page = search.models(
        by,
        filter_text=given.text("filter"),
        order_by=given.texts("order_by"),
        most=within(given, 100, 1000),
        token=given.text("page_token"),
    )
    found = [messages.model(record) for record in wire.models(page.rows)]
    return answer(
        ({"registered_models": found} if found else {})
        | ({"next_page_token": page.next_token} if page.next_token else {})
    )


def _latest(by: Actor, given: Values) -> HttpResponse:
    found = wire.latest_versions(by, given.text("name"), given.texts("stages"))
    return answer({"model_versions": [messages.version(record) for record in found]} if found else {})


def _set_tag(by: Actor, given: Values) -> HttpResponse:
    model = visible.model(by, given.text("name"))
    tags.set_model_tag(by=by, model=model, key=given.text("key"), value=given.text("value"))
    return answer()


def _delete_tag(by: Actor, given: Values) -> HttpResponse:
    tags.delete_model_tag(by=by, model=visible.model(by, given.text("name")), key=given.text("key"))
    return answer()


def _set_alias(by: Actor, given: Values) -> HttpResponse:
    version = visible.version(by, given.text("name"), given.text("version"))
    aliases.set_alias(by=by, model=version.model, alias=given.text("alias"), version=version)
    return answer()


def _delete_alias(by: Actor, given: Values) -> HttpResponse:
    aliases.delete_alias(by=by, model=visible.model(by, given.text("name")), alias=given.text("alias"))
    return answer()


def _by_alias(by: Actor, given: Values) -> HttpResponse:
    found = wire.by_alias(by, given.text("name"), given.text("alias"))
    return answer({"model_version": messages.version(found)})


# What may not be a name is refused by the action, and recorded.
CREATE = Call(_create, Field("name", required=True), Field("tags", Kind.TAGS), DESCRIPTION)
GET = Call(_get, NAME)
UPDATE = Call(_update, NAME, DESCRIPTION)
RENAME = Call(_rename, NAME, Field("new_name", required=True))
DELETE = Call(_delete, NAME)
SEARCH_MODELS = Call(_search, *SEARCH)
LATEST = Call(_latest, NAME, Field("stages", Kind.TEXTS))
SET_TAG = Call(_set_tag, NAME, KEY, Field("value"))
DELETE_TAG = Call(_delete_tag, NAME, KEY)
SET_ALIAS = Call(_set_alias, NAME, ALIAS, VERSION)
DELETE_ALIAS = Call(_delete_alias, NAME, ALIAS)
GET_BY_ALIAS = Call(_by_alias, NAME, ALIAS)
