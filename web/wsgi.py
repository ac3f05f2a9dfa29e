"""The WSGI entry point."""

import codecs
import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Django, protected from a charset that is no text encoding: it would decode the address with it, and fail before
    any of our code could answer. Under a name nobody knows the middleware refuses it in our words.
    """
    kind, parameters = parse_header_parameters(environ.get("CONTENT_TYPE", ""))
    if "charset" in parameters and not _is_text_encoding(parameters["charset"]):
        environ["CONTENT_TYPE"] = f"{kind}; charset=unknown"
    return _django(environ, start_response)


def _is_text_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
        "a".encode(name).decode(name)
    except (LookupError, ValueError, TypeError):
        return False
    return True
