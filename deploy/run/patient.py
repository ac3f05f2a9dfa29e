"""The web server's worker: gunicorn's threaded one, except that only a request that has arrived gets a thread.

gunicorn hands a connection to a thread at its first byte. Clients that send their request's head slowly, or never
finish it, then hold one thread each, and a few dozen of them hold the service. Here they wait in the worker's poller,
which costs a file descriptor. What is not covered: a body sent slowly holds a thread as long as it keeps moving; on the
open internet put a reverse proxy in front.
"""

from __future__ import annotations

import io
import socket
import struct
import time
from typing import Any

from gunicorn.http import body  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]

LONGEST_HEAD = (
    64 * 1024
)  # bytes to look for the end of the head in; gunicorn's own limits lie below and give the answer
HEAD_SECONDS = 20.0  # from the first byte of a head to its last
STEP = 64 * 1024  # bytes of a body taken from the connection at a time
STALLED_SECONDS = 60  # without a single byte, while a body is being read or an answer written

_END_OF_HEAD = b"\r\n\r\n"


class PatientWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Waits for the whole head without holding a thread."""

    def handle(self, conn: Any) -> Any:  # Any: gunicorn's TConn, untyped
        """Serve a request, or put the connection back until more of it has arrived. Runs in a thread."""
        verdict = _look(conn)
        if verdict is _WAIT:
            return gthread._DEFER
        if verdict is _TOO_LATE:
            return False
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:  # Any: gunicorn's own types, untyped
        """Serve one request with a body that is read in large steps."""
        if req.body is not None:
            req.body = SteadyBody(req.body.reader)
        conn.parser.unreader.mxchunk = STEP
        return super().handle_request(req, conn)


class SteadyBody(body.Body):  # type: ignore[misc]  # gunicorn has no types
    """The body of a request. gunicorn puts it together from pieces of 1 KB, which makes a large upload slow."""

    buf: io.BytesIO

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        wanted = self.getsize(size)
        pieces = [self.buf.getvalue()]
        have = len(pieces[0])
        while have < wanted:
            piece = self.reader.read(min(STEP, wanted - have))
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        whole = b"".join(pieces)
        self.buf = io.BytesIO()
        self.buf.write(whole[wanted:])
        return whole[:wanted]


_GO, _WAIT, _TOO_LATE = object(), object(), object()


def _look(conn: Any) -> object:
    """Whether the head of the next request has arrived. Takes nothing off the connection."""
    if getattr(conn, "is_http2", False) or _has_leftovers(conn):
        return _GO
    try:
        seen = conn.sock.recv(LONGEST_HEAD, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return _WAIT  # nothing yet; gunicorn would hold a thread for up to five seconds to see whether something comes
    except OSError:
        return _GO  # broken: gunicorn knows what to do
    if not seen or _END_OF_HEAD in seen or len(seen) >= LONGEST_HEAD or not _grown(conn, len(seen)):
        return _ready(conn)
    return _set_aside(conn, len(seen))


def _has_leftovers(conn: Any) -> bool:
    """Whether bytes of the next request were already read together with the last one (pipelining)."""
    return conn.parser is not None and conn.parser.unreader.buf.tell() > 0


def _grown(conn: Any, length: int) -> bool:
    """Whether more has come since the last look. If not, the client has closed its side and no more will come."""
    before, conn.plimsoll_seen = getattr(conn, "plimsoll_seen", 0), length
    return length > before


def _ready(conn: Any) -> object:
    conn.plimsoll_seen = 0
    conn.plimsoll_deadline = None
    _wake_at(conn.sock, 1)
    limit = struct.pack("ll", STALLED_SECONDS, 0)
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    conn.data_ready = True
    return _GO


def _set_aside(conn: Any, length: int) -> object:
    now = time.monotonic()
    deadline = getattr(conn, "plimsoll_deadline", None) or now + HEAD_SECONDS
    conn.plimsoll_deadline = deadline
    if now > deadline:
        return _TOO_LATE
    # Otherwise the poller would report the bytes that are already there, again and again.
    return _WAIT if _wake_at(conn.sock, length + 1) else _GO


def _wake_at(sock: socket.socket, length: int) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, length)
    except OSError:
        return False
    return True
