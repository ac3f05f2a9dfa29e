"""Compares WSGI servers on what Plimsoll asks of one. Backs `docs/adr/0002-wsgi-server.md`.

Measures those servers that the running interpreter can import. For the others make an environment with granian,
waitress, cheroot and django, and run it there. `plimsoll` is gunicorn as `deploy/run/server.py` configures it.
Figures of one run compare; figures of two runs do not.

    python -m bench.wsgi_servers [--megabytes 1024] [--seconds 5] [server …]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

APPLICATION = """
import http.client, os, time
import django
from django.conf import settings
settings.configure(SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.security.SecurityMiddleware"])
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
def answer(request):
    return JsonResponse({"name": "credit", "versions": list(range(20))})
urlpatterns = [path("json", answer)]
ordinary = get_wsgi_application()
PIECE = 256 * 1024
def pieces(source):
    while piece := source.read(PIECE):
        yield piece
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(2)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]
    if path == "/length":
        found = str(sum(map(len, pieces(environ["wsgi.input"])))).encode()
        start_response("200 OK", [("Content-Length", str(len(found)))])
        return [found]
    if path not in ("/up", "/down"):
        return ordinary(environ, start_response)
    upstream = http.client.HTTPConnection("127.0.0.1", int(os.environ["UPSTREAM"]), blocksize=PIECE)
    if path == "/up":
        upstream.request("PUT", "/", body=pieces(environ["wsgi.input"]),
                         headers={"Content-Length": environ["CONTENT_LENGTH"]})
    else:
        upstream.request("GET", "/")
    reply = upstream.getresponse()
    start_response("200 OK", [("Content-Length", reply.getheader("Content-Length"))])
    return pieces(reply)
"""

ROOT = Path(__file__).resolve().parent.parent
WORKERS, THREADS, CLIENTS, SLOW = 2, 16, 8, 64


def gunicorn(port: int) -> list[str]:
    return [
        *("-m", "gunicorn", "--worker-class", "gthread", "--workers", str(WORKERS), "--threads", str(THREADS)),
        *("--preload", "--keep-alive", "75", "--graceful-timeout", "4", "--bind", f"127.0.0.1:{port}"),
        *("--log-level", "error", "--no-control-socket", "application:application"),
    ]


def plimsoll(port: int) -> list[str]:
    """gunicorn as configured here."""
    return [
        *("-m", "gunicorn", "--config", "python:deploy.run.server", "--bind", f"127.0.0.1:{port}"),
        *("--log-level", "error", "application:application"),
    ]


def granian(port: int) -> list[str]:
    return [
        *("-m", "granian", "--interface", "wsgi", "--workers", str(WORKERS), "--blocking-threads", str(THREADS)),
        *("--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "error"),
        "application:application",
    ]


def waitress(port: int) -> list[str]:
    threads = str(WORKERS * THREADS)
    limits = [f"--threads={threads}", f"--max-request-body-size={1 << 32}"]
    return ["-m", "waitress", f"--listen=127.0.0.1:{port}", *limits, "application:application"]


def cheroot(port: int) -> list[str]:
    threads = str(WORKERS * THREADS)
    return [
        "-m",
        "cheroot",
        "--bind",
        f"127.0.0.1:{port}",
        "--threads",
        threads,
        "--timeout",
        "75",
        "application:application",
    ]


SERVERS: dict[str, Callable[[int], list[str]]] = {
    "gunicorn": gunicorn,
    "plimsoll": plimsoll,
    "granian": granian,
    "waitress": waitress,
    "cheroot": cheroot,
}


PACKAGE = {"plimsoll": "gunicorn"}


@dataclass
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        found, seen = [self.process.pid], 0
        while seen < len(found):
            for task in Path(f"/proc/{found[seen]}/task").glob("*/children"):
                found += [int(pid) for pid in task.read_text().split()]
            seen += 1
        return found

    def memory(self, field: str) -> float:
        """Sum over all its processes, in MB. `Pss` shares out what processes have in common, `Rss` does not."""
        total = 0
        for pid in self.pids():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
        return total / 1000


def upstream(megabytes: int) -> int:
    """A stand-in for tracking: swallows uploads, serves one large download. Returns its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    piece = os.urandom(1 << 20)

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            head = reader.readline()
            length = 0
            while (line := reader.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if head.startswith(b"GET"):
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {megabytes << 20}\r\n\r\n".encode())
                for _ in range(megabytes):
                    connection.sendall(piece)
                return
            while length > 0 and (got := reader.read(min(length, 1 << 20))):
                length -= len(got)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


def start(name: str, directory: Path, upstream_port: int) -> Server:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environ = {
        **os.environ,
        "UPSTREAM": str(upstream_port),
        "PYTHONPATH": f"{directory}:{ROOT}",
        "MALLOC_ARENA_MAX": "2",
    }
    process = subprocess.Popen(
        [sys.executable, *SERVERS[name](port)],
        env=environ,
        cwd=directory,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if get(port, "/json")[0] == 200:
                break
        except OSError:
            time.sleep(0.1)
    return Server(name, port, process)


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, reply.read()


def load(server: Server, seconds: float, clients: int) -> tuple[float, float, float]:
    """Requests per second, median and 99th percentile in ms, over keep-alive connections."""
    times: list[float] = []
    until = time.monotonic() + seconds

    def client() -> None:
        mine = []
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        while time.monotonic() < until:
            began = time.perf_counter()
            connection.request("GET", "/json")
            connection.getresponse().read()
            mine.append(time.perf_counter() - began)
        times.extend(mine[1:])

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    return len(times) / seconds, 1e3 * times[len(times) // 2], 1e3 * times[int(len(times) * 0.99)]


def pour(server: Server, megabytes: int, download: bool) -> tuple[float, float]:
    """MB/s and growth of memory in MB while one large body passes through."""
    idle, peak, done = server.memory("Pss"), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, server.memory("Pss"))

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120, blocksize=1 << 20)
    piece = bytes(1 << 20)
    if download:
        connection.request("GET", "/down")
    else:
        body: Iterator[bytes] = (piece for _ in range(megabytes))
        connection.request("PUT", "/up", body=body, headers={"Content-Length": str(megabytes << 20)})
    reply, length = connection.getresponse(), 0
    while got := reply.read(1 << 20):
        length += len(got)
    spent = time.perf_counter() - began
    done.set()
    watching.join()
    if reply.status != 200 or (download and length != megabytes << 20):
        return float("nan"), peak - idle
    return megabytes / spent, peak - idle


def chunked(server: Server) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/length", body=(bytes(10_000) for _ in range(1000)), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    return "yes" if connection.getresponse().read() == b"10000000" else "no"


def beside_slow_clients(server: Server) -> str:
    """How long an ordinary request takes while many clients trickle their heads, one byte at a time."""
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(SLOW)]
    stop = threading.Event()

    def trickle() -> None:
        for letter in b"GET /json HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 60:
            for one in slow:
                try:
                    one.send(bytes([letter]))
                except OSError:
                    continue
            if stop.wait(0.2):
                return

    trickling = threading.Thread(target=trickle)
    trickling.start()
    time.sleep(1)
    began = time.perf_counter()
    try:
        get(server.port, "/json")
        outcome = f"{1e3 * (time.perf_counter() - began):.0f} ms"
    except OSError:
        outcome = "none in 10 s"
    stop.set()
    trickling.join()
    for one in slow:
        one.close()
    return outcome


