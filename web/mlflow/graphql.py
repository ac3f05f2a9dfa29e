"""GraphQL of MLflow's pages: parsed here, let through field by field, and what it asks of the registry answered by us.

MLflow's server would look registered versions up in a registry of its own. So the query is parsed (by the library that
MLflow's server reads it with), and what goes on is printed anew from what was examined. Only queries pass, no
mutations, and at their root only the fields below; the registry's own (``mlflowSearchModelVersions``) is not among
them. ``modelVersions`` of a run is replaced by the run's id, and in the answer by the versions that the asking person
may see.
"""

import json
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from audit.actors import Actor
from audit.errors import Denied, Invalid, Unavailable
from audit.events import Action
from registry.queries import visible, wire
from web.mlflow import codec, entrance, messages, origin, proxy, stream

if TYPE_CHECKING:
    from graphql.language import DocumentNode, FieldNode

# JSON of either side; each use is checked where it is made.
Json = Any

_MOST_QUERY: Final = 1024 * 1024
_MOST_ANSWER: Final = 64 * 1024 * 1024
_MOST_TOKENS: Final = 5000
_MOST_VERSIONS: Final = 200
_ROOT: Final = frozenset(
    {
        "__typename",
        "mlflowGetExperiment",
        "mlflowGetMetricHistoryBulkInterval",
        "mlflowGetRun",
        "mlflowListArtifacts",
        "mlflowSearchRuns",
    }
)
_VERSIONS: Final = "modelVersions"
# Under which a run says its id where its versions were asked for.
_MARK: Final = "plimsollRun"


def _view(request: HttpRequest) -> HttpResponseBase:
    if request.method != "POST":
        return codec.no_such_endpoint(request)
    by = entrance.actor_of(request)
    proxy.require(by, Action.TRACKING_READ)
    origin.check_shown(request)
    asked = _asked(stream.small(stream.passed(request, ""), _MOST_QUERY))
    query, shown = examined(asked["query"])
    passed = {"query": query, "variables": asked.get("variables"), "operationName": asked.get("operationName")}
    going = stream.Passed("POST", "/graphql", headers={"Content-Type": "application/json"})
    going.body = json.dumps(passed).encode()
    status, body = stream.whole(going, _MOST_ANSWER)
    if shown:
        body = json.dumps(_filled(by, _parsed(body), shown)).encode()
    return HttpResponse(body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})


view = entrance.machine(Action.TRACKING_READ, _view)


def _asked(body: bytes) -> dict[str, Json]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("query"), str):
        raise Invalid("A GraphQL request is a JSON object with a query.", code="malformed")
    return found


def _parsed(body: bytes) -> Json:
    try:
        return json.loads(body)
    except ValueError:
        raise Unavailable("The tracking server answered with something that is not JSON.", code="no_json") from None


def examined(query: str) -> tuple[str, frozenset[str]]:
    """The query as it may go on, and which fields of registered versions it asks for.

    Raises Invalid for what does not parse, Denied for what is not passed on.
    """
    # A seventh of a second and 15 MB that only processes which show MLflow's pages need.
    from graphql import GraphQLError  # noqa: PLC0415
    from graphql.language import parse, print_ast  # noqa: PLC0415

    shown: set[str] = set()
    try:
        document = parse(query, no_location=True, max_tokens=_MOST_TOKENS)
        return print_ast(_rewritten(document, shown)), frozenset(shown)
    except (GraphQLError, RecursionError):
        raise Invalid("This GraphQL query cannot be read.", code="malformed") from None


def _rewritten(document: "DocumentNode", shown: set[str]) -> "DocumentNode":
    from graphql.language import FieldNode, OperationDefinitionNode, OperationType, Visitor, visit  # noqa: PLC0415

    class Examination(Visitor):
        """Every operation and field, in fragments too, wherever it stands."""

        def enter_operation_definition(self, node: OperationDefinitionNode, *_: object) -> None:
            if node.operation is not OperationType.QUERY:
                raise _not_passed(node.operation.value)

        def enter_field(self, node: FieldNode, *_: object) -> FieldNode | None:
            name = node.name.value
            if name.startswith(("__", "mlflow", "test")) and name not in _ROOT:
                raise _not_passed(name)
            return _marked(node, shown) if name == _VERSIONS else None

    found: DocumentNode = visit(document, Examination())
    return found


def _not_passed(name: str) -> Denied:
    return Denied(f"{name[:60]} is not passed on: the model registry is asked at its own addresses.", code="not_passed")


def _marked(node: "FieldNode", shown: set[str]) -> "FieldNode":
    """Instead of a run's versions, the run's id under the same name."""
    from graphql.language import FieldNode, NameNode, SelectionSetNode  # noqa: PLC0415

    for wanted in node.selection_set.selections if node.selection_set else ():
        if not isinstance(wanted, FieldNode) or wanted.alias or wanted.directives:
            raise Invalid("Fields of modelVersions are named one by one here, without aliases.", code="not_plain")
        shown.add(wanted.name.value)
    run_id = FieldNode(
        alias=NameNode(value=_MARK), name=NameNode(value="runId"), arguments=(), directives=(), selection_set=None
    )
    return FieldNode(
        alias=NameNode(value=node.alias.value if node.alias else _VERSIONS),
        name=NameNode(value="info"),
        arguments=(),
        directives=node.directives,
        selection_set=SelectionSetNode(selections=(run_id,)),
    )


def _filled(by: Actor, answer: Json, shown: frozenset[str]) -> Json:
    """The answer with each marked place replaced by the run's versions."""
    runs: set[str] = set()
    _replaced(answer, runs.add)
    rows = visible.versions(by).filter(run_id__in=sorted(runs - {""})).order_by("-created_at")[:_MOST_VERSIONS]
    found: dict[str, list[Json]] = {}
    for record in wire.versions(list(rows), aliases="aliases" in shown):
        found.setdefault(record.row.run_id, []).append(_shown(messages.version(record), shown))
    return _replaced(answer, lambda run_id: found.get(run_id, []))


def _replaced(node: Json, by_run: Any) -> Json:  # Any: called for its effect first, for its result then
    if isinstance(node, list):
        return [_replaced(entry, by_run) for entry in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {_MARK}:
        return by_run(str(node[_MARK] or ""))
    return {name: _replaced(entry, by_run) for name, entry in node.items()}


def _shown(message: Json, shown: frozenset[str]) -> Json:
    """A version as GraphQL spells it: each field that was asked for, also the empty ones; large numbers as text."""
    camel = {"".join(part.title() if at else part for at, part in enumerate(name.split("_"))): name for name in message}
    found: dict[str, Json] = {}
    for name in shown:
        value = message.get(camel.get(name, ""))
        found[name] = str(value) if isinstance(value, int) else value
    return found | ({"__typename": "MlflowModelVersion"} if "__typename" in shown else {})
