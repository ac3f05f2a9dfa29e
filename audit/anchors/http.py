"""One HTTP request to somebody else's server: no redirects, no retries, a bounded time and a bounded answer."""

import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audit.anchors.base import AnchorError

if TYPE_CHECKING:
    import urllib3

MOST_BYTES = 64 * 1024
SECONDS = 10.0
_STEP = 5.0  # the longest silence


@dataclass(frozen=True)
class Answer:
    """Status, media type without parameters, and at most MOST_BYTES of body."""

    status: int
    media_type: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")


@cache
def _pool() -> "urllib3.PoolManager":
    import urllib3  # noqa: PLC0415 - a tenth of a second that every command would pay, for the one process that calls

    return urllib3.PoolManager(
        num_pools=8, maxsize=2, timeout=urllib3.Timeout(connect=_STEP, read=_STEP), retries=False
    )


def call(method: str, url: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Raises AnchorError when the server does not answer in time, or says more than it should."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see _pool

    host = urlsplit(url).hostname
    until = time.monotonic() + SECONDS
    sent = {"User-Agent": "plimsoll", **(headers or {})}
    try:
        answer = _pool().request(method, url, body=body, headers=sent, redirect=False, preload_content=False)
        try:
            content = b""
            for block in answer.stream(4096, decode_content=False):
                content += block
                if len(content) > MOST_BYTES:
                    raise AnchorError(f"{host} answered with more than {MOST_BYTES} bytes.")
                if time.monotonic() > until:
                    raise AnchorError(f"{host} took longer than {SECONDS:.0f} s to answer.")
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
    except (HTTPError, OSError) as error:
        raise AnchorError(f"{host} does not answer ({type(error).__name__}).") from None
    return Answer(answer.status, answer.headers.get("Content-Type", "").partition(";")[0].strip().lower(), content)
