"""Webhooks: which there are and how they do, one with what was delivered to it, and the forms that make and change one.

Secrets are typed in and never shown.
"""

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from access import policy
from audit.errors import Conflict, Denied, DomainError, Invalid
from audit.events import Action
from audit.subjects import INSTALLATION
from registry import addresses, delivery
from registry.actions import webhooks
from registry.actions.webhooks import MOST_DESCRIPTION, Changes
from registry.event_names import MLFLOW_EVENTS, OWN_EVENTS
from registry.models import Delivery, Webhook
from registry.queries import webhooks as found
from registry.queries.webhooks import Standing
from registry.states import DeliveryState, HookStatus
from web.errors import face_of
from web.pages import paging
from web.pages.context import trail_url
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page

# In which dress of parts/status.html a word is shown.
_DRESS: Final = {"active": "ACTIVE", "retrying": "STALE", "failing": "FAILED", "disabled": "RETIRED"}
_DELIVERY_DRESS: Final = {
    DeliveryState.DELIVERED: ("DONE", "Delivered"),
    DeliveryState.WAITING: ("WAITING", "Waits"),
    DeliveryState.FAILED: ("FAILED", "Given up"),
    DeliveryState.CANCELLED: ("CANCELLED", "Cancelled"),
}
_PAGE: Final = 30
_FIELD_OF: Final = {
    "bad_name": "name",
    "bad_url": "url",
    "private_address": "url",
    "host_unknown": "url",
    "bad_secret": "secret",
    "missing": "events",
    "unknown_event": "events",
    "role_missing": "events",
}


