"""A child that answers with something else than it should: refused with a reason, and nothing is left behind."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from explain import engine
from explain.limits import MIB, Limits
from explain.sandbox import Runtime, SandboxError

Child = Callable[[str], Runtime]
ROWS = 4
SCHEMA = pa.schema([("row", pa.int64()), ("prediction", pa.int64()), ("score", pa.float64())])
FACTS = {"flavour": "sklearn", "tier": "B", "model_class": "some.Model", "features": ["x"], "versions": {"numpy": "2"}}


def stream(
    columns: dict[str, object] | None = None,
    schema: pa.Schema = SCHEMA,
    facts: object = FACTS,
    options: pa.ipc.IpcWriteOptions | None = None,
) -> bytes:
    honest = {"row": [0, 1, 2, 3], "prediction": [1, 2, 1, 2], "score": [0.0, 1.0, 0.5, 0.25]}
    described = schema.with_metadata({"plimsoll": json.dumps(facts)})
    table = pa.table({**honest, **(columns or {})}, schema=described)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, described, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def writes(payload: bytes) -> str:
    return f"import base64\nopen('/job/answer', 'wb').write(base64.b64decode({base64.b64encode(payload)!r}))"


@pytest.fixture
def predict(tmp_path: Path, child: Child) -> Callable[[bytes], engine.PredictionInfo]:
    data = tmp_path / "data.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0, 4.0], "label": [1, 2, 1, 2]}), data)

    def run(payload: bytes) -> engine.PredictionInfo:
        return engine.run_predictions(
            model_dir=tmp_path,
            data_path=data,
            label="label",
            favourable=1,
            out_path=tmp_path / "predictions.arrow",
            limits=Limits(wall_seconds=30, cpu_seconds=10, memory_bytes=512 * MIB),
            runtime=child(writes(payload)),
        )

    return run


def test_an_honest_answer_is_accepted(tmp_path: Path, predict: Callable[[bytes], engine.PredictionInfo]) -> None:
    info = predict(stream())
    assert (info.rows, info.has_scores, info.features) == (4, True, ["x"])
    written = pa.ipc.open_file(tmp_path / "predictions.arrow").read_all()
    assert written.schema.equals(SCHEMA, check_metadata=True)
    assert written.schema.metadata is None
    assert written.to_pydict() == {"row": [0, 1, 2, 3], "prediction": [1, 2, 1, 2], "score": [0.0, 1.0, 0.5, 0.25]}


def test_a_model_without_probabilities_has_no_scores(predict: Callable[[bytes], engine.PredictionInfo]) -> None:
    assert predict(stream({"score": [None] * 4})).has_scores is False


WRONG_NAME = pa.schema([("row", pa.int64()), ("prediction", pa.int64()), ("points", pa.float64())])
EXTRA = pa.schema([*SCHEMA, ("extra", pa.binary())])
DICTIONARY = SCHEMA.set(1, pa.field("prediction", pa.dictionary(pa.int8(), pa.int64())))
# A pickle that would run `print` if it were ever loaded.
PICKLE = b"\x80\x04cbuiltins\nprint\n(S'loaded'\ntR."
BAD = {
    "nothing": (b"", "it is not an Arrow stream"),
    "a pickle": (PICKLE, "it is not an Arrow stream"),
    "cut off": (stream()[:-200], "it is not an Arrow stream"),
    "NaN": (stream({"score": [0.1, float("nan"), 0.2, 0.3]}), "a score is not a probability between 0 and 1"),
    "above one": (stream({"score": [0.1, 1.0000001, 0.2, 0.3]}), "a score is not a probability between 0 and 1"),
    "some scores": (stream({"score": [0.1, None, 0.2, 0.3]}), "some rows have a score and some have none"),
    "missing": (stream({"prediction": [1, None, 1, 1]}), "a row number or a prediction is missing"),
    "shuffled": (stream({"row": [1, 0, 2, 3]}), "its rows are not numbered in the order of the data"),
    "too few": (
        stream({"row": [0, 1], "prediction": [1, 1], "score": [0.5, 0.5]}),
        "it has 2 rows where the data has 4",
    ),
    "too many": (
        stream({"row": list(range(5)), "prediction": [1] * 5, "score": [0.5] * 5}),
        "it has more than the 4 rows of the data",
    ),
    "other names": (stream({"points": [0.0] * 4}, WRONG_NAME), "its columns are not the expected ones"),
    "more columns": (stream({"extra": [b"x"] * 4}, EXTRA), "its columns are not the expected ones"),
    "a dictionary": (stream(schema=DICTIONARY), "its columns are not the expected ones"),
    "compressed": (
        stream(options=pa.ipc.IpcWriteOptions(compression="zstd")),
        "it holds something else than plain rows",
    ),
    "foreign features": (stream(facts={**FACTS, "features": ["label"]}), "the features are not columns of the data"),
    "more facts": (
        stream(facts={**FACTS, "approved": "true"}),
        "the description does not have exactly the expected names",
    ),
    "long text": (stream(facts={**FACTS, "flavour": "x" * 300}), "the flavour is not a short line of text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_is_refused_with_its_reason(
    tmp_path: Path, predict: Callable[[bytes], engine.PredictionInfo], case: str
) -> None:
    payload, reason = BAD[case]
    with pytest.raises(SandboxError) as caught:
        predict(payload)
    assert caught.value.code == "bad_output"
    assert caught.value.sentence == f"The model's process gave an answer that cannot be accepted: {reason}."
    assert [path.name for path in tmp_path.glob("predictions*")] == []


def totals(rows: int = 4, sums: tuple[float, float] = (1.0, -1.0)) -> dict[str, object]:
    return {"rows": rows, "sum": list(sums), "sum_abs": [4.0, 2.0], "sum_sq": [8.0, 1.5]}


def explanation(**changes: object) -> dict[str, object]:
    return {
        "method": "linear",
        "output_space": "log-odds",
        "flavour": "sklearn",
        "tier": "B",
        "model_class": "some.Model",
        "features": ["x", "y"],
        "totals": totals(),
        "groups": {"y": {"privileged": totals(2), "unprivileged": totals(2)}},
        "base_value": 0.5,
        "additivity_error": 1e-12,
        "output_scale": 2.0,
        "mean_output": 0.5,
        "interventional": True,
        "cross_check": None,
        "model_rows": None,
        "notes": [],
        "versions": {"numpy": "2"},
        **changes,
    }


@pytest.fixture
def explain(tmp_path: Path, child: Child) -> Callable[[bytes], dict[str, object]]:
    data = tmp_path / "data.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0, 4.0], "y": [1, 2, 1, 2]}), data)

    def run(payload: bytes) -> dict[str, object]:
        return engine.run_explanation(
            model_dir=tmp_path,
            background_path=data,
            rows_path=data,
            features=["x", "y"],
            favourable=1,
            groups={"y": {"op": ">=", "value": 2}},
            runtime=child(writes(payload)),
        )

    return run


def test_figures_come_from_the_sums(explain: Callable[[bytes], dict[str, object]]) -> None:
    report = explain(json.dumps(explanation()).encode())
    assert (report["status"], report["reason"]) == ("OK", None)
    assert [feature["name"] for feature in report["features"]] == ["x", "y"]
    first = report["features"][0]
    # Σ|φ| = 4, Σφ² = 8 over 4 rows: mean 1, sample variance (8 − 4) / 3, half-width 1.959964 √(4/3/4) = 1.131585.
    assert (first["mean_abs"], first["mean"], first["low"]) == (1.0, 0.25, 0.0)
    assert first["high"] == pytest.approx(2.131585, abs=1e-6)
    assert first["by_group"]["y"]["privileged"]["mean_abs"] == 2.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"additivity_error": 0.0021},
            "do not add up to the model's output: they miss it by up to 0.0021, where 0.002",
        ),
        ({"mean_output": 0.51}, "is not the model's mean output over the background: it is off by 0.01"),
    ],
)
def test_a_failed_identity_is_a_report_with_status_error(
    explain: Callable[[bytes], dict[str, object]], changes: dict[str, object], reason: str
) -> None:
    report = explain(json.dumps(explanation(**changes)).encode())
    assert report["status"] == "ERROR"
    assert reason in str(report["reason"])
    assert len(report["features"]) == 2


BAD_JSON = {
    "a pickle": (PICKLE, "it is not JSON"),
    "nothing": (b"", "it is not JSON"),
    "a list": (b"[]", "it is not a JSON object"),
    "deep": (b"[" * 100_000, "it is not JSON"),
    "NaN": (json.dumps(explanation(base_value=float("nan"))).encode(), "it is not JSON"),
    "infinite": (json.dumps(explanation()).replace("0.5", "1e999", 1).encode(), "the base value is not finite"),
    "repeated": (b'{"method": 1, "method": 2}', "it is not JSON"),
    "one name more": (
        json.dumps(explanation(values=[[1.0]])).encode(),
        "the answer does not have exactly the expected names",
    ),
    "foreign features": (
        json.dumps(explanation(features=["x", "label"])).encode(),
        "the features are not columns of the data",
    ),
    "short sums": (
        json.dumps(explanation(features=["x"])).encode(),
        "the table of totals is not a list of 1 numbers",
    ),
    "more rows than sent": (
        json.dumps(explanation(totals=totals(5))).encode(),
        "the table of totals is not a count between 0 and 4",
    ),
    "no rows": (json.dumps(explanation(totals=totals(0), groups=None)).encode(), None),
    "unknown method": (json.dumps(explanation(method="magic")).encode(), "the method is none of the known ones"),
    "a true number": (json.dumps(explanation(base_value=True)).encode(), "the base value is not a number"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_a_bad_explanation_is_refused_with_its_reason(explain: Callable[[bytes], dict[str, object]], case: str) -> None:
    payload, reason = BAD_JSON[case]
    with pytest.raises(SandboxError) as caught:
        explain(payload)
    assert caught.value.code == "bad_output"
    if reason is not None:
        assert caught.value.sentence.endswith(f"cannot be accepted: {reason}.")
