"""The calls on model versions and their tags: each calls one action or query, and answers."""

from django.http import HttpResponse

from audit.actors import Actor
from registry import sources
from registry.actions import tags, versions
from registry.models import ModelVersion
from registry.queries import search, visible, wire
from web.mlflow import messages
from web.mlflow.codec import Field, Kind, Values, answer
from web.mlflow.entrance import Call
from web.mlflow.model_calls import DESCRIPTION, KEY, NAME, SEARCH, VERSION, within


def _found(by: Actor, given: Values) -> ModelVersion:
    return visible.version(by, given.text("name"), given.text("version"))


def _shown(row: ModelVersion) -> HttpResponse:
    return answer({"model_version": messages.version(wire.versions([row], aliases=True)[0])})


def _create(by: Actor, given: Values) -> HttpResponse:
    version = versions.create(
        by=by,
        model=visible.model(by, given.text("name")),
        source=given.text("source"),
        run_id=given.optional("run_id"),
        model_id=given.optional("model_id"),
        run_link=given.text("run_link"),
        description=given.text("description"),
        tags=given.tags("tags"),
    )
    return _shown(version)


def _get(by: Actor, given: Values) -> HttpResponse:
    return _shown(_found(by, given))


def _update(by: Actor, given: Values) -> HttpResponse:
    return _shown(versions.update(by=by, version=_found(by, given), description=given.optional("description")))


def _transition(by: Actor, given: Values) -> HttpResponse:
    row = versions.transition(
        by=by,
        version=_found(by, given),
        stage=given.text("stage"),
        archive_existing=given.flag("archive_existing_versions"),
    )
    return _shown(row)


def _delete(by: Actor, given: Values) -> HttpResponse:
    versions.delete(by=by, version=_found(by, given))
    return answer()


def _search(by: Actor, given: Values) -> HttpResponse:
    page = search.versions(
        by,
        filter_text=given.text("filter"),
        order_by=given.texts("order_by"),
        most=within(given, 200_000, 200_000),
        token=given.text("page_token"),
    )
    found = [messages.version(record) for record in wire.versions(page.rows, aliases=False)]
    return answer(
        ({"model_versions": found} if found else {}) | ({"next_page_token": page.next_token} if page.next_token else {})
    )


def _download_uri(by: Actor, given: Values) -> HttpResponse:
    return answer({"artifact_uri": sources.download_uri(_found(by, given))})


def _set_tag(by: Actor, given: Values) -> HttpResponse:
    version = _found(by, given)
    tags.set_version_tag(by=by, version=version, key=given.text("key"), value=given.text("value"))
    return answer()


def _delete_tag(by: Actor, given: Values) -> HttpResponse:
    tags.delete_version_tag(by=by, version=_found(by, given), key=given.text("key"))
    return answer()


CREATE = Call(
    _create,
    NAME,
    Field("source", required=True),
    Field("run_id"),
    Field("tags", Kind.TAGS),
    Field("run_link"),
    DESCRIPTION,
    Field("model_id"),
)
GET = Call(_get, NAME, VERSION)
UPDATE = Call(_update, NAME, VERSION, DESCRIPTION)
TRANSITION = Call(
    _transition, NAME, VERSION, Field("stage", required=True), Field("archive_existing_versions", Kind.FLAG)
)
DELETE = Call(_delete, NAME, VERSION)
SEARCH_VERSIONS = Call(_search, *SEARCH)
DOWNLOAD_URI = Call(_download_uri, NAME, VERSION)
SET_TAG = Call(_set_tag, NAME, VERSION, KEY, Field("value"))
DELETE_TAG = Call(_delete_tag, NAME, VERSION, KEY)
