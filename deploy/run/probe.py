"""Asks a process of ours whether it can serve, without ever waiting for it."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

PAUSE = 0.15  # seconds between two questions


class Probe:
    """Asks `GET path` on a listening socket of ours, one question at a time.

    The socket listens before its process runs, so a question asked early is simply answered late.
    """

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self._address = address
        self._path = path
        self._asking: socket.socket | None = None
        self._heard = b""
        self._next = 0.0
        self.answer = ""
        """The first line of the last reply, for the sentence when it never becomes 200."""

    def succeeds(self) -> bool:
        """Whether an answer of 200 has arrived. Returns at once."""
        try:
            if self._asking is None:
                self._ask()
                return False
            return self._listen()
        except BlockingIOError:
            return False
        except OSError as error:
            self.answer = str(error)
            self._give_up()
            return False

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def _ask(self) -> None:
        if time.monotonic() < self._next:
            return
        host, port = self._address
        self._heard = b""
        # The connection is accepted by the kernel, from the listening socket's queue; this does not wait for a process.
        self._asking = socket.create_connection((host, port), timeout=0.2)
        shown = f"[{host}]" if ":" in host else host
        request = f"GET {self._path} HTTP/1.1\r\nHost: {shown}:{port}\r\nConnection: close\r\n\r\n"
        self._asking.sendall(request.encode("ascii"))
        self._asking.setblocking(False)

    def _listen(self) -> bool:
        heard = self._asking.recv(65536) if self._asking else b""
        self._heard += heard
        if heard and b"\r\n" not in self._heard:
            return False
        self.answer = self._heard.split(b"\r\n", 1)[0].decode("latin-1")
        self._give_up()
        return self.answer.split()[1:2] == ["200"]

    def _give_up(self) -> None:
        with suppress(OSError):
            self.close()
        self._asking = None
        self._next = time.monotonic() + PAUSE
