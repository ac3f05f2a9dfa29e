"""One POST to somebody else's server, to exactly the address that was checked.

No proxy, no redirect, no cookie, no retry; the TLS certificate is verified against the host's name; connecting, sending
and reading share one time limit, and of the answer's body only the beginning is read.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from audit.errors import DomainError
from registry import addresses
from registry.addresses import Address, Resolver, Target

MOST_RESPONSE: Final = 1024
_MOST_WORDS: Final = 200


@dataclass(frozen=True)
class Answer:
    """How a POST went. ``status`` is None when no answer came; then ``error`` says why. ``response`` is the beginning
    of the body as text; ``retry_after`` the header's words.
    """

    status: int | None
    error: str = ""
    response: str = ""
    retry_after: str = ""
    milliseconds: int = 0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    resolver: Resolver = addresses.looked_up,
) -> Answer:
    """Send ``body``, and how it was answered. Never raises for what the other side does."""
    began = time.monotonic()
    try:
        target = addresses.parsed(url)
        found = _Connection(target, addresses.judged(target, resolver), seconds).post(body, headers)
    except DomainError as error:
        found = Answer(None, error=error.sentence)
    spent = int((time.monotonic() - began) * 1000)
    return Answer(found.status, found.error[:_MOST_WORDS], found.response, found.retry_after, spent)


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificate authorities; ``SSL_CERT_FILE`` names others."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Connection(http.client.HTTPConnection):
    """A connection to the first of some addresses that takes it, under the name of the host, until its time is over."""

    def __init__(self, target: Target, judged: Sequence[Address], seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._target, self._judged, self._seconds = target, judged, seconds
        self._late = False

    def connect(self) -> None:
        self.sock = self._reached()
        if self._late:  # the time ended while there was nothing yet to end
            raise TimeoutError
        self.sock.settimeout(self._seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._target.scheme == "https":
            name = self._target.host.rstrip(".")
            wrapped = _trust().wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
            self.sock = wrapped
            wrapped.do_handshake()

    def _reached(self) -> socket.socket:
        """A host is often on IPv6 by name and on IPv4 in truth: each address has its share of the time."""
        *others, last = self._judged
        share = self._seconds / len(self._judged)
        for address in others:
            with suppress(OSError):
                return socket.create_connection((str(address), self._target.port), share)
        return socket.create_connection((str(last), self._target.port), share)

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        # A timeout of a socket counts from byte to byte; who answers one byte at a time would hold us for ever.
        timer = threading.Timer(self._seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            return self._post(body, headers)
        except ssl.SSLCertVerificationError as error:
            return Answer(
                None, error=f"The certificate of {self._target.host} is not accepted: {error.verify_message}."
            )
        except (TimeoutError, OSError, http.client.HTTPException, ValueError) as error:
            return Answer(None, error=self._words(error))
        finally:
            timer.cancel()
            self.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        sent = {"Host": self._target.authority, "User-Agent": "plimsoll", "Connection": "close", **headers}
        self.request("POST", self._target.path, body=body, headers=sent)
        answer = self.getresponse()
        begun = answer.read(MOST_RESPONSE)
        if self._late:
            raise TimeoutError
        return Answer(
            answer.status,
            response=begun.decode("utf-8", errors="replace").replace("\x00", "\ufffd"),
            retry_after=answer.headers.get("Retry-After", "")[:_MOST_WORDS],
        )

    def _end(self) -> None:
        self._late = True
        if self.sock is not None:
            with suppress(OSError):  # it ended by itself this moment
                self.sock.shutdown(socket.SHUT_RDWR)

    def _words(self, error: Exception) -> str:
        host = self._target.host
        if self._late or isinstance(error, TimeoutError):
            return f"{host} did not answer within {self._seconds:g} s."
        if isinstance(error, ConnectionRefusedError):
            return f"{host} refuses the connection."
        return f"{host} did not answer as a web server does ({type(error).__name__})."
