"""Exports of the trail: take one away."""

import tempfile

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from access import policy
from audit import export
from audit.errors import Invalid, NotFound, Unavailable
from audit.events import Action
from audit.subjects import TRAIL
from web.pages.guard import actor_of, page
from web.pages.trail import FilterForm, search_page


@page(Action.TRAIL_EXPORT, "POST")
def take_export(request: HttpRequest) -> HttpResponseBase:
    """The export as a file. It is written to disk first: a bundle that fails half-way must not look like one."""
    form = FilterForm(request.POST)
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it when it is sent
    try:
        if not form.is_valid():
            raise Invalid("The filter of this export cannot be read; choose it again.", code="bad_filter")
        made = export.export(by=actor_of(request), chosen=form.chosen(), out=out)
    except (Invalid, NotFound, Unavailable) as error:
        out.close()
        policy.require_read(actor_of(request), Action.TRAIL_VIEW, TRAIL)
        return search_page(request, form, refused=error)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    name = f"plimsoll-trail-{form.cleaned_data['log'] or 'admin'}-{made.size}.zip"
    response = FileResponse(out, as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "no-store"
    response["Digest"] = f"sha-256={made.digest}"
    return response
