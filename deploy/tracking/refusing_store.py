"""A model registry for the tracking process that refuses everything.

Registered models live in Plimsoll, behind its login and its policy. If a registry request ever reached MLflow by a
path that the proxy missed (GraphQL included), it must fail, and not read or write a second, ungoverned registry.
"""

from __future__ import annotations

import inspect
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.model_registry.abstract_store import AbstractStore

SENTENCE = "The model registry is not served here. Use the address that Plimsoll gives to MLflow clients."


def _refuse(*_args: Any, **_kwargs: Any) -> Any:  # Any: stands in for methods of every signature
    raise MlflowException(SENTENCE, error_code=PERMISSION_DENIED)


def _operations() -> dict[str, Any]:
    """One refusal per public operation that MLflow knows, so that a new release cannot bring one that slips through."""
    public = inspect.getmembers(AbstractStore, inspect.isfunction)
    return {name: _refuse for name, _ in public if not name.startswith("_")}


# Named as a class because MLflow calls it with the store's address and keeps the result.
RefusingStore = type("RefusingStore", (AbstractStore,), {**_operations(), "__module__": __name__, "__doc__": __doc__})
