"""The addresses for MLflow's clients and pages: the registry here; tracking and artifacts passed on."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from audit.events import Action
from web.mlflow import graphql, model_calls, proxy, ui, version_calls, webhook_calls
from web.mlflow.entrance import calls, unknown

_MODELS: list[URLPattern] = [
    path("create", calls(Action.MODEL_CREATE, POST=model_calls.CREATE)),
    path("get", calls(Action.REGISTRY_VIEW, GET=model_calls.GET)),
    path("update", calls(Action.MODEL_UPDATE, PATCH=model_calls.UPDATE)),
    path("rename", calls(Action.MODEL_RENAME, POST=model_calls.RENAME)),
    path("delete", calls(Action.MODEL_DELETE, DELETE=model_calls.DELETE)),
    path("search", calls(Action.REGISTRY_VIEW, GET=model_calls.SEARCH_MODELS)),
    path("get-latest-versions", calls(Action.REGISTRY_VIEW, POST=model_calls.LATEST, GET=model_calls.LATEST)),
    path("set-tag", calls(Action.MODEL_TAG, POST=model_calls.SET_TAG)),
    path("delete-tag", calls(Action.MODEL_TAG, DELETE=model_calls.DELETE_TAG)),
    path(
        "alias",
        calls(
            Action.ALIAS_SET,
            POST=model_calls.SET_ALIAS,
            DELETE=model_calls.DELETE_ALIAS,
            GET=model_calls.GET_BY_ALIAS,
        ),
    ),
]
_VERSIONS: list[URLPattern] = [
    path("create", calls(Action.VERSION_CREATE, POST=version_calls.CREATE)),
    path("get", calls(Action.REGISTRY_VIEW, GET=version_calls.GET)),
    path("update", calls(Action.VERSION_UPDATE, PATCH=version_calls.UPDATE)),
    path("transition-stage", calls(Action.VERSION_STAGE, POST=version_calls.TRANSITION)),
    path("delete", calls(Action.VERSION_DELETE, DELETE=version_calls.DELETE)),
    path("search", calls(Action.REGISTRY_VIEW, GET=version_calls.SEARCH_VERSIONS)),
    path("get-download-uri", calls(Action.REGISTRY_VIEW, GET=version_calls.DOWNLOAD_URI)),
    path("set-tag", calls(Action.VERSION_TAG, POST=version_calls.SET_TAG)),
    path("delete-tag", calls(Action.VERSION_TAG, DELETE=version_calls.DELETE_TAG)),
]
# Upper and lower case spelt out: Django cannot reverse any address beside one with an inline flag.
_OURS = "|".join(
    "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in noun)
    for noun in ("registered-models", "model-versions", "webhooks")
)
_REGISTRY: list[URLPattern | URLResolver] = [
    path("registered-models/", include(_MODELS)),
    path("model-versions/", include(_VERSIONS)),
    path("webhooks", calls(Action.WEBHOOK_VIEW, POST=webhook_calls.CREATE, GET=webhook_calls.LIST)),
    path(
        "webhooks/<str:webhook_id>",
        calls(
            Action.WEBHOOK_VIEW,
            GET=webhook_calls.GET,
            PATCH=webhook_calls.UPDATE,
            DELETE=webhook_calls.DELETE,
        ),
    ),
    path("webhooks/<str:webhook_id>/test", calls(Action.WEBHOOK_TEST, POST=webhook_calls.TEST)),
    # Whatever is left of the registry's addresses, in any case of letters: it must not reach tracking's own registry.
    re_path(rf"^(?:{_OURS})(?:/.*)?\Z", unknown),
]

# MLflow's own pages, and what they ask for: everything below their own folder.
_PAGES: list[URLPattern | URLResolver] = [
    path("", ui.index),
    re_path(r"^static-files/", ui.file),
    path("graphql", graphql.view),
    path("model-versions/get-artifact", ui.version_file),
    path("ajax-api/2.0/mlflow/", include(_REGISTRY)),
    re_path(r"^(?:ajax-api/|get-artifact\Z)", proxy.view),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/2.0/mlflow/", include(_REGISTRY)),
    path("ajax-api/2.0/mlflow/", include(_REGISTRY)),
    path("model-versions/get-artifact", ui.version_file),
    path("mlflow", ui.to_index),
    path("mlflow/", include(_PAGES)),
    # paths.py decides what of this is passed on.
    re_path(r"^(?:(?:api/[23]\.0|ajax-api)/|version\Z|v1/traces\Z)", proxy.view),
]
