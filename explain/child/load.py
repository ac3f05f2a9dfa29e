"""Load a model from an MLflow model directory. Runs the model author's code: only ever inside the sandbox.

Three tiers. A: a data-only format read by us. B: skops, with our list of types and never the artifact's. C:
everything else, through MLflow. What `MLmodel` says is used as a hint about names, never as permission.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .refusal import RefusalError

Scalar = int | str
MLMODEL_BYTES = 4 * 1024 * 1024

# Types skops does not trust by itself and we do, here, because a bad one can only crash the sandbox.
TRUSTED_TYPES = frozenset(
    {
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "numpy.dtype",
    }
)
LIBRARIES = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "shap", "skops", "xgboost-cpu", "xgboost")


class Model:
    """A loaded model as the tasks see it: classes out of rows, and a probability when the model has one."""

    flavour: str
    tier: str
    estimator: Any  # the library's own object; its type is the library's business
    classes: list[Scalar] | None = None  # in the order of the probability columns

    def __init__(self, *, flavour: str, tier: str, estimator: Any) -> None:
        self.flavour = flavour
        self.tier = tier
        self.estimator = estimator
        self.classes = [plain(value) for value in getattr(estimator, "classes_", [])] or None

    @property
    def model_class(self) -> str:
        kind = type(self.estimator)
        return f"{kind.__module__}.{kind.__qualname__}"

    @property
    def trained_on(self) -> list[str] | None:
        """Column names the library recorded when the model was trained on a data frame."""
        names = getattr(self.estimator, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Shape (rows,): the model's own decision for each row."""
        return np.asarray(self.estimator.predict(rows))

    def probability(self, rows: pd.DataFrame, favourable: Scalar) -> np.ndarray | None:
        """Shape (rows,), in [0, 1]; None when the model gives no probabilities."""
        if not hasattr(self.estimator, "predict_proba"):
            return None
        every_class = np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)
        return np.ascontiguousarray(every_class[:, self.class_index(favourable)])

    def class_index(self, favourable: Scalar) -> int:
        if self.classes is None or favourable not in self.classes:
            known = ", ".join(str(value) for value in self.classes or [])
            raise RefusalError(
                f"The model does not know the favourable class {favourable!r}; its classes are {known or 'not stated'}."
            )
        return self.classes.index(favourable)


class BoosterModel(Model):
    """An xgboost booster read from its data file. Its classes are the numbers it was trained on, 0 to k − 1."""

    def __init__(self, booster: Any) -> None:
        super().__init__(flavour="xgboost", tier="A", estimator=booster)
        learner = json.loads(booster.save_config())["learner"]
        self.objective = str(learner["objective"]["name"])
        if self.objective not in ("binary:logistic", "multi:softprob", "multi:softmax"):
            raise RefusalError(f"An xgboost model with the objective {self.objective} does not decide between classes.")
        count = int(learner["learner_model_param"]["num_class"])
        self.classes = list(range(max(count, 2)))

    @property
    def model_class(self) -> str:
        return "xgboost.Booster"

    @property
    def trained_on(self) -> list[str] | None:
        names = self.estimator.feature_names
        return None if names is None else [str(name) for name in names]

    def matrix(self, rows: pd.DataFrame) -> Any:
        import xgboost  # noqa: PLC0415 — two seconds that other flavours need not wait

        categorical = any(kind == "c" for kind in self.estimator.feature_types or [])
        return xgboost.DMatrix(rows, nthread=1, enable_categorical=categorical)

    def every_class(self, rows: pd.DataFrame) -> np.ndarray:
        """Shape (rows, classes): probabilities."""
        scores = np.asarray(self.estimator.predict(self.matrix(rows)), dtype=np.float64)
        if self.objective == "binary:logistic":
            return np.column_stack([1.0 - scores, scores])
        if self.objective == "multi:softmax":
            raise RefusalError(
                "An xgboost model with the objective multi:softmax has no probabilities; train with multi:softprob."
            )
        return scores

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.every_class(rows).argmax(axis=1))

    def probability(self, rows: pd.DataFrame, favourable: Scalar) -> np.ndarray | None:
        return np.ascontiguousarray(self.every_class(rows)[:, self.class_index(favourable)])


