"""The web server's worker: gunicorn's threaded one, except that only a request that has arrived gets a thread.

gunicorn hands a connection to a thread at its first byte. Clients that send their request's head slowly, or never
finish it, then hold one thread each, and a few dozen of them hold the service. Here they wait in the worker's poller,
which costs a file descriptor. What is not covered: a body sent slowly holds a thread as long as it keeps moving; on the
open internet put a reverse proxy in front.
"""

from __future__ import annotations

import io
import selectors
import socket
import struct
import time
from collections import deque
from typing import Any

from gunicorn.http import body  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]

LONGEST_HEAD = (
    64 * 1024
)  # bytes to look for the end of the head in; gunicorn's own limits lie below and give the answer
HEAD_SECONDS = 20.0  # from the first byte of a head to its last
PARTING_SECONDS = 2.0  # for the client to hang up after the last answer
STEP = 64 * 1024  # bytes of a body taken from the connection at a time
MOST_STRAIGHT = 1024 * 1024  # bytes of a body that are taken in one go
STALLED_SECONDS = 60  # without a single byte, while a body is being read or an answer written

_END_OF_HEAD = b"\r\n\r\n"


class PatientWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Waits for the whole head without holding a thread, and for a client to hang up without holding the loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: passed on as they come
        super().__init__(*args, **kwargs)
        self._parting: deque[tuple[float, Any]] = deque()

    def handle(self, conn: Any) -> Any:  # Any: gunicorn's TConn, untyped
        """Serve a request, or put the connection back until more of it has arrived. Runs in a thread."""
        verdict = _look(conn)
        if verdict is _WAIT:
            return gthread._DEFER
        if verdict is _TOO_LATE:
            return False
        return super().handle(conn)

    def finish_request(self, conn: Any, outcome: Any) -> None:
        """Take a connection back from its thread. Runs in the loop."""
        if not hasattr(conn, "plimsoll_close"):
            conn.plimsoll_close = conn.close
            conn.close = lambda graceful=False: self._part(conn, graceful)
        super().finish_request(conn, outcome)

    def _part(self, conn: Any, graceful: bool) -> None:
        """Close our side, then give the client a moment to close its own, so that it receives the answer whole.

        gunicorn waits for that in the loop, up to two seconds for every client that does not hang up by itself.
        """
        try:
            if not graceful:
                raise OSError
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: self._drain(conn))
        except (OSError, ValueError, KeyError):
            conn.plimsoll_close()
            return
        self._parting.append((time.monotonic() + PARTING_SECONDS, conn))

    def _drain(self, conn: Any) -> None:
        try:
            if conn.sock.recv(STEP):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._part_for_good(conn)

    def _part_for_good(self, conn: Any) -> None:
        if conn.sock.fileno() >= 0:
            self.poller.unregister(conn.sock)
            conn.plimsoll_close()

    def murder_keepalived(self) -> None:
        """Close idle connections that have waited too long; when we are ending, all of them. Runs in the loop."""
        if not self.alive:
            for conn in (*self.keepalived_conns, *self.pending_conns):
                conn.timeout = 0.0
        super().murder_keepalived()

    def murder_pending(self) -> None:
        """Close what has waited too long. Runs in the loop, at least once a second."""
        super().murder_pending()
        while self._parting and self._parting[0][0] <= time.monotonic():
            self._part_for_good(self._parting.popleft()[1])

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
        if (straight := self._straight(wanted)) is not None:
            return straight
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

    def _straight(self, wanted: int) -> bytes | None:
        """`wanted` bytes from the connection without a copy in between, None where that does not apply.

        It applies to a body of known length, once nothing of it is left from reading the head.
        """
        reader = self.reader
        if not isinstance(reader, body.LengthReader) or self.buf.tell() or reader.unreader.buf.tell():
            return None
        connection = getattr(reader.unreader, "sock", None)
        if type(connection) is not socket.socket or not 0 < wanted <= min(reader.length, MOST_STRAIGHT):
            return None
        pieces: list[bytes] = []
        while wanted and (piece := connection.recv(wanted, socket.MSG_WAITALL)):
            pieces.append(piece)
            wanted -= len(piece)
            reader.length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


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
