"""The REST surface as a caller with bad intentions meets it: every address, a case to aim at, and what any answer owes.

The addresses are read from the resolver, so that a new one is under test the day it is added.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.test import Client
from django.urls import URLPattern

from access import actions
from access.authenticate import actor_of
from access.models import Group, Session, Token, User
from access.roles import Role
from audit.actors import SYSTEM
from audit.models import Event
from registry.actions import models, promotion
from registry.models import ModelVersion, PromotionRequest
from tests import erasure_cases, factories
from tests.registry import hook_cases
from tests.web.rest.test_promotion_api import version_of
from web.rest.urls import urlpatterns

MEGABYTE = "x" * 1_000_000
GOVERNED = ("registry_", "access_", "erasure_")
# What an answer must never say: how it is made.
LEAKS = re.compile(
    r"Traceback|psycopg|django|rest_framework|\bSELECT\b|\bINSERT\b|violates|constraint \"|\.py\b|0x[0-9a-f]{6,}"
    r"| object at |line \d+ column|Errno|codec can't|Error\(|site-packages",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Route:
    """One address and what it answers to."""

    name: str
    template: str
    methods: tuple[str, ...]

    @property
    def parts(self) -> list[str]:
        return re.findall(r"<(?:str|path):(\w+)>", self.template)

    def address(self, values: dict[str, str]) -> str:
        """The address with these path parts, which are percent-encoded already."""
        return "/api/v1/" + re.sub(r"<(?:str|path):(\w+)>", lambda match: values[match[1]], self.template)


def routes() -> list[Route]:
    """Every address under ``/api/v1/``."""
    return [_route(entry) for entry in urlpatterns if isinstance(entry, URLPattern)]


def _route(entry: URLPattern) -> Route:
    handler = getattr(entry.callback, "cls", None) or entry.callback.view_class  # type: ignore[attr-defined]
    found = tuple(name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(handler, name))
    return Route(str(entry.name), str(entry.pattern), found)


ROUTES = routes()
POSTS = [route for route in ROUTES if "POST" in route.methods]
GETS = [route for route in ROUTES if "GET" in route.methods]
# Their body is not read: what is done is in the address.
BODYLESS = {"erasure-discover", "erasure-execute", "trail-export", "trail-exports", "webhook-redeliver"}


@dataclass(frozen=True)
class Case:
    """One of everything, so that every address has something behind it."""

    version: ModelVersion
    request: PromotionRequest
    ana: User
    parts: dict[str, dict[str, str]]

    def address(self, route: Route, **other: str) -> str:
        """The address of what is there, with some path parts exchanged (percent-encoded)."""
        return route.address({**{name: quote(value, safe="") for name, value in self.parts_of(route).items()}, **other})

    def parts_of(self, route: Route) -> dict[str, str]:
        return self.parts[
            "data-set" if route.name in {"data-set", "data-set-lineage"} else route.template.partition("/")[0]
        ]


def case() -> Case:
    """One of everything."""
    ana = factories.account(Role.DATA_SCIENTIST, username="ana")
    rex = factories.account(Role.REVIEWER, username="rex")
    version = version_of(ana)
    by = factories.actor(Role.DATA_SCIENTIST, username="bea")
    request = promotion.open_request(by=by, version=version, target_stage="Production", justification="It is better.")
    erasure = erasure_cases.file(erasure_cases.officer("olga"))
    token, session, group = access_of(ana, rex)
    hook = hook_cases.turncoat()
    models.create(by=by, name="told")
    sent = hook.deliveries.get()
    return Case(
        version=version,
        request=request,
        ana=ana,
        parts={
            "schema": {},
            "me": {},
            "permissions": {},
            "who-can": {},
            "tokens": {"token_id": str(token.pk)},
            "sessions": {"session_id": str(session.pk)},
            "people": {"username": "ana"},
            "role-grants": {"grant_id": str(ana.role_grants.get().pk)},
            "groups": {"group_id": str(group.pk), "username": "rex"},
            "service-accounts": {"username": "robot"},
            "models": {"name": "credit", "number": "1"},
            "data-sets": {},
            "openlineage": {},
            "artifact-alarms": {},
            "model-signing-key": {},
            "data-set": {"name": "credit-training-1", "number": "1"},
            "evidence": {"evidence_id": str(version.evidence.all()[0].pk)},
            "promotion-requests": {"request_id": str(request.pk)},
            "erasure-requests": {"request_id": str(erasure.pk)},
            "webhooks": {"webhook_id": str(hook.pk), "delivery_id": str(sent.pk)},
            "trail": {
                "entry_id": str(Event.objects.all()[0].id),
                "name": "admin",
                "object_type": "promotion_request",
                "object_id": str(request.pk),
                "export_id": str(request.pk),
            },
        },
    )


def access_of(ana: User, rex: User) -> tuple[Token, Session, Group]:
    """A token and a session of one, a group with the other in it, and a service account of the first."""
    token, _ = actions.create_token(by=SYSTEM, user=ana, name="laptop")
    session = actions.open_session(by=actor_of(ana, "session"))
    group = actions.create_group(by=SYSTEM, name="Validation")
    actions.add_member(by=SYSTEM, group=group, user=rex)
    actions.create_user(by=SYSTEM, username="robot", password=None, is_service=True, owner=ana)
    return token, session, group


def good_bodies(found: Case) -> dict[str, dict[str, Any]]:
    """For each address that reads JSON: a body it understands (whether it may be done now is another matter)."""
    digest = found.request.subject_digest
    return {
        "people": {
            "username": "zoe", "password": "a-long-pass-phrase-1", "display_name": "Zoe", "email": "zoe@example.org",
            "is_service": False, "must_change_password": True,
        },
        "roles": {"role": "auditor", "pattern": "fraud-*", "until": "2999-01-01T00:00:00Z"},
        "password": {"current": "correct-horse-battery-9", "new": "another-long-phrase-7"},
        "close-account": {"reason": "She left."},
        "reopen-account": {"reason": "She is back."},
        "reset-password": {"reason": "She lost it."},
        "groups": {"name": "Risk", "description": "Who bears it."},
        "group-members": {"username": "ana"},
        "group-roles": {"role": "auditor", "pattern": "fraud-*", "until": "2999-01-01T00:00:00Z"},
        "service-accounts": {"username": "builder", "display_name": "Builds", "owner": "ana"},
        "service-owner": {"owner": "rex"},
        "service-tokens": {"name": "ci", "scope": "registry", "expires_at": "2999-01-01T00:00:00Z"},
        "erase-person": {"legal_basis": "art_17_1_c", "reason": "She asked."},
        "tokens": {"name": "ci", "scope": "read", "expires_at": "2999-01-01T00:00:00Z"},
        "file-promotion": {"target_stage": "Production", "justification": "Better."},
        "link-data-set": {"name": "credit-training-1", "version": 1, "role": "validation"},
        "reports": {"kind": "fairness"},
        "checks": {},
        "signature": {"bundle": {"mediaType": "x"}, "public_key": ""},
        "decide": {"decision": "APPROVE", "comment": "Read.", "subject_digest": digest},
        "apply": {"subject_digest": digest},
        "withdraw": {"comment": "No."},
        "resubmit": {"comment": "Done."},
        "erasure-requests": {
            "identifier_type": "email", "identifier_value": "zed@example.org", "external_id": "case-77",
            "ground": "17(1)(b)", "country": "DE", "subdivision": "BY", "received_on": "2026-03-05", "source": "desk",
        },
        "erasure-approve": {"plan_digest": digest, "comment": "Read."},
        "erasure-refuse": {"reason": "Not identified."},
        "erasure-cancel": {"reason": "Filed twice."},
        "erasure-sign-off": {"comment": "Read."},
        "webhooks": {
            "name": "ci", "url": "https://192.31.195.1/x?y=z", "events": ["model_version.created", "promotion.applied"],
            "description": "For CI.", "secret": hook_cases.SECRET, "status": "DISABLED", "standard": True,
        },
        "webhook-test": {"event": "prompt.created"},
    }  # fmt: skip


def caller(*roles: Role) -> Client:
    """A client with a bearer token of a new account with these roles."""
    _, secret = actions.create_token(by=SYSTEM, user=factories.account(*roles), name="abuse")
    return Client(headers={"Authorization": f"Bearer {secret}"}, raise_request_exception=False)


def callers() -> Iterator[tuple[str, Client]]:
    """Nobody, an account without a role, one account per role, and one with all of them."""
    yield "anonymous", Client(raise_request_exception=False)
    yield "no role", caller()
    for role in Role:
        yield role.value, caller(role)
    yield "every role", caller(*Role)


def send(client: Client, method: str, address: str, body: bytes | str = b"", content_type: str = "application/json",
         **headers: str) -> Any:  # fmt: skip
    """One request, exactly as given."""
    return client.generic(method, address, body, content_type=content_type, headers=headers or None)


def fault_of(answer: Any) -> str | None:
    """What is wrong with an answer, or None: refusals of every kind have one shape, one voice, and no secrets."""
    status = answer.status_code
    if status < 400:
        return None
    # What nothing was signed for yet cannot be exported: the one address that may ask for patience.
    if status >= 500 and not (status == 503 and b'"nothing_signed"' in answer.content):
        return f"{status}: {answer.content[:300]!r}"
    if answer.request["REQUEST_METHOD"] == "HEAD":
        return None
    return _shape_fault(answer)


def _shape_fault(answer: Any) -> str | None:
    if not answer["Content-Type"].startswith("application/json"):
        return f"not JSON: {answer['Content-Type']}"
    body = json.loads(answer.content)
    error = body.get("error")
    if set(body) != {"error"} or set(error) != {"code", "sentence", "details", "request_id"}:
        return f"another shape: {answer.content[:300]!r}"
    if not re.fullmatch(r"[a-z][a-z_]*", error["code"]) or not isinstance(error["details"], dict):
        return f"no code or details: {error!r:.300}"
    if error["request_id"] != answer["X-Request-Id"]:
        return "another request id"
    sentence = error["sentence"]
    if not sentence.endswith(".") or not 8 <= len(sentence) <= 700:
        return f"no sentence: {sentence[:200]!r}…{sentence[-40:]!r}"
    leak = LEAKS.search(answer.content.decode())
    if leak:
        return f"says how it is made: {leak[0]!r} in {answer.content[:300]!r}"
    if len(answer.content) > 4_000:
        return f"{len(answer.content)} bytes come back: {answer.content[:200]!r}"
    if answer.status_code == 401 and "WWW-Authenticate" not in answer.headers:
        return "401 without WWW-Authenticate"
    return None


class Faults:
    """Collects what is wrong over many requests, so that one run shows all of it."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.asked = 0

    def check(self, answer: Any, what: str, *, refused: bool = False) -> None:
        self.asked += 1
        fault = fault_of(answer)
        if fault is None and refused and answer.status_code < 400:
            fault = f"taken: {answer.status_code}"
        if fault is not None:
            self.found.append(f"{what}: {fault}")

    def none(self) -> None:
        shown = "\n".join(self.found[:40])
        assert not self.found, f"{len(self.found)} of {self.asked} answers:\n{shown}"


def state() -> dict[str, str]:
    """A digest of every governed table: what is the same before and after was not touched."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE ANY (%s) ORDER BY 1",
            [[f"{prefix}%" for prefix in GOVERNED]],
        )
        # when a token was last used is noted by every request, and means nothing
        names = [name for (name,) in cursor.fetchall() if name != "access_lastuse"]
        found = {}
        for name in names:
            cursor.execute(
                f"SELECT count(*) || ' ' || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
            )
            found[name] = cursor.fetchone()[0]
    return found
