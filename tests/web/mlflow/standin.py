"""A stand-in for the tracking server: a real HTTP server that knows two runs and a logged model, and keeps what it was
asked. MLflow's own server is used in tests/integration/.
"""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

RUN = "a" * 32
OTHER_RUN = "b" * 32
MODEL = "m-" + "c" * 32
RUN_ROOT = f"mlflow-artifacts:/1/{RUN}/artifacts"
FILES = f"runs:/{RUN}/files"
MODEL_ROOT = f"mlflow-artifacts:/1/models/{MODEL}/artifacts"


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Tracking:
    """The server's address and everything it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)  # of the logged model
    redirecting: bool = False
    login: str = ""


def start() -> tuple[Tracking, ThreadingHTTPServer]:
    """Serve on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    tracking = Tracking(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.tracking = tracking  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return tracking, server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _any(self) -> None:
        tracking: Tracking = self.server.tracking  # type: ignore[attr-defined]
        tracking.asked.append(Asked(self.command, self.path, dict(self.headers), self._body()))
        if tracking.redirecting:
            self._send(302, b"", {"Location": "http://192.0.2.1/"})
            return
        if tracking.login != self.headers.get("Authorization", ""):
            self._send(401, b"{}", {"WWW-Authenticate": "Basic"})
            return
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        found = self._known(unquote(split.path), query)
        status, answer = (200, found) if found is not None else (404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json", "Set-Cookie": "sly=1"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def _known(self, path: str, query: dict[str, str]) -> dict | None:
        if path == "/api/2.0/mlflow/runs/get":
            roots = {RUN: RUN_ROOT, OTHER_RUN: f"mlflow-artifacts:/1/{OTHER_RUN}/artifacts"}
            run = query["run_id"]
            outputs = {"model_outputs": [{"model_id": MODEL}]} if run == RUN else {}
            return {"run": {"info": {"artifact_uri": roots[run]}, "outputs": outputs}} if run in roots else None
        if path.startswith("/api/2.0/mlflow/logged-models/m-"):
            return self._logged_model() if path.split("/")[5] == MODEL else None
        if path == "/api/2.0/mlflow-artifacts/artifacts":
            in_run = query["path"] == f"1/{RUN}/artifacts/files"
            above = [{"path": RUN, "is_dir": True}] if query["path"] == "1" else []
            return {"files": [{"path": "MLmodel", "file_size": "7"}] if in_run else above}
        if path == "/graphql":
            return {"data": {"mlflowGetRun": {"run": {"info": {"runName": "r"}, "v": {"plimsollRun": RUN}}}}}
        return {"echo": path}

    def _logged_model(self) -> dict:
        tracking: Tracking = self.server.tracking  # type: ignore[attr-defined]
        if self.command == "PATCH":
            tracking.tags.update({tag["key"]: tag["value"] for tag in json.loads(tracking.asked[-1].body)["tags"]})
        tags = [{"key": key, "value": value} for key, value in tracking.tags.items()]
        info = {"name": "model", "artifact_uri": MODEL_ROOT, "source_run_id": RUN, "tags": tags}
        return {"model": {"info": info}}

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
