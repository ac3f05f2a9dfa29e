"""Addresses that the design fixes and a later step builds: they say so, with 501, instead of pretending."""

from django.http import HttpRequest, HttpResponse

from audit.errors import NotBuilt
from web.routes import OPEN, route


@route(OPEN)
def view(request: HttpRequest) -> HttpResponse:
    """Always refuses."""
    raise NotBuilt("This address is reserved and not built yet.")
