"""Configuration of the web server (gunicorn); why it is this one: `docs/adr/0002-wsgi-server.md`.

Under the supervisor the listening socket is handed down, so that the port is held from the first moment and requests
wait while a dead server is restarted. Without a supervisor (a container) it listens on PLIMSOLL_BIND and PORT itself.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from deploy.run.environment import choices


def _listen() -> str:
    handed_down = os.environ.get("PLIMSOLL_WEB_FD")
    if handed_down:
        return f"fd://{handed_down}"
    chosen = choices(os.environ)
    address = f"[{chosen.bind}]" if ":" in chosen.bind else chosen.bind
    return f"{address}:{chosen.port}"


bind = [_listen()]
worker_class = "deploy.run.patient.PatientWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# An upload or download that passes through to tracking holds a thread for as long as it lasts.
threads = int(os.environ.get("PLIMSOLL_WEB_THREADS", "16"))
worker_connections = 1000
backlog = 512

# Django is loaded once and shared by the workers. Connections to the database open later, after the fork.
preload_app = True

# Longer than the idle time of common reverse proxies and client pools, so that we are never the one who closes first.
keepalive = 75
# A worker whose main thread stands still this long is replaced. Requests run in other threads and may take longer.
timeout = 60
graceful_timeout = 3

# The heartbeat is a file; on some disks touching it can block.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True  # it would lie in the home directory, shared by all installations

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

# Requests are logged by the application, which knows who asked and masks what must not be seen.
accesslog = None
errorlog = "-"
loglevel = "info"


def when_ready(_arbiter: object) -> None:
    """Load before the fork what Django loads at the first request: once, shared, and not while a person waits."""
    if "django" in sys.modules:
        from django.template import engines
        from django.urls import get_resolver

        engines.all()
        _ = get_resolver().url_patterns
    # keeps the garbage collector from touching, and so copying, the pages that the workers share
    gc.freeze()