def end_with_request(server: Server) -> str:
    """Whether a request under way is answered after SIGTERM, and how long the end takes."""
    heard: list[bytes] = []

    def ask() -> None:
        try:
            heard.append(get(server.port, "/slow")[1])
        except (OSError, http.client.HTTPException):
            heard.append(b"")

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    began = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)
    asking.join()
    try:
        server.process.wait(timeout=15)
        spent = f"{time.perf_counter() - began:.1f} s"
    except subprocess.TimeoutExpired:
        spent = "not in 15 s"
    return f"{'answered' if heard == [b'done'] else 'lost'}, {spent}"


def measure(name: str, directory: Path, megabytes: int, seconds: float) -> dict[str, str]:
    server = start(name, directory, upstream(megabytes))
    try:
        row = {"idle RSS / PSS MB": f"{server.memory('Rss'):.0f} / {server.memory('Pss'):.0f}"}
        rate, middle, tail = load(server, seconds, CLIENTS)
        row[f"req/s, p50 / p99 ms ({CLIENTS} clients)"] = f"{rate:.0f}, {middle:.1f} / {tail:.1f}"
        row["keep-alive p50 ms (1 client)"] = f"{load(server, seconds / 2, 1)[1]:.2f}"
        row["chunked request body"] = chunked(server)
        for label, download in (("upload", False), ("download", True)):
            speed, growth = pour(server, megabytes, download)
            row[f"{label} {megabytes} MB: MB/s, memory growth MB"] = f"{speed:.0f}, {growth:+.0f}"
        row[f"a request beside {SLOW} slow clients"] = beside_slow_clients(server)
        row["SIGTERM with a request under way"] = end_with_request(server)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=5)
    wanted = parser.parse_args()
    installed = [name for name in wanted.servers if importlib.util.find_spec(PACKAGE.get(name, name))]
    rows = {}
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "application.py").write_text(APPLICATION)
        for name in installed:
            rows[name] = measure(name, Path(directory), wanted.megabytes, wanted.seconds)
    for label in next(iter(rows.values()), {}):
        print(f"{label:45}", *(f"{name}: {row[label]:24}" for name, row in rows.items()))


if __name__ == "__main__":
    main()
