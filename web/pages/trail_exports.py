"""Exports of the trail: take one away at once, or have a worker make a large one and fetch it later."""

import tempfile
from typing import Any, BinaryIO, Final

from django import forms
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from access import policy, reads
from audit import export, exports, queries
from audit.errors import Conflict, DomainError, Invalid, NotFound, TooMany, Unavailable
from audit.events import Action
from audit.export import VIEWS, Asked
from audit.exports import State
from audit.models import Export
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.errors import face_of
from web.pages.guard import actor_of, page
from web.pages.trail import FilterForm
from web.pages.trail_logs import LOG_WORDS

_MOST: Final = 50
_VIEWS: Final = {"": "all: CSV, OCSF and CloudEvents", "csv": "CSV only", "none": "none"}
_REFUSED: Final = (Invalid, NotFound, Unavailable, Conflict, TooMany)


class ExportForm(FilterForm):
    """What to take away: a filter, and what else the bundle holds."""

    previous_size = forms.IntegerField(
        label="Size of your last checkpoint",
        required=False,
        min_value=1,
        help_text="The bundle then proves that the log only grew since.",
        error_messages={"invalid": "Enter a whole number.", "min_value": "Enter a number from 1 on."},
    )
    disclosures = forms.ChoiceField(
        label="Personal values",
        required=False,
        choices=[("", "with those you may see"), ("false", "without")],
        error_messages={"invalid_choice": "Choose one of the two."},
    )
    views = forms.ChoiceField(
        label="Views",
        required=False,
        choices=list(_VIEWS.items()),
        error_messages={"invalid_choice": "Choose one of the views."},
    )

    def asked(self, request: HttpRequest) -> Asked:
        """What was asked for. Raises Invalid or NotFound like ``chosen``."""
        if not self.is_valid():
            raise Invalid("Something in this export cannot be read; choose it again.", code="bad_filter")
        views = self.cleaned_data["views"]
        return Asked(
            chosen=self.chosen(),
            previous_size=self.cleaned_data["previous_size"],
            disclosures=self.cleaned_data["disclosures"] != "false",
            views=VIEWS if not views else () if views == "none" else (views,),
            paths=reads.openings(actor_of(request)),
        )


@page(Action.TRAIL_EXPORT, "POST")
def take_export(request: HttpRequest) -> HttpResponseBase:
    """A small export as a file; a large one is handed to a worker. The file is written to disk first: a bundle that
    fails half-way must not look like one.
    """
    by = actor_of(request)
    policy.require_read(by, Action.TRAIL_EXPORT, TRAIL)
    form = ExportForm(request.POST)
    try:
        asked = form.asked(request)
        if export.needs_worker(asked):
            exports.ask(by=by, asked=asked)
            messages.success(request, "The export is being made; it can be downloaded here when it is done.")
            return HttpResponseRedirect(reverse("trail-exports"))
        out = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it when it is sent
        try:
            made = export.export(by=by, asked=asked, out=out)
        except BaseException:
            out.close()
            raise
    except _REFUSED as error:
        return _page(request, form, refused=error)
    out.seek(0)
    return _attached(out, asked.chosen.log, made.size, made.digest)


@page(Action.TRAIL_EXPORT)
def all_exports(request: HttpRequest) -> HttpResponse:
    """One's own exports, and the form for another."""
    policy.require_read(actor_of(request), Action.TRAIL_EXPORT, TRAIL)
    return _page(request, ExportForm(request.GET or None))


@page(Action.TRAIL_EXPORT)
def download(request: HttpRequest, export_id: str) -> HttpResponseBase:
    """The file of an export that is done; only for the account that asked."""
    policy.require_read(actor_of(request), Action.TRAIL_EXPORT, TRAIL)
    row = exports.one(actor_of(request), uuid_of(export_id))
    return _attached(exports.opened(row), row.log, row.size, row.digest or "")


def _page(request: HttpRequest, form: ExportForm, refused: DomainError | None = None) -> HttpResponse:
    status = 200
    if refused is not None:
        if not form.errors:
            form.refused(refused)
        status = int(face_of(refused).status)
    rows = list(exports.of(actor_of(request))[:_MOST])
    context = {
        "form": form,
        "rows": [_shown(row) for row in rows],
        "is_live": any(row.state in {State.QUEUED, State.RUNNING} for row in rows),
        "breadcrumb": [{"label": "Trail", "url": reverse("trail")}, {"label": "Exports"}],
        "empty": {
            "title": "No export here",
            "sentence": "A small export is downloaded at once. A large one is made by a worker, appears here with its"
            f" progress, and is kept for {exports.KEPT.days} days.",
        },
    }
    return render(request, "trail/exports.html", context, status=status)


def _shown(row: Export) -> dict[str, Any]:
    done = row.state == State.DONE
    return {
        "row": row,
        "what": _what(row),
        "word": {"queued": "waits", "running": "being made", "gone": "removed"}.get(row.state, row.state),
        "download": reverse("trail-export-download", args=[row.pk]) if done else "",
        "bytes": filesizeformat(row.bytes) if row.bytes else "",
    }


def _what(row: Export) -> str:
    """The log and the filter, in words."""
    if not row.query:
        return LOG_WORDS[row.log]
    chosen = queries.described(exports.asked_of(row).chosen)
    told = [f"{name.replace('_', ' ')} {value}" for name, value in chosen.items() if name != "log"]
    return f"{LOG_WORDS[row.log]}, {', '.join(told) or 'whole log'}"


def _attached(out: BinaryIO, log: str, size: int, digest: str) -> FileResponse:
    name = f"plimsoll-trail-{log}-{size}.zip"
    response = FileResponse(out, as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "no-store"
    response["Digest"] = f"sha-256={digest}"
    return response
