"""What a browser says of where a request comes from, and what follows from it for MLflow's own pages under /mlflow/.

MLflow's pages send no form token, so a write that rests on a session's cookie is let through on other evidence. It must
go to an address under /mlflow/, and the browser must say that it comes from a page of this very site: by
``Sec-Fetch-Site: same-origin``, which no page can forge or leave out, or, in a browser too old for that header, by an
``Origin`` that is ours. A request with neither is refused, and so is one whose two headers disagree. The cookie is
SameSite=Lax besides, so another site's POST does not carry it. Clients with a token or Basic need none of this: no
other site can make a browser send those.

The other direction: files in a run are other people's. They are handed out for reading and saving, never to be run as
a script, style sheet, worker or frame of one of our pages, where they would act for whoever is signed in.
"""

from typing import Final

from django.conf import settings
from django.http import HttpRequest

from audit.errors import Denied

UI: Final = "/mlflow"
# Destinations in which a file is only read or shown: fetch(), a saved or opened document, pictures and sound.
_SHOWN: Final = frozenset({"", "empty", "document", "image", "audio", "video"})


def is_own_page(request: HttpRequest) -> bool:
    """Whether the browser says that a page of this site sends this, to an address of MLflow's pages."""
    if not request.path_info.startswith(f"{UI}/"):
        return False
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site not in {None, "same-origin"} or (site is None and origin is None):
        return False
    ours = {f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS}
    return origin is None or origin in ours


def check_shown(request: HttpRequest) -> None:
    """Raises Denied when a browser asks for a file in order to run it as a part of a page."""
    if request.headers.get("Sec-Fetch-Dest", "") not in _SHOWN:
        raise Denied(
            "Files of a run are handed out for reading only, not as a script, style or frame of a page.",
            code="not_embeddable",
        )
