"""Data sets: the list, and one pinned data set with its columns, its use and its successor."""

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from audit.events import Action
from registry.models import DataSet
from registry.queries import visible
from registry.states import DataState
from web.pages import paging, reports
from web.pages.context import trail_url
from web.pages.guard import actor_of, page
from web.pages.models import stage_value, version_url
from web.pages.names import Names, name_in, names_of


@page(Action.REGISTRY_VIEW)
def all_data_sets(request: HttpRequest) -> HttpResponse:
    """Data sets by name, the newest number of each first."""
    rows = visible.data_sets(actor_of(request)).annotate(uses=Count("version_links__version", distinct=True))
    part = paging.page_of(rows, ("name", "-number"), request.GET.get("after", ""))
    names = names_of(row.created_by for row in part.rows)
    context = {
        "table": _table(part.rows, names),
        "page": paging.links(request, f"{len(part.rows)} data sets on this page", part.after),
        "paged": bool(part.after or request.GET.get("after")),
    }
    return render(request, "data_sets/all.html", context)


def _table(rows: list[Any], names: Names) -> dict[str, Any]:
    return {
        "id": "data-sets",
        "caption": "Data sets",
        "caption_hidden": True,
        "columns": [
            {"label": "Data set"},
            {"label": "Content"},
            {"label": "Classification"},
            {"label": "Rows", "right": True},
            {"label": "Used by", "right": True},
            {"label": "Digest"},
            {"label": "Registered"},
        ],
        "rows": [
            [
                {"text": str(row), "url": data_set_url(row), "note": row.role},
                state_value(row),
                {"text": row.classification, "note": row.retention},
                {"text": f"{row.rows:,}", "right": True},
                {"text": f"{row.uses} version{'' if row.uses == 1 else 's'}", "right": True},
                {"digest": row.digest},
                {"when": row.created_at, "note": f"by {name_in(names, row.created_by)}"},
            ]
            for row in rows
        ],
        "empty": {
            "title": "No data set yet",
            "sentence": "A data set appears here when a client registers one: its bytes are read and hashed, and it is"
            " pinned under its name with the next number.",
        },
    }


def state_value(row: DataSet) -> dict[str, str]:
    """Whether the content is still there."""
    if row.state == DataState.ERASED:
        return {"status": "ERASED", "word": "Content erased"}
    return {"status": "HELD", "word": "Present"}


def data_set_url(row: DataSet) -> str:
    """The page of one data set."""
    return reverse("data-set", args=[row.name, row.number])


@page(Action.REGISTRY_VIEW)
def one_data_set(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """One data set."""
    by = actor_of(request)
    row = visible.data_set(by, name, number)
    links = row.version_links.filter(version__in=visible.versions(by)).select_related("version__model")
    used = list(links.order_by("version__model__name", "-version__number", "role")[:200])
    names = names_of([row.created_by, row.owner])
    context = {
        "row": row,
        "breadcrumb": [{"label": "Data sets", "url": reverse("data-sets")}, {"label": str(row)}],
        "status": state_value(row),
        "facts": _facts(row, names),
        "family": _family(row),
        "columns": _columns_table(row),
        "used": _used_table(used),
        "trail_url": trail_url(by, "data_set", str(row.pk)),
    }
    return render(request, "data_sets/one.html", context)


def _facts(row: DataSet, names: Names) -> list[dict[str, Any]]:
    size = sum(entry.get("size", 0) for entry in row.manifest.get("files", []))
    facts: list[dict[str, Any]] = [
        {"term": "Digest", "value": {"digest": row.digest, "note": "SHA-256 over the manifest of its bytes"}},
        {"term": "Rows", "value": f"{row.rows:,}"},
        {"term": "Size", "value": {"text": reports.bytes_words(size), "note": _files_words(row)}},
        {"term": "Meant for", "value": row.role},
        {"term": "Registered", "value": {"when": row.created_at, "note": f"by {name_in(names, row.created_by)}"}},
        {"term": "Owner", "value": name_in(names, row.owner)},
        {"term": "Classification", "value": row.classification or "not classified"},
        {"term": "Retention class", "value": row.retention or "none given"},
    ]
    if row.location:
        facts.append({"term": "Read from", "value": row.location})
    if row.mlflow_digest:
        note = "a foreign note of 32 bits, never used as identity"
        facts.append({"term": "MLflow's digest", "value": {"text": row.mlflow_digest, "note": note}})
    return facts


def _files_words(row: DataSet) -> str:
    count = len(row.manifest.get("files", []))
    return "one file" if count == 1 else f"{count:,} files"


def _family(row: DataSet) -> list[dict[str, Any]]:
    """What is predicted, and which data sets this one came from or led to."""
    facts: list[dict[str, Any]] = []
    if row.label:
        favourable = {"text": row.label, "note": f"favourable value: {row.favourable}"}
        facts.append({"term": "Label", "value": favourable})
    for attribute in row.protected:
        rule = attribute["privileged"]
        words = f"{attribute['column']} {_rule_words(rule)}"
        facts.append({"term": f"Protected: {attribute['name']}", "value": {"text": words, "note": "privileged group"}})
    if row.parent is not None:
        facts.append({"term": "Made from", "value": {"text": str(row.parent), "url": data_set_url(row.parent)}})
    facts += [
        {"term": "Followed by", "value": {"text": str(child), "url": data_set_url(child)}}
        for child in row.children.order_by("number")
    ]
    return facts or [{"term": "Label", "value": {"text": "none", "note": "nothing is predicted from this data set"}}]


def _rule_words(rule: dict[str, Any]) -> str:
    if rule["op"] == "in":
        return f"is {' or '.join(str(value) for value in rule['value'])}"
    return f"{rule['op']} {rule['value']}"


def _columns_table(row: DataSet) -> dict[str, Any]:
    protected = {attribute["column"] for attribute in row.protected}
    return {
        "id": "columns",
        "caption": "Columns in their order",
        "caption_hidden": True,
        "columns": [{"label": "Column"}, {"label": "Type"}, {"label": "Meaning"}],
        "rows": [[column["name"], column["type"], _meaning(row, column["name"], protected)] for column in row.columns],
        "empty": {"title": "No columns", "sentence": "Nothing is known of the columns of this data set."},
    }


def _meaning(row: DataSet, column: str, protected: set[str]) -> str:
    said = []
    if column == row.label:
        said.append("label")
    if column in protected:
        said.append("protected")
    if column in row.identifiers:
        said.append(f"identifier ({row.identifiers[column]})")
    if column in row.excluded:
        said.append("not given to the model")
    return ", ".join(said) or "–"


def _used_table(links: list[Any]) -> dict[str, Any]:
    return {
        "id": "used",
        "caption": "Model versions that used this data set",
        "caption_hidden": True,
        "columns": [{"label": "Model version"}, {"label": "Used for"}, {"label": "Stage"}],
        "rows": [
            [
                {"text": str(link.version), "url": version_url(link.version.model.name, link.version.number)},
                link.role,
                stage_value(link.version.stage),
            ]
            for link in links
        ],
        "empty": {
            "title": "No model version uses it yet",
            "sentence": "A model version appears here once this data set is linked to it as training, validation or"
            " evaluation data.",
        },
    }
