"""The MLflow tracking server, in one process.

`mlflow server` starts a parent that only waits (as large as the server itself) and a worker. This program does what
both do, once: bring the tracking schema up to date, then serve MLflow's own application on the socket that the
supervisor handed down. Nothing else of Plimsoll may import mlflow's server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from pathlib import Path

# Any scheme that no store but our refusing one answers to. See deploy/tracking/.
NO_REGISTRY = "plimsoll://registry-lives-elsewhere"
ARTIFACT_ROOT = "mlflow-artifacts:/"

# What `mlflow server` passes to its workers. The names are MLflow's own and private (mlflow.server.constants); the
# version is pinned and a test compares them.
STORE = "_MLFLOW_SERVER_FILE_STORE"
REGISTRY = "_MLFLOW_SERVER_REGISTRY_STORE"
ARTIFACTS = "_MLFLOW_SERVER_ARTIFACT_ROOT"
DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
SERVE_ARTIFACTS = "_MLFLOW_SERVER_SERVE_ARTIFACTS"


def server_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What MLflow reads when its server is imported. Takes TRACKING_STORE_URL and PLIMSOLL_TRACKING_FILES."""
    return {
        STORE: environ["TRACKING_STORE_URL"],
        REGISTRY: NO_REGISTRY,
        ARTIFACTS: ARTIFACT_ROOT,
        DESTINATION: Path(environ["PLIMSOLL_TRACKING_FILES"]).as_uri(),
        SERVE_ARTIFACTS: "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_WORKSPACES": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Only the application beside us speaks to this port; a page in a browser on this machine must not.
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1,127.0.0.1:*",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "4",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "6",
    }


def settle(environ: MutableMapping[str, str]) -> None:
    """Replace whatever the surroundings say about MLflow by what this server needs."""
    settled = server_environ(environ)
    for name in [name for name in environ if name.startswith(("MLFLOW_", "_MLFLOW_"))]:
        del environ[name]
    environ.update(settled)


def handed_down(environ: Mapping[str, str]) -> socket.socket:
    """The listening socket. Without TCP_NODELAY a reply in two parts waits 40 ms for the client's acknowledgement."""
    listening = socket.socket(fileno=int(environ["PLIMSOLL_TRACKING_FD"]))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def main() -> None:
    """`python -m deploy.run.tracking`."""
    settle(os.environ)
    listening = handed_down(os.environ)
    Path(os.environ["PLIMSOLL_TRACKING_FILES"]).mkdir(parents=True, exist_ok=True)

    # MLflow looks for its server's module among those loaded, so uvicorn comes first.
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    from deploy.tracking import own_files

    own_files.confine(Path(os.environ["PLIMSOLL_TRACKING_FILES"]))
    # Applies MLflow's own migrations where needed; readiness follows, because serving starts after it.
    initialize_backend_stores(os.environ[STORE], NO_REGISTRY, ARTIFACT_ROOT)
    configuration = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        # longer than the proxy keeps an idle connection, so that it never writes to one that we just closed
        timeout_keep_alive=120,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    uvicorn.Server(configuration).run(sockets=[listening])


if __name__ == "__main__":
    main()
