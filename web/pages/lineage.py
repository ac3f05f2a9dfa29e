"""Lineage as a picture and as a table of the same facts, from a model version or a data set."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateformat import format as format_date

from audit.events import Action
from registry.queries import lineage, visible
from registry.queries.lineage import Direction, Edge, Graph, Node
from web.charts import graph as drawing
from web.charts.svg import cut
from web.pages.guard import actor_of, page

# More boxes than this nobody follows with the eye; the table has all of them.
_MOST_DRAWN: Final = 60
KINDS: Final = {
    "model_version": "Model version",
    "data_set": "Data set",
    "run": "Run",
    "code": "Code",
    "evidence": "Evidence",
    "promotion_request": "Promotion request",
    "grant": "Grant",
}
WORDS: Final = {"erased_into": "erased into", "fine_tuned": "fine-tuned", "copy": "copied"}
_DIRECTIONS: Final = ((Direction.BOTH, "Both ways"), (Direction.UP, "Origins"), (Direction.DOWN, "What came of it"))


@page(Action.REGISTRY_VIEW)
def of_version(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """What a version was made of, and what was made of it."""
    version = visible.version(actor_of(request), name, number)
    found = lineage.of_version(actor_of(request), version, *_asked(request))
    here = reverse("version", args=[version.model.name, version.number])
    crumbs = [
        {"label": "Models", "url": reverse("models")},
        {"label": version.model.name, "url": reverse("model", args=[version.model.name])},
        {"label": f"Version {version.number}", "url": here},
        {"label": "Lineage"},
    ]
    return _page(request, found, f"Lineage of {version.model.name}, version {version.number}", crumbs)


@page(Action.REGISTRY_VIEW)
def of_data_set(request: HttpRequest, name: str, number: str) -> HttpResponse:
    """Where a data set came from, and what was built on it."""
    row = visible.data_set(actor_of(request), name, number)
    found = lineage.of_data_set(actor_of(request), row, *_asked(request))
    crumbs = [
        {"label": "Data sets", "url": reverse("data-sets")},
        {"label": str(row), "url": reverse("data-set", args=[row.name, row.number])},
        {"label": "Lineage"},
    ]
    return _page(request, found, f"Lineage of {row}", crumbs)


def _asked(request: HttpRequest) -> tuple[Direction, int]:
    return lineage.asked(request.GET.get("direction", ""), request.GET.get("depth", ""))


def _page(request: HttpRequest, found: Graph, heading: str, crumbs: list[dict[str, str]]) -> HttpResponse:
    drawn = found.nodes[:_MOST_DRAWN]
    boxes = [_box(node, found.start) for node in drawn]
    lines = [drawing.Line(*ends, ", ".join(words)) for ends, words in _between(found).items()]
    context = {
        "heading": heading,
        "breadcrumb": crumbs,
        "drawing": drawing.graph(boxes, lines, title=heading) if len(found.nodes) > 1 else "",
        "message": found.message,
        "undrawn": len(found.nodes) - len(drawn),
        "things": _things(found),
        "choices": _choices(found),
    }
    return render(request, "lineage/one.html", context)


def _between(found: Graph) -> dict[tuple[str, str], list[str]]:
    """What one thing was to another, all in one line: a data set can be both training and evaluation data."""
    words: dict[tuple[str, str], list[str]] = {}
    for edge in found.edges:
        words.setdefault((edge.source, edge.target), []).append(_word(edge.kind))
    return words


def _word(kind: str) -> str:
    return WORDS.get(kind, kind)


def _box(node: Node, start: str) -> drawing.Box:
    if node.hidden:
        return drawing.Box(node.key, KINDS[node.type], "not visible to you", node.step, tone="is-hidden")
    tone = "is-start" if node.key == start else ""
    return drawing.Box(
        node.key, kind_words(node), _name(node), node.step, "" if node.key == start else node_url(node), tone
    )


def kind_words(node: Node) -> str:
    """What a thing is, and the one thing about it that matters most."""
    word = KINDS[node.type]
    if node.hidden:
        return f"{word}, not visible to you"
    facts = node.facts
    if facts.get("deleted"):
        return f"{word}, deleted"
    more = {
        "model_version": facts.get("stage", "None") if facts.get("stage") != "None" else "",
        "data_set": "erased" if facts.get("state") == "erased" else "",
        "evidence": "not computed" if facts.get("status") == "ERROR" else "",
        "promotion_request": str(facts.get("state", "")).replace("_", " ").lower(),
        "grant": str(facts.get("state", "")).lower(),
    }.get(node.type, "")
    return f"{word}, {more}" if more else word


def _name(node: Node) -> str:
    return "" if node.hidden else node.label


def node_url(node: Node) -> str:
    """The page of a thing, empty when it has none."""
    facts = node.facts
    if node.hidden or facts.get("deleted"):
        return ""
    if node.type == "model_version":
        return reverse("version", args=[facts["model"], facts["version"]])
    if node.type == "data_set":
        return reverse("data-set", args=[facts["name"], facts["version"]])
    if node.type in {"evidence", "promotion_request"}:
        return reverse("evidence" if node.type == "evidence" else "promotion", args=[facts["id"]])
    return ""


# -- the same as a table ---------------------------------------------------------------------------------------------


def _things(found: Graph) -> dict[str, Any]:
    nodes = {node.key: node for node in found.nodes}
    rows = [_thing(node, found.edges, nodes) for node in sorted(found.nodes, key=lambda node: node.step)]
    return {
        "id": "things",
        "caption": "Everything in this lineage, from the origins on",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Thing", "Kind", "Made of", "Went into", "Facts")],
        "rows": rows,
        "empty": {"title": "Nothing here", "sentence": "Nothing is recorded."},
    }


def _thing(node: Node, edges: Any, nodes: Mapping[str, Node]) -> list[Any]:
    url = node_url(node)
    name = _name(node) or "not visible to you"
    return [
        {"text": name, "url": url} if url else {"text": name},
        kind_words(node) if not node.hidden else KINDS[node.type],
        _ends([edge for edge in edges if edge.target == node.key], nodes, "source"),
        _ends([edge for edge in edges if edge.source == node.key], nodes, "target"),
        _facts(node),
    ]


def _ends(edges: list[Edge], nodes: Mapping[str, Node], side: str) -> str:
    ends = [(nodes[getattr(edge, side)], edge.kind) for edge in edges]
    said = [f"{cut(_name(node), 40) or 'not visible'} ({_word(kind)})" for node, kind in ends[:20]]
    return "; ".join(said + ([f"and {len(ends) - 20} more"] if len(ends) > 20 else [])) or "–"


def _facts(node: Node) -> str:
    """What is known of a thing, in one cell."""
    facts = node.facts
    if node.type == "run":
        return _run_facts(facts)
    said = [
        f"sha256 {facts['digest'][:12]}…" if facts.get("digest") else "",
        f"{facts['rows']:,} rows" if facts.get("rows") is not None else "",
        f"commit {facts['commit']}" if facts.get("commit") else "",
        str(facts.get("repository") or ""),
        str(facts.get("entry_point") or ""),
        *(
            f"{word} {format_date(facts[key], 'j M Y, H:i')} UTC"
            for key, word in _TIMES.items()
            if facts.get(key) is not None
        ),
    ]
    return ", ".join(filter(None, said)) or "–"


_TIMES: Final = {
    "registered_at": "registered",
    "made_at": "made",
    "opened_at": "opened",
    "issued_at": "issued",
    "valid_until": "valid until",
}


def _run_facts(facts: Mapping[str, Any]) -> str:
    if facts.get("fetched_at") is None:
        return f"{facts['run_id']}; what it was has not been read from tracking yet"
    if facts["status"] == "UNKNOWN":
        return f"{facts['run_id']}; tracking did not know it"
    params = [f"{name} = {value}" for name, value in facts["params"].items()]
    shown = ", ".join(params[:12]) + (f" and {len(params) - 12} more" if len(params) > 12 else "")
    data = ", ".join(entry["name"] for entry in facts["data"] if entry["name"])
    return "; ".join(
        filter(None, [facts["run_id"], f"parameters: {shown}" if shown else "", f"logged data: {data}" if data else ""])
    )


def _choices(found: Graph) -> list[dict[str, Any]]:
    """Links to the other directions and depths, so that the page needs no form."""
    asked = [(label, each.value, found.depth) for each, label in _DIRECTIONS]
    depths = sorted({1, 3, 5, lineage.MOST_DEPTH, found.depth})
    asked += [(f"{depth} steps" if depth > 1 else "1 step", found.direction, depth) for depth in depths]
    here = (found.direction, found.depth)
    return [
        {
            "label": label,
            "url": f"?{urlencode({'direction': direction, 'depth': depth})}",
            "on": (direction, depth) == here,
        }
        for label, direction, depth in asked
    ]