class HookForm(PageForm):
    """A webhook, new or to be changed."""

    name = TextField(
        label="Name",
        missing="Give it a name.",
        help_text="Letters, digits, dots, underscores and hyphens. It need not be the only one with it.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    url = TextField(
        label="Address",
        missing="Enter the address that is to be called.",
        help_text="https, and reachable from the internet: addresses inside this network are refused.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = TextField(label="Description", required=False, max_length=MOST_DESCRIPTION)
    secret = TextField(
        label="Secret",
        required=False,
        strip=False,
        help_text="Signs what is sent. It is kept encrypted and never shown again.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
    )
    standard = forms.BooleanField(
        label="Add Standard Webhooks signatures (the secret is then whsec_ and base64)", required=False
    )
    events = forms.MultipleChoiceField(
        label="Events",
        choices=[
            ("MLflow’s", [(name, name) for name in sorted(MLFLOW_EVENTS)]),
            ("Plimsoll’s own", [(name, name) for name in sorted(OWN_EVENTS)]),
        ],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one event.", "invalid_choice": "There is no such event."},
    )

    def __init__(self, data: QueryDict | None = None, *, has_secret: bool = False, **options: Any) -> None:
        super().__init__(data, **options)
        if has_secret:
            self.fields["secret"].help_text = "One is set and never shown. Leave this empty to keep it."

    def changes(self) -> Changes:
        """What was filled in; an empty secret changes nothing."""
        values = {**self.cleaned_data, "secret": self.cleaned_data["secret"] or None}
        return Changes(**values)


@page(Action.WEBHOOK_VIEW)
def every(request: HttpRequest) -> HttpResponse:
    """The webhooks, newest first."""
    by = actor_of(request)
    part = found.page(found.webhooks(by), most=_PAGE, token=request.GET.get("after", ""))
    standings = found.standings(part.rows)
    context = {
        "rows": [{"row": row, **_health(standings[row.pk])} for row in part.rows],
        "page": paging.links(request, f"{len(part.rows)} webhooks on this page", part.next_token),
        "paged": bool(part.next_token or request.GET.get("after")),
        "opened": addresses.opened(),
        "actions": [
            {
                "label": "Create a webhook",
                "name": "create",
                "kind": "primary",
                "url": reverse("webhook-new"),
                "why_not": policy.why_not(by, Action.WEBHOOK_CREATE, INSTALLATION),
            }
        ],
        "empty": {
            "title": "No webhook",
            "sentence": "A webhook is called when something happens in the registry: a version is registered, a"
            " promotion decided. The ones that are made here or by MLflow’s client appear in this place.",
        },
    }
    return render(request, "webhooks/all.html", context)


def _health(standing: Standing) -> dict[str, Any]:
    return {"standing": standing, "status": _DRESS[standing.word], "word": standing.word.capitalize()}


@page(Action.WEBHOOK_CREATE, "GET", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """The form for a new webhook, and its answer."""
    by = actor_of(request)
    policy.require_read(by, Action.WEBHOOK_CREATE, INSTALLATION)
    if request.method != "POST":
        return _form_page(request, HookForm())
    form = HookForm(request.POST)
    if not form.is_valid():
        return _form_page(request, form, status=400)
    try:
        row = webhooks.create(by=by, changes=form.changes())
    except (Invalid, Denied) as error:
        return _refused(request, form, error)
    messages.success(request, f"The webhook {row} was created. Send it a test to see whether it is answered.")
    return HttpResponseRedirect(reverse("webhook", args=[row.pk]))


@page(Action.WEBHOOK_UPDATE, "GET", "POST")
def edit(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """The form to change a webhook, and its answer."""
    by = actor_of(request)
    row = found.webhook(by, webhook_id)
    policy.require_read(by, Action.WEBHOOK_UPDATE, row)
    has_secret = row.secret is not None
    if request.method != "POST":
        initial = {name: getattr(row, name) for name in ("name", "url", "description", "standard", "events")}
        return _form_page(request, HookForm(has_secret=has_secret, initial=initial), row)
    form = HookForm(request.POST, has_secret=has_secret)
    if not form.is_valid():
        return _form_page(request, form, row, status=400)
    try:
        webhooks.update(by=by, hook=row, changes=form.changes())
    except (Invalid, Denied) as error:
        return _refused(request, form, error, row)
    messages.success(request, "The webhook was changed.")
    return HttpResponseRedirect(reverse("webhook", args=[row.pk]))


def _refused(request: HttpRequest, form: HookForm, error: DomainError, row: Webhook | None = None) -> HttpResponse:
    form.refused(error, _FIELD_OF.get(error.code))
    return _form_page(request, form, row, status=int(face_of(error).status))


def _form_page(request: HttpRequest, form: HookForm, row: Webhook | None = None, *, status: int = 200) -> HttpResponse:
    crumbs: list[dict[str, str]] = [{"label": "Webhooks", "url": reverse("webhooks")}]
    if row is not None:
        crumbs.append({"label": row.name, "url": reverse("webhook", args=[row.pk])})
    heading = "Create a webhook" if row is None else "Edit the webhook"
    context = {"form": form, "row": row, "heading": heading, "breadcrumb": [*crumbs, {"label": heading}]}
    return render(request, "webhooks/form.html", context, status=status)


@page(Action.WEBHOOK_VIEW)
def one(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """One webhook with its deliveries."""
    return _page(request, found.webhook(actor_of(request), webhook_id))


def _page(request: HttpRequest, row: Webhook, more: Mapping[str, Any] | None = None) -> HttpResponse:
    by = actor_of(request)
    rows, after = found.delivery_page(by, row, most=_PAGE, token=request.GET.get("after", ""))
    log = found.attempts(rows)
    standing = found.standings([row])[row.pk]
    context = {
        "row": row,
        "facts": _facts(row, standing),
        "actions": _actions(request, row),
        "deliveries": [_delivery(each) | {"log": log.get(each.pk, [])} for each in rows],
        "why_not_redeliver": policy.why_not(by, Action.WEBHOOK_REDELIVER, row)
        or ("" if row.status == HookStatus.ACTIVE else "It is disabled."),
        "page": paging.links(request, f"{len(rows)} deliveries on this page", after),
        "paged": bool(after or request.GET.get("after")),
        "trail_url": trail_url(by, "webhook", str(row.pk)),
        "breadcrumb": [{"label": "Webhooks", "url": reverse("webhooks")}, {"label": row.name}],
        "empty": {
            "title": "Nothing was delivered yet",
            "sentence": "Each event that it asked for appears here, with every attempt to deliver it.",
        },
        **(more or {}),
    }
    return render(request, "webhooks/one.html", context)


def _facts(row: Webhook, standing: Standing) -> list[dict[str, Any]]:
    signed = "not signed" if row.secret is None else "signed, as MLflow’s"
    health = _health(standing)
    return [
        {"term": "State", "value": {"status": health["status"], "word": health["word"]}},
        {"term": "Address", "value": {"text": row.url}},
        {"term": "Description", "value": row.description or "–"},
        {"term": "Events", "value": ", ".join(row.events)},
        {"term": "Signatures", "value": f"{signed} and as Standard Webhooks" if row.standard else signed},
        {"term": "Last delivered", "value": {"when": standing.succeeded_at} if standing.succeeded_at else "never"},
        {"term": "Fails since", "value": {"when": standing.failing_since} if standing.failing_since else "–"},
        {"term": "Events that wait", "value": f"{found.waiting(row):,}"},
        {"term": "Created", "value": {"when": row.created_at}},
    ]


def _actions(request: HttpRequest, row: Webhook) -> list[dict[str, Any]]:
    by = actor_of(request)
    changing = policy.why_not(by, Action.WEBHOOK_UPDATE, row)
    disable = row.status == HookStatus.ACTIVE
    return [
        {
            "label": "Send a test",
            "name": "test",
            "method": "post",
            "url": reverse("webhook-test", args=[row.pk]),
            "why_not": policy.why_not(by, Action.WEBHOOK_TEST, row),
        },
        {
            "label": "Disable" if disable else "Enable",
            "name": "switch",
            "method": "post",
            "url": reverse("webhook-switch", args=[row.pk]),
            "fields": {"status": HookStatus.DISABLED.value if disable else HookStatus.ACTIVE.value},
            "why_not": changing,
        },
        {"label": "Edit", "name": "edit", "url": reverse("webhook-edit", args=[row.pk]), "why_not": changing},
    ]


def _delivery(row: Delivery) -> dict[str, Any]:
    status, word = _DELIVERY_DRESS[DeliveryState(row.state)]
    return {"row": row, "status": status, "word": word, "ended": row.state != DeliveryState.WAITING}


@page(Action.WEBHOOK_TEST, "POST")
def test(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """Send an example of its first event, and show how it was answered."""
    by = actor_of(request)
    row = found.webhook(by, webhook_id)
    sent = webhooks.send_test(by=by, hook=row)
    tested = {"answer": sent, "words": delivery.words(sent), "event": row.events[0]}
    return _page(request, row, {"tested": tested})


@page(Action.WEBHOOK_UPDATE, "POST")
def switch(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """Turn it on or off."""
    by = actor_of(request)
    row = found.webhook(by, webhook_id)
    webhooks.update(by=by, hook=row, changes=Changes(status=request.POST.get("status", "")))
    return HttpResponseRedirect(reverse("webhook", args=[row.pk]))


@page(Action.WEBHOOK_DELETE, "POST")
def delete(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """Take it away."""
    by = actor_of(request)
    row = found.webhook(by, webhook_id)
    webhooks.delete(by=by, hook=row)
    messages.success(request, f"The webhook {row} was deleted, and its secret with it.")
    return HttpResponseRedirect(reverse("webhooks"))


@page(Action.WEBHOOK_REDELIVER, "POST")
def redeliver(request: HttpRequest, webhook_id: str, delivery_id: str) -> HttpResponse:
    """Have an event delivered again."""
    by = actor_of(request)
    row = found.webhook(by, webhook_id)
    try:
        webhooks.redeliver(by=by, hook=row, sent=found.one_delivery(by, row, delivery_id))
        messages.success(request, "The event will be delivered again.")
    except Conflict as error:
        messages.error(request, error.sentence)
    return HttpResponseRedirect(reverse("webhook", args=[row.pk]))


urlpatterns: list[URLPattern] = [
    path("webhooks/", every, name="webhooks"),
    path("webhooks/new/", new, name="webhook-new"),
    path("webhooks/<str:webhook_id>/", one, name="webhook"),
    path("webhooks/<str:webhook_id>/edit/", edit, name="webhook-edit"),
    path("webhooks/<str:webhook_id>/test/", test, name="webhook-test"),
    path("webhooks/<str:webhook_id>/switch/", switch, name="webhook-switch"),
    path("webhooks/<str:webhook_id>/delete/", delete, name="webhook-delete"),
    path("webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/", redeliver, name="webhook-redeliver"),
]
