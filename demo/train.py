"""What a data scientist runs: train on German Credit, log with the stock MLflow client, register two versions.

Nothing here knows Plimsoll: ``MLFLOW_TRACKING_URI`` and ``MLFLOW_TRACKING_TOKEN`` are all that changed. Run as
``python -m demo.train FOLDER``, with ``training.parquet`` and ``evaluation.parquet`` in FOLDER; prints JSON.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

MODEL = "german-credit"
LABEL = "credit_good"
# The label itself, the row's number, and the attribute that fairness is asked about are no features.
EXCLUDED = ("row_id", "credit", "sex")
NUMBERS = (
    "month",
    "credit_amount",
    "investment_as_income_percentage",
    "residence_since",
    "age",
    "number_of_credits",
    "people_liable_for",
)


def main() -> int:
    """Train and register; print what was registered."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import mlflow
    import pandas as pd

    folder = Path(sys.argv[1])
    training, evaluation = (pd.read_parquet(folder / f"{role}.parquet") for role in ("training", "evaluation"))
    mlflow.set_experiment("german-credit")
    versions = [_pipeline(mlflow, training, evaluation), _challenger(mlflow, training, evaluation)]
    json.dump({"model": MODEL, "versions": versions}, sys.stdout)
    return 0


def _pipeline(mlflow: Any, training: Any, evaluation: Any) -> dict[str, Any]:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    features = [name for name in training.columns if name not in {*EXCLUDED, LABEL}]
    words = [name for name in features if name not in NUMBERS]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        (StandardScaler(), list(NUMBERS)),
    )
    model = make_pipeline(encode, LogisticRegression(C=0.5, max_iter=1000))
    with mlflow.start_run(run_name="logistic regression") as run:
        model.fit(training[features], training[LABEL])
        return _log(mlflow, run, model, features, training, evaluation, flavour="sklearn")


def _challenger(mlflow: Any, training: Any, evaluation: Any) -> dict[str, Any]:
    from xgboost import XGBClassifier

    features = list(NUMBERS)
    model = XGBClassifier(n_estimators=60, max_depth=3, learning_rate=0.1, n_jobs=1, random_state=7)
    with mlflow.start_run(run_name="XGBoost challenger") as run:
        model.fit(training[features], training[LABEL])
        return _log(mlflow, run, model, features, training, evaluation, flavour="xgboost")


def _log(
    mlflow: Any, run: Any, model: Any, features: list[str], training: Any, evaluation: Any, *, flavour: str
) -> dict[str, Any]:
    from mlflow.models import infer_signature
    from sklearn.metrics import roc_auc_score

    accuracy = float((model.predict(evaluation[features]) == evaluation[LABEL]).mean())
    auc = float(roc_auc_score(evaluation[LABEL], model.predict_proba(evaluation[features])[:, 1]))
    mlflow.log_params({"features": len(features), "flavour": flavour})
    mlflow.log_metrics({"accuracy": accuracy, "auc": auc})
    for role, frame in (("training", training), ("evaluation", evaluation)):
        mlflow.log_input(mlflow.data.from_pandas(frame, name=f"german-credit-{role}", targets=LABEL), context=role)
    signature = infer_signature(training[features], model.predict(training[features]))
    logged = getattr(mlflow, flavour).log_model(model, name="model", signature=signature)
    version = mlflow.register_model(logged.model_uri, MODEL)
    return {"version": version.version, "run_id": run.info.run_id, "accuracy": accuracy, "auc": auc}


if __name__ == "__main__":
    sys.exit(main())