def plain(value: Any) -> Scalar:
    """A class label as JSON knows it: whole numbers and truth values as int, everything else as text."""
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What `MLmodel` claims, as far as it is used here."""

    flavours: dict[str, dict[str, Any]]
    inputs: list[str] | None  # column names of the signature


def describe(directory: Path) -> Description:
    import yaml  # noqa: PLC0415 — only this function reads YAML

    path = directory / "MLmodel"
    if not path.is_file():
        raise RefusalError("The artifact has no MLmodel file, so it is not an MLflow model.")
    if path.stat().st_size > MLMODEL_BYTES:
        raise RefusalError("The MLmodel file is larger than 4 MiB.")
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavours = {str(name): dict(options) for name, options in described["flavors"].items()}
        return Description(flavours=flavours, inputs=_signature_inputs(described.get("signature")))
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefusalError("The MLmodel file cannot be read as the description of an MLflow model.") from error


def _signature_inputs(signature: Any) -> list[str] | None:
    inputs = json.loads((signature or {}).get("inputs") or "[]")
    names = [column.get("name") for column in inputs]
    return [str(name) for name in names] if names and all(names) else None


def load_with_columns(
    directory: Path, *, available: Sequence[str], otherwise: Sequence[str]
) -> tuple[Model, list[str]]:
    """The model and its input columns: by its signature, else as it remembers them from training, else `otherwise`.

    Refuses when the data lacks one of them; by the signature even before the model's own code runs.
    """
    description = describe(directory)
    _require(description.inputs or [], available)
    model = load_model(directory, description)
    wanted = description.inputs or model.trained_on or list(otherwise)
    _require(wanted, available)
    if not wanted:
        raise RefusalError("The data has no column the model could use.")
    return model, wanted


def _require(wanted: Sequence[str], available: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in available]
    if missing:
        raise RefusalError(f"The data lacks columns the model needs: {', '.join(missing)}.")


def load_model(directory: Path, description: Description) -> Model:
    """The first tier that fits. Raises RefusalError when no flavour of the model can be used."""
    flavours = description.flavours
    if "xgboost" in flavours:
        found = _tier_a(directory, flavours["xgboost"])
        if found is not None:
            return found
    if "sklearn" in flavours:
        found = _tier_b(directory, flavours["sklearn"])
        return found if found is not None else _tier_c_sklearn(directory)
    if "python_function" in flavours:
        return _tier_c_pyfunc(directory)
    raise RefusalError(
        f"No flavour of this model can be explained here: {', '.join(sorted(flavours)) or 'none stated'}."
    )


def _inside(directory: Path, name: Any) -> Path | None:
    """A file of the model by the name MLmodel gives it, or None when that is not a plain file in the directory."""
    if not isinstance(name, str) or not name:
        return None
    path = (directory / name).resolve()
    return path if path.is_relative_to(directory.resolve()) and path.is_file() else None


def _tier_a(directory: Path, options: dict[str, Any]) -> Model | None:
    path = _inside(directory, options.get("data"))
    if path is None:
        return None
    import xgboost  # noqa: PLC0415 — two seconds that other flavours need not wait

    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as error:
        raise RefusalError("The xgboost model file cannot be read.") from error
    booster.set_param({"nthread": 1, "device": "cpu"})
    return BoosterModel(booster)


def _tier_b(directory: Path, options: dict[str, Any]) -> Model | None:
    path = _inside(directory, options.get("pickled_model"))
    if path is None or options.get("serialization_format") != "skops":
        return None
    import skops.io  # noqa: PLC0415 — pulls in scikit-learn

    untrusted = set(skops.io.get_untrusted_types(file=path))
    if not untrusted <= TRUSTED_TYPES:
        return None
    return Model(flavour="sklearn", tier="B", estimator=skops.io.load(path, trusted=sorted(untrusted)))


def _tier_c_sklearn(directory: Path) -> Model:
    import mlflow.sklearn  # noqa: PLC0415 — four seconds, and only this tier needs it

    return Model(flavour="sklearn", tier="C", estimator=mlflow.sklearn.load_model(str(directory)))


def _tier_c_pyfunc(directory: Path) -> Model:
    import mlflow.pyfunc  # noqa: PLC0415 — as above

    return Model(flavour="python_function", tier="C", estimator=mlflow.pyfunc.load_model(str(directory)))


def versions() -> dict[str, str]:
    """Of the libraries that can have shaped a result, as far as they are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
