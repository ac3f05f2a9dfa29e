"""The stock MLflow client against our own application over HTTP, in a database of the test's own.

The whole installation, with MLflow's tracking server and a worker, is ``stack`` in tests/conftest.py; here tracking is
a stand-in, so that a test has an empty registry within a second.
"""

import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from tests.web.mlflow import standin


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _application() -> Any:
    from django.core.wsgi import get_wsgi_application
    from django.db import connections

    application = get_wsgi_application()

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        try:
            body = application(environ, start_response)
            try:
                return list(body)
            finally:
                body.close()
        finally:
            connections.close_all()  # the thread ends with the request

    return answer


@pytest.fixture
def served(fresh_database: str, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The address of our application; nothing is sent to workers."""
    from web.celery import app

    app.set_current()
    monkeypatch.setattr(app, "send_task", lambda *args, **options: None)
    tracking, behind = standin.start()
    settings.PLIMSOLL_TRACKING_URL = tracking.url
    server = make_server("127.0.0.1", 0, _application(), server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
    behind.shutdown()
    behind.server_close()


@pytest.fixture
def sign_in(served: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``sign_in(Role.…)``: a stock client with the token of a new account with these roles."""
    from mlflow import MlflowClient, set_tracking_uri

    from access import actions
    from audit.actors import SYSTEM
    from tests import factories

    def enter(*roles: Any, **more: Any) -> Any:
        _, token = actions.create_token(by=SYSTEM, user=factories.account(*roles, **more), name="test")
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        set_tracking_uri(served)
        return MlflowClient(served, served)

    yield enter
    set_tracking_uri(None)


@pytest.fixture
def open_client(sign_in: Any, settings) -> Any:  # type: ignore[no-untyped-def]
    """A data scientist's client of an installation that protects nothing."""
    from access.roles import Role

    settings.PLIMSOLL_POLICIES = "open"
    return sign_in(Role.DATA_SCIENTIST)
