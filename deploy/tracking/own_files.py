"""Files on this machine that MLflow's server may open: those of its own artifact store, and nothing else.

Whoever makes an experiment names the place for its artifacts, and MLflow's server takes a path on its own machine for
one. It would then list, hand out and write files there with the rights of this service, whose keys lie on that disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

SENTENCE = "This server opens no files outside its artifact store. Let the experiment keep its artifacts there."


def confine(root: Path) -> None:
    """From here on, a repository of local files is one below ``root``, or an error."""
    allowed = root.resolve()

    def below_root(artifact_uri: str, *arguments: Any, **named: Any) -> LocalArtifactRepository:  # Any: passed on
        found = LocalArtifactRepository(artifact_uri, *arguments, **named)
        if not Path(found.artifact_dir).resolve().is_relative_to(allowed):
            raise MlflowException(SENTENCE, error_code=PERMISSION_DENIED)
        return found

    for scheme in ("", "file"):
        _artifact_repository_registry.register(scheme, below_root)  # type: ignore[no-untyped-call]
