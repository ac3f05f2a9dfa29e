"""Read the request, run the one task it names, write the answer. Which tasks exist, and nothing about how they work."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

REQUEST = Path("/job/request.json")
ANSWER = Path("/job/answer")
INPUTS = Path("/job/in")

# Libraries read these on import: write only to the scratch directory, look for no network.
LIBRARY_SETTINGS = {
    "NUMBA_CACHE_DIR": "/tmp/numba",  # noqa: S108 — the sandbox's own in-memory directory
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108 — same
    "MLFLOW_TRACKING_URI": "file:///tmp/mlruns",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    # The sandbox is what makes loading acceptable. This flag would refuse honest models and stop no hostile one.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",
    "LOKY_MAX_CPU_COUNT": "1",  # or joblib starts a program to count cores, which the filter refuses
}

# Heavy libraries are imported by the task that needs them: a linear model's report should not wait for numba to load.


def probe(request: dict[str, Any]) -> None:
    ANSWER.write_bytes(b"ok")


def predict(request: dict[str, Any]) -> None:
    from .predict import write_predictions  # noqa: PLC0415 — see above

    write_predictions(request, INPUTS, ANSWER)


def explain(request: dict[str, Any]) -> None:
    from .shap_report import write_explanation  # noqa: PLC0415 — see above

    write_explanation(request, INPUTS, ANSWER)


TASKS: dict[str, Callable[[dict[str, Any]], None]] = {"probe": probe, "predict": predict, "explain": explain}


def main() -> None:
    os.environ.update(LIBRARY_SETTINGS)
    request = json.loads(REQUEST.read_text(encoding="utf-8"))
    TASKS[request["task"]](request)


if __name__ == "__main__":
    main()
