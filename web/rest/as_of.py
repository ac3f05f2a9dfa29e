"""``?as_of=<RFC 3339>`` on reads: answer as the registry was at that instant. What was there then is
``registry/queries/as_of.py``.
"""

from datetime import datetime
from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from registry.queries import as_of

AS_OF: Final = OpenApiParameter(
    "as_of",
    OpenApiTypes.DATETIME,
    description="Answer as things were at this instant (RFC 3339 with a zone, not in the future).",
)


def wanted(request: Request) -> datetime | None:
    """The instant asked for, None for now. Raises Invalid for what is none."""
    text = request.query_params.get("as_of")
    return None if text is None else as_of.instant(text)
