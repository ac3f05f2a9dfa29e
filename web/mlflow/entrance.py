"""What every address for MLflow clients shares: who comes in, and how a call is found by method.

A browser's session may read here. It may write from MLflow's own pages only (``origin.py``): these addresses take no
form token, and MLflow's clients bring a credential of their own with each request.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from access import policy
from audit.actors import Actor
from audit.errors import Denied, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from web.mlflow import codec, origin
from web.mlflow.codec import Field, Values
from web.routes import OPEN, route

Answer = Callable[[Actor, Values], HttpResponse]
# URL converters may add text arguments.
View = Callable[..., HttpResponseBase]
_SAFE: Final = frozenset({"GET", "HEAD"})


def actor_of(request: HttpRequest) -> Actor:
    """Who asks. Raises Denied for a write that rests on a browser's session and does not come from MLflow's pages."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    if actor.auth == "session" and request.method not in _SAFE and not origin.is_own_page(request):
        raise Denied(
            "A browser session may only read here, or write from MLflow's pages on this site: MLflow's clients write"
            " with a token or with HTTP Basic.",
            code="session_write",
        )
    return actor


def machine(owner: Action, view: View) -> View:
    """Mark ``view`` as an address for machines, guarded by ``owner``."""
    return csrf_exempt(route(owner)(view))


class Call:
    """One call of the wire: what it takes and what answers it."""

    def __init__(self, answer: Answer, *fields: Field) -> None:
        self.answer = answer
        self.fields = fields

    def __call__(self, by: Actor, request: HttpRequest, path: Mapping[str, str]) -> HttpResponse:
        try:
            return self.answer(by, codec.read(request, self.fields, path))
        except NotFound as error:
            raise _in_their_words(error) from error


def _in_their_words(error: NotFound) -> NotFound:
    """What is not there, as MLflow's clients know it: they match on the sentence."""
    model, version = error.details.get("model"), error.details.get("version")
    if model is None:
        return error
    sentence = f"Registered Model with name={model} not found"
    if version is not None:
        sentence = f"Model Version (name={model}, version={version}) not found"
    return NotFound(sentence, code=error.code, details=error.details)


def calls(owner: Action, **by_method: Call) -> View:
    """A view that answers each HTTP method with its call, and any other as if there were nothing here."""
    table: Mapping[str, Call] = by_method

    def view(request: HttpRequest, **path: Any) -> HttpResponseBase:
        call = table.get(request.method or "")
        if call is None:
            return codec.no_such_endpoint(request)
        by = actor_of(request)
        if by.account is None:
            policy.require(
                by, owner, INSTALLATION
            )  # a stranger learns nothing of what is there, nor of what is missing
        return call(by, request, path)

    return machine(owner, view)


@csrf_exempt
@route(OPEN)
def unknown(request: HttpRequest, **_path: Any) -> HttpResponseBase:
    """Whatever else lies below the registry's addresses: never passed on to tracking."""
    return codec.no_such_endpoint(request)
