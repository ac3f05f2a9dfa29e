"""Real MLflow models through the real sandbox: predictions, explanations, refusals, and a model that attacks."""

import hashlib
import json
import socket
import warnings
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from explain import engine, sampling
from explain.child.load import describe, load_with_columns
from explain.child.refusal import RefusalError
from explain.sandbox import SandboxError

GERMAN = Path(__file__).resolve().parents[2] / "demo" / "data" / "german.parquet"

CATEGORIES = ["status", "credit_history", "purpose"]
NUMBERS = ["month", "credit_amount", "age"]
RULES: dict[str, dict[str, Any]] = {"sex": {"op": "in", "value": ["male"]}, "age": {"op": ">", "value": 25}}


@pytest.fixture(scope="module")
def models(german: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """linear: a pipeline with a signature. booster: xgboost without one."""
    root = tmp_path_factory.mktemp("models")
    rows = german[CATEGORIES + NUMBERS]
    transform = ColumnTransformer([("c", OneHotEncoder(), CATEGORIES), ("n", StandardScaler(), NUMBERS)])
    linear = Pipeline([("transform", transform), ("decide", LogisticRegression(max_iter=1000))]).fit(
        rows, german["credit"]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow on integer columns and missing values
        mlflow.sklearn.save_model(
            linear,
            root / "linear",
            signature=mlflow.models.infer_signature(rows, linear.predict(rows)),
            pip_requirements=[],
        )
        booster = xgboost.XGBClassifier(n_estimators=10, max_depth=3).fit(german[NUMBERS], german["credit_good"])
        mlflow.xgboost.save_model(booster, root / "booster", pip_requirements=[])
    booster.save_model(root / "booster.json")
    return root


def load_linear(models: Path) -> Pipeline:
    return mlflow.sklearn.load_model(str(models / "linear"))


def test_predictions_are_the_model_s_own(models: Path, german: pd.DataFrame, tmp_path: Path) -> None:
    info = engine.run_predictions(
        model_dir=models / "linear", data_path=GERMAN, label="credit", favourable=1, out_path=tmp_path / "p.arrow"
    )
    assert (info.rows, info.has_scores, info.flavour, info.tier) == (1000, True, "sklearn", "B")
    assert info.features == CATEGORIES + NUMBERS
    found = pa.ipc.open_file(tmp_path / "p.arrow").read_all()
    linear = load_linear(models)
    assert found["prediction"].to_pylist() == linear.predict(german).tolist()
    np.testing.assert_allclose(found["score"].to_numpy(), linear.predict_proba(german)[:, 0], rtol=1e-12)


@pytest.fixture(scope="module")
def split(german: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """150 background rows (more than shap would keep) and 850 to explain."""
    root = tmp_path_factory.mktemp("split")
    german.head(150).to_parquet(root / "background.parquet")
    german.tail(850).to_parquet(root / "rows.parquet")
    return root / "background.parquet", root / "rows.parquet"


def explain(models: Path, split: tuple[Path, Path], **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model_dir": models / "linear",
        "background_path": split[0],
        "rows_path": split[1],
        "features": CATEGORIES + NUMBERS,
        "favourable": 1,
        "n_background": 150,
        "groups": RULES,
        "seed": 11,
        "cross_check": False,
    }
    return engine.run_explanation(**{**arguments, **changes})


def coefficient_values(models: Path, rows: pd.DataFrame, background: pd.DataFrame) -> pd.DataFrame:
    """φ of the log-odds of class 1, by hand: −coefficient × (value − mean), a category counting as its coefficient."""
    linear = load_linear(models)
    encoder, scaler = (linear["transform"].named_transformers_[name] for name in "cn")
    coefficients = iter(linear["decide"].coef_[0])
    found = {}
    for name, categories in zip(CATEGORIES, encoder.categories_, strict=True):
        points = {category: next(coefficients) for category in categories}
        found[name] = background[name].map(points).mean() - rows[name].map(points)
    for name, scale in zip(NUMBERS, scaler.scale_, strict=True):
        found[name] = -next(coefficients) / scale * (rows[name] - background[name].mean())
    return pd.DataFrame(found)


def test_a_linear_report_holds_the_values_computed_by_hand(
    models: Path, german: pd.DataFrame, split: tuple[Path, Path]
) -> None:
    report = explain(models, split, cross_check=True)
    rows, background = german.tail(850), german.head(150)
    expected = coefficient_values(models, rows, background)
    assert (report["status"], report["method"], report["output_space"]) == ("OK", "linear", "log-odds")
    assert (report["rows"], report["background_rows"], report["seed"]) == (850, 150, 11)
    assert {feature["name"] for feature in report["features"]} == set(expected.columns)
    assert [f["mean_abs"] for f in report["features"]] == sorted(
        (f["mean_abs"] for f in report["features"]), reverse=True
    )
    for feature in report["features"]:
        values = expected[feature["name"]]
        assert feature["mean_abs"] == pytest.approx(values.abs().mean(), rel=1e-8)
        assert feature["mean"] == pytest.approx(values.mean(), rel=1e-6)
        half = 1.959963984540054 * values.abs().std() / np.sqrt(850)
        assert feature["high"] - feature["mean_abs"] == pytest.approx(half, rel=1e-6)
        men = values[rows["sex"] == "male"]
        assert feature["by_group"]["sex"]["privileged"]["rows"] == len(men)
        assert feature["by_group"]["sex"]["privileged"]["mean_abs"] == pytest.approx(men.abs().mean(), rel=1e-8)
        young = values[rows["age"] <= 25]
        assert feature["by_group"]["age"]["unprivileged"]["mean_abs"] == pytest.approx(young.abs().mean(), rel=1e-8)
    assert report["base_value"] == pytest.approx(-load_linear(models).decision_function(background).mean(), rel=1e-8)
    assert report["additivity_error"] < 1e-12
    assert report["cross_check"]["engine"] == "shap.LinearExplainer"
    assert report["cross_check"]["max_difference"] < 1e-12
    assert report["versions"]["shap"] == "0.51.0"
    assert report["background_digest"] == digest_by_hand(background, report["features"])


def digest_by_hand(background: pd.DataFrame, features: list[dict[str, Any]]) -> str:
    columns = CATEGORIES + NUMBERS
    kinds = dict(zip(background.columns, pa.Schema.from_pandas(background, preserve_index=False).types, strict=True))
    lines = [[[name, str(kinds[name])] for name in columns], *background[columns].to_numpy(dtype=object).tolist()]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    assert {feature["name"] for feature in features} == set(columns)
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_xgboost_model_is_read_as_data_and_gives_the_same_bytes_twice(
    models: Path, german: pd.DataFrame, tmp_path: Path
) -> None:
    info = engine.run_predictions(
        model_dir=models / "booster", data_path=GERMAN, label="credit_good", favourable=1, out_path=tmp_path / "p.arrow"
    )
    assert (info.tier, info.features) == ("A", NUMBERS)  # no signature: the names the booster was trained with
    booster = xgboost.Booster(model_file=models / "booster.json")
    matrix = xgboost.DMatrix(german[NUMBERS])
    scores = pa.ipc.open_file(tmp_path / "p.arrow").read_all()["score"].to_numpy()
    np.testing.assert_allclose(scores, booster.predict(matrix), rtol=1e-6)
    report = explain(models, (GERMAN, GERMAN), model_dir=models / "booster", features=info.features)
    expected = np.abs(booster.predict(matrix, pred_contribs=True)).mean(axis=0)
    assert (report["status"], report["method"]) == ("OK", "xgboost-native")
    assert {f["name"]: f["mean_abs"] for f in report["features"]} == pytest.approx(
        dict(zip(NUMBERS, expected[:-1].tolist(), strict=True)), rel=1e-5
    )
    assert report["base_check"]["applies"] is False
    again = explain(models, (GERMAN, GERMAN), model_dir=models / "booster", features=info.features)
    assert json.dumps(again) == json.dumps(report)


def test_missing_columns_are_named(models: Path, german: pd.DataFrame, tmp_path: Path) -> None:
    data = tmp_path / "rows.parquet"
    german.drop(columns=["month", "age"]).to_parquet(data)
    with pytest.raises(SandboxError) as caught:
        engine.run_predictions(
            model_dir=models / "linear", data_path=data, label="credit", favourable=1, out_path=tmp_path / "p"
        )
    assert (caught.value.code, caught.value.sentence) == (
        "refused",
        "The data lacks columns the model needs: month, age.",
    )
    failed = engine.failed_explanation(caught.value, favourable=1, seed=0)
    assert (failed["status"], failed["code"], failed["reason"]) == ("ERROR", "refused", caught.value.sentence)


def test_what_is_no_model_and_no_data_is_told_in_a_sentence(models: Path, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="The artifact has no MLmodel file"):
        explain(tmp_path, (GERMAN, GERMAN), model_dir=tmp_path)
    (tmp_path / "MLmodel").write_text("flavors: {keras: {}}")
    with pytest.raises(RefusalError, match="No flavour of this model can be explained here: keras"):
        load_with_columns(tmp_path, available=["x"], otherwise=["x"])
    (tmp_path / "MLmodel").write_text("flavors: [")
    with pytest.raises(RefusalError, match="The MLmodel file cannot be read"):
        describe(tmp_path)
    with pytest.raises(engine.RowsError, match="cannot be read as a Parquet file"):
        explain(models, (tmp_path / "MLmodel", GERMAN))
    with pytest.raises(engine.RowsError, match="lacks the columns no_such"):
        explain(models, (GERMAN, GERMAN), features=["no_such"])
    with pytest.raises(engine.RowsError, match="rule of a protected attribute cannot be read"):
        explain(models, (GERMAN, GERMAN), groups={"sex": {"op": "like", "value": "m"}})
    with pytest.raises(engine.RowsError, match="does not fit its column"):
        explain(models, (GERMAN, GERMAN), groups={"sex": {"op": ">", "value": 3}})


def test_the_label_stays_outside(tmp_path: Path) -> None:
    sampling.without(GERMAN, tmp_path / "projected.parquet", label="credit")
    assert "credit" not in pq.read_schema(tmp_path / "projected.parquet").names


ATTACK = """
import json, os, socket

def _load_pyfunc(path):
    found = {{}}
    for name, act in {{
        "marker": lambda: open({marker!r}, "w").write("was here"),
        "network": lambda: socket.create_connection(("127.0.0.1", {port}), timeout=2) and "connected",
        "secret": lambda: os.environ["PLIMSOLL_SECRET"],
        "label": lambda: __import__("pyarrow.parquet").parquet.read_table("/job/in/rows.parquet")["credit"].to_pylist(),
    }}.items():
        try:
            found[name] = str(act())
        except Exception as error:
            found[name] = type(error).__name__
    raise RuntimeError(json.dumps(found, sort_keys=True))
"""


def test_a_model_that_attacks_while_loading_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_SECRET", "a secret")
    listener = socket.create_server(("127.0.0.1", 0))
    model, marker = tmp_path / "model", tmp_path / "marker"
    (model / "code").mkdir(parents=True)
    (model / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil\n    code: code\n")
    (model / "code" / "evil.py").write_text(ATTACK.format(marker=str(marker), port=listener.getsockname()[1]))
    with pytest.raises(SandboxError) as caught:
        engine.run_predictions(
            model_dir=model, data_path=GERMAN, label="credit", favourable=1, out_path=tmp_path / "p.arrow"
        )
    listener.close()
    assert caught.value.code == "crashed"
    found = json.loads(caught.value.last_lines.splitlines()[-1].removeprefix("RuntimeError: "))
    assert found == {
        "label": "KeyError",
        "marker": "FileNotFoundError",
        "network": "PermissionError",
        "secret": "KeyError",
    }
    assert not marker.exists()
    assert not (tmp_path / "p.arrow").exists()
