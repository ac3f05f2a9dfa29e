"""Every address of every surface, as what it takes to be let through: method, action, and the name it is about.

Routes are read from the resolver, so a new one is here the day it is added, guarded by the action it declares. Written
by hand is only what a declaration cannot say: which action another method of the same address takes, and what a body
must hold so that permission is asked for at all.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import URLPattern, URLResolver, get_resolver

from access.models import Membership, RoleGrant, User
from audit.events import Action
from registry.models import PromotionRequest
from tests.abuse import surface
from tests.abuse.surface import Case
from web.routes import Open, owner_of

A = Action
# Pages show reports whole, so the request behind them has whole ones.
REVIEWED = "credit-reviewed"
MODEL, DATA = "credit", "credit-training-1"
# Kinds of scope that are no name: for everybody who is signed in, narrowed to what they may see; and one's own things.
LISTED, OWN = "(a list)", "(one's own)"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class Row:
    """One method of one address. ``exact`` when the body is good, so that whoever may is not merely told it is not."""

    name: str
    method: str
    address: str
    action: Action
    scope: str
    body: str = ""
    kind: str = JSON
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.address} ({self.action.value})"


# (surface and name of the route, method) → the action, where it is not the declared one.
OTHER_ACTIONS: dict[tuple[str, str], Action] = {
    ("rest:people", "POST"): A.USER_CREATE,
    ("rest:person-tokens", "GET"): A.TOKEN_REVOKE,
    ("rest:person-sessions", "GET"): A.SESSION_REVOKE,
    ("rest:groups", "POST"): A.GROUP_CREATE,
    ("rest:group", "PUT"): A.GROUP_UPDATE,
    ("rest:group", "DELETE"): A.GROUP_CLOSE,
    ("rest:service-tokens", "GET"): A.TOKEN_REVOKE,
    ("rest:data-sets", "POST"): A.DATA_SET_CREATE,
    ("rest:checks", "POST"): A.ARTIFACT_CHECK,
    ("rest:erasure-requests", "POST"): A.ERASURE_FILE,
    ("rest:webhooks", "POST"): A.WEBHOOK_CREATE,
    ("rest:webhook", "PATCH"): A.WEBHOOK_UPDATE,
    ("rest:webhook", "DELETE"): A.WEBHOOK_DELETE,
    ("page:groups", "POST"): A.GROUP_CREATE,
    ("page:service-tokens", "GET"): A.TOKEN_REVOKE,
    ("wire:registered-models/alias", "GET"): A.REGISTRY_VIEW,
    ("wire:registered-models/alias", "DELETE"): A.ALIAS_DELETE,
    ("wire:webhooks", "POST"): A.WEBHOOK_CREATE,
    ("wire:webhooks/<str:webhook_id>", "PATCH"): A.WEBHOOK_UPDATE,
    ("wire:webhooks/<str:webhook_id>", "DELETE"): A.WEBHOOK_DELETE,
}
# Narrowed to what the reader may see, instead of refused.
LISTS = {
    "rest:models", "rest:data-sets", "rest:artifact-alarms", "rest:promotions", "rest:openlineage",
    "rest:service-accounts", "page:alarms", "page:models", "page:data-sets", "page:promotions",
    "wire:registered-models/search", "wire:model-versions/search",
}  # fmt: skip
# Refused to whoever may, for a reason of the thing itself: what the answer must say then.
OTHERWISE = {
    "rest:withdraw": b"Only the account that filed this request", "rest:resubmit": b"Only the account that filed",
    "page:promotion-withdraw": b"Only the account that filed", "page:promotion-resubmit": b"Only the account that",
    "wire:registered-models/rename": b"while a promotion request for it is live",
    "wire:registered-models/delete": b"promotion request",
}  # fmt: skip
# Nothing is there yet, whoever asks.
ABSENT = {"rest:erasure-certificate", "page:erasure-certificate", "rest:trail-one-export", "rest:trail-export-download"}
# About the account of whoever asks.
OWNS = {
    "rest:me", "rest:password", "rest:tokens", "rest:sessions", "rest:permissions", "page:sign-out", "page:account",
    "page:account-password", "page:sessions-end", "page:tokens",
}  # fmt: skip


def rows(case: Case) -> list[Row]:
    """Every method of every address, once: twins that are the same view are the same rule."""
    found, seen = [], set()
    for address, entry in _patterns(get_resolver()):
        if isinstance(owner_of(entry.callback), Open):
            continue
        mark = (id(entry.callback), str(entry.pattern))
        if mark not in seen:
            seen.add(mark)
            found += _rows_of(address, entry, case)
    return found


def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        here = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, here)
        else:
            yield here, entry


def _rows_of(address: str, entry: URLPattern, case: Case) -> Iterator[Row]:
    if address.startswith("api/v1/"):
        yield from _rest(entry, case)
    elif address.startswith("log/"):
        part = (
            str(entry.pattern)
            .replace("<str:name>", "admin")
            .replace("<path:path>", "0/000")
            .replace("<str:index>", "0")
        )
        yield Row(f"log:{entry.name}", "GET", f"/log/{part}", A.TRAIL_VIEW, "", exact=False)
    elif address.startswith("api/2.0/mlflow/"):
        yield from _wire(address, entry, case)
    elif "mlflow" in address or "get-artifact" in address or "ajax-api" in address:
        yield from _proxied(address)
    else:
        yield from _pages(address, entry, case)


def _action(name: str, method: str, entry: URLPattern) -> Action:
    declared = owner_of(entry.callback)
    assert isinstance(declared, Action)
    return OTHER_ACTIONS.get((name, method), declared)


def _scope(name: str, address: str) -> str:
    if name in LISTS:
        return LISTED
    if name in OWNS:
        return OWN
    if "data-sets/<str:name>" in address:
        return DATA
    return MODEL if re.search(r"models/<|promotion-requests/|promotions/|evidence/", address) else ""


# -- REST --------------------------------------------------------------------------------------------------------------


def _rest(entry: URLPattern, case: Case) -> Iterator[Row]:
    (route,) = [each for each in surface.ROUTES if each.template == str(entry.pattern)]
    bodies = surface.good_bodies(case) | {"group": {"name": "Validators", "description": ""}}
    for method in route.methods:
        name = f"rest:{route.name}"
        body = bodies.get(route.name)
        known = method in {"GET", "DELETE"} or body is not None or route.name in surface.BODYLESS
        address = case.address(route)
        if route.name == "who-can":
            address += "?action=promotion.decide"
        scope = _scope(name, route.template)
        if scope == LISTED and method != "GET":
            scope, known = "", False
        yield Row(
            name, method, address, _action(name, method, entry), scope,
            body=json.dumps(body) if body is not None and method != "GET" else "", exact=known and name not in ABSENT,
        )  # fmt: skip


# -- the wire ----------------------------------------------------------------------------------------------------------

_READS = {"get", "search", "get-latest-versions", "get-download-uri"}


def _wire(address: str, entry: URLPattern, case: Case) -> Iterator[Row]:
    call = address.removeprefix("api/2.0/mlflow/")
    name = f"wire:{call}"
    if call.startswith("webhooks"):
        concrete = "/" + address.replace("<str:webhook_id>", case.parts["webhooks"]["webhook_id"])
        methods = ("GET", "POST") if call == "webhooks" else ("POST",) if call.endswith("test") else ("GET", "DELETE")
        for method in methods:
            yield Row(name, method, concrete, _action(name, method, entry), "", body="{}", exact=method == "GET")
        return
    values = {
        "name": MODEL, "version": "1", "new_name": "credit-renamed", "key": "team", "value": "risk", "alias": "next",
        "stage": "Staging", "source": "dummy-source", "description": "x",
    }  # fmt: skip
    if call == "registered-models/create":
        values["name"] = "credit-new"
    verb = call.rpartition("/")[2]
    methods = ("GET", "POST", "DELETE") if verb == "alias" else ("GET",) if verb in _READS else _writing(verb)
    for method in methods:
        scope = LISTED if name in LISTS else MODEL
        asked = {} if scope == LISTED else {key: values[key] for key in ("name", "version", "alias") if key in values}
        if method == "GET":
            query = f"?{urlencode(asked)}" if asked else ""
            yield Row(name, method, f"/{address}{query}", _action(name, method, entry), scope, exact=verb != "alias")
        else:
            yield Row(
                name, method, f"/{address}", _action(name, method, entry), scope, json.dumps(values),
                exact=call not in {"model-versions/create", "registered-models/delete"},
            )  # fmt: skip


def _writing(verb: str) -> tuple[str, ...]:
    return ("PATCH",) if verb == "update" else ("DELETE",) if verb.startswith("delete") else ("POST",)


def _proxied(address: str) -> Iterator[Row]:
    """One of each kind that goes on to tracking: whether something answers there is not asked here."""
    if address.startswith("^(?:(?:api"):
        yield Row(
            "proxy", "GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", A.TRACKING_READ, LISTED, exact=False
        )
        yield Row("proxy", "POST", "/api/2.0/mlflow/runs/create", A.TRACKING_WRITE, LISTED, body="{}", exact=False)
        yield Row("proxy", "POST", "/api/2.0/mlflow/runs/search", A.TRACKING_READ, LISTED, body="{}", exact=False)
        yield Row("proxy", "PUT", "/api/2.0/mlflow-artifacts/artifacts/a", A.TRACKING_WRITE, LISTED, exact=False)
    elif address == "mlflow/":
        yield Row("proxy", "GET", "/mlflow/", A.TRACKING_READ, LISTED, exact=False)


# -- pages -------------------------------------------------------------------------------------------------------------

GET_ONLY = "GET"
_BOTH = ("GET", "POST")
# What a page answers to besides GET, and a form it understands.
POSTED: dict[str, dict[str, Any]] = {
    "sign-out": {}, "promote": {"target_stage": "Production", "justification": "Better."}, "version-check": {},
    "promotion-decide": {"decision": "approve", "comment": "Read."}, "promotion-apply": {}, "promotion-withdraw": {},
    "promotion-resubmit": {}, "erasure-new": {}, "erasure-approve": {"comment": "Read."},
    "erasure-refuse": {"reason": "No."}, "erasure-cancel": {"reason": "Twice."}, "erasure-discover": {},
    "erasure-execute": {}, "erasure-sign-off": {"comment": "Read."}, "webhook-new": {}, "webhook-edit": {},
    "webhook-test": {}, "webhook-switch": {}, "webhook-delete": {}, "webhook-redeliver": {}, "trail-export": {},
    "person-new": {"username": "zoe"}, "groups": {"name": "Risk"}, "group-edit": {"name": "Risk"}, "group-close": {},
    "group-add": {"username": "ana"}, "group-remove": {}, "group-grant": {"role": "auditor"}, "group-revoke": {},
    "person-grant": {"role": "auditor"}, "person-revoke": {}, "person-close": {}, "person-reopen": {},
    "person-reset": {}, "person-sign-out": {}, "person-owner": {"owner": "rex"}, "person-link": {},
    "person-erase": {"legal_basis": "art_17_1_c", "confirmed": "ana"}, "account-password": {}, "sessions-end": {},
    "session-end": {}, "tokens": {"name": "ci"}, "token-revoke": {}, "service-tokens": {"name": "ci"},
}  # fmt: skip
# Their form is refused here for a reason of its own, after or before permission: only whoever may not is looked at.
INEXACT = {
    "erasure-new", "webhook-new", "webhook-edit", "webhook-test", "webhook-switch", "webhook-redeliver", "trail-export",
    "group-revoke", "trail-export-download", "promotion-resubmit", "promotion-withdraw", "promotion-apply",
    "account-password", "person-owner", "version-signature",
}  # fmt: skip
_READ_TOO = {"promote", "erasure-new", "webhook-new", "webhook-edit", "person-new", "groups", "person-erase", "tokens",
             "account-password", "service-tokens"}  # fmt: skip


def _pages(address: str, entry: URLPattern, case: Case) -> Iterator[Row]:
    label = str(entry.name)
    name = f"page:{label}"
    concrete = "/" + re.sub(r"<(?:str|path):(\w+)>", lambda part: _part(part[1], label, case), address)
    methods = [GET_ONLY] if label not in POSTED else ["GET", "POST"] if label in _READ_TOO else ["POST"]
    form = POSTED.get(label, {})
    if label == "promotion-decide":
        form = form | {"subject_digest": reviewed().subject_digest}
    for method in methods:
        scope = _scope(name, address)
        yield Row(
            name, method, concrete, _action(name, method, entry), scope,
            body=urlencode(form) if method == "POST" else "", kind=FORM,
            exact=label not in INEXACT and name not in ABSENT,
        )  # fmt: skip


def reviewed() -> PromotionRequest:
    """The request behind the pages."""
    return PromotionRequest.objects.get(model__name=REVIEWED)


def _part(part: str, label: str, case: Case) -> str:
    """What stands in a page's address; it names accounts by id where REST names them."""
    if part == "user_id":
        if label in {"person-owner", "service-tokens"}:
            return str(User.objects.get(username="robot").pk)
        return str(Membership.objects.get().user_id) if label == "group-remove" else str(case.ana.pk)
    if part == "grant_id":
        return str(RoleGrant.objects.get(user=case.ana).pk)
    if part == "name":
        return DATA if label.startswith("data-set") else MODEL
    if part == "request_id" and label.startswith("promotion"):
        return str(reviewed().pk)
    if part == "request_id" and label.startswith("erasure"):
        return case.parts["erasure-requests"]["request_id"]
    for known in case.parts.values():
        if part in known:
            return known[part]
    raise KeyError(f"{label} has a part {part!r}: say in route_table.py what stands there")
