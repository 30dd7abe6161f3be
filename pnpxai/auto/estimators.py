"""Estimators that predict over arrays or frames, as functions of tensors: scikit-learn, skorch, TabNet, xgboost."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from pnpxai.auto.conversion import is_frame
from pnpxai.auto.data import Data
from pnpxai.engine.running.guard import module_of
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model
from pnpxai.tables.column import Column
from pnpxai.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimator", "EstimatorModel", "as_estimator", "fitted_columns", "is_estimator", "model_of_estimator"]


class Estimator(Protocol):
    """Is a fitted estimator, with ``predict_proba`` too if it is a classifier that knows probabilities."""

    def predict(self, data: Any, /) -> object:
        """Return a prediction for each row."""


class EstimatorModel:
    """An estimator as a function of tensors (rows, columns): a number for each class, or one for each row.

    These are probabilities where it knows them, else its decision function, else what it predicts.

    It has no gradients: an explainer that needs them is refused.

    Args:
        estimator: the fitted estimator, a pipeline too.
        table: the columns of the frames that it was fitted on; None for arrays.
        dtype: of the arrays that it is given.
    """

    differentiable = False
    """False, since an estimator has no gradients; the facts about a model read it."""

    def __init__(self, estimator: Estimator, table: Table | None = None, dtype: np.dtype | None = None) -> None:
        self.estimator, self.table, self.dtype = estimator, table, dtype or np.dtype(np.float64)
        self.__name__ = _name(estimator)

    def __call__(self, values: Tensor) -> Tensor:
        """Return (rows, classes) numbers, (rows, outputs, classes) of several outputs, or (rows, 1) predictions.

        Raises:
            ArgumentError: gradients are wanted.
        """
        if values.requires_grad:
            raise ArgumentError(
                f"model: {self.__name__} predicts without gradients, which this explainer needs; choose one that "
                "perturbs its input, such as KernelShap or FeatureAblation"
            )
        numbers = values.detach().cpu().numpy()
        rows = numbers.astype(self.dtype) if self.table is None else self.table.frame(numbers)
        return torch.as_tensor(self._predicted(rows), dtype=values.dtype, device=values.device)

    def _predicted(self, rows: np.ndarray | pd.DataFrame) -> np.ndarray:
        """Return probabilities, else what the estimator decides by, else predictions, as (rows, ...) numbers."""
        for ask in ("predict_proba", "decision_function"):
            method = getattr(self.estimator, ask, None)
            if method is not None:
                return _by_class(method(rows), ask, len(self.class_names))
        at_once = getattr(
            self.estimator, "inplace_predict", None
        )  # of xgboost's boosters, which else want its own matrix
        predictions = np.asarray((at_once or self.estimator.predict)(rows))
        labels = getattr(self.estimator, "classes_", None)
        if labels is None and getattr(self.estimator, "labels_", None) is not None:  # the clusters of a clustering
            labels = np.unique(self.estimator.labels_)  # type: ignore[attr-defined]
        if labels is not None:  # a class for each row
            return (predictions[:, None] == np.asarray(labels)).astype(np.float64)
        return predictions.astype(np.float64).reshape(len(predictions), -1)

    @property
    def knows_classes(self) -> bool:
        """Whether its outputs are classes; those of a function are taken for such, as everywhere."""
        asks = ("predict_proba", "decision_function", "classes_", "labels_")
        is_function = isinstance(self.estimator, _Predicts)
        return is_function or any(getattr(self.estimator, name, None) is not None for name in asks)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs; none of a regression."""
        classes = getattr(self.estimator, "classes_", ())
        return tuple(map(str, np.asarray(classes).tolist()))


def is_estimator(model: object) -> TypeGuard[Estimator]:
    """Return whether an object predicts as estimators do, and is no torch module or function."""
    if isinstance(model, (nn.Module, type)):
        return False
    if not callable(getattr(model, "predict", None)):
        return callable(getattr(model, "predict_proba", None))
    return hasattr(model, "fit") or hasattr(model, "predict_proba") or not callable(model)


@dataclass(frozen=True)
class _Predicts:
    """Predicts by a function of arrays or frames."""

    predict: Callable[[Any], object]


def as_estimator(model: Model | Estimator, data: Data) -> Model | Estimator:
    """Return a function of arrays or frames as an estimator; any other model as it is.

    Such are ``estimator.predict_proba``, which stands for its estimator, and what returns an array for the first rows.

    Args:
        model: the model.
        data: the data: only functions of frames and arrays are run.
    """
    own = getattr(model, "__self__", None)
    if is_estimator(own) and getattr(model, "__name__", "") == "predict_proba":
        return own
    rows = data[0] if isinstance(data, tuple) and data else data
    if (
        not (is_frame(rows) or isinstance(rows, np.ndarray))
        or not inspect.isroutine(model)
        or module_of(model) is not None
    ):
        return model
    try:
        predicted = model(rows[:2])
    except Exception:  # noqa: BLE001  it takes tensors, or says later what it takes
        return model
    return _Predicts(model) if isinstance(predicted, (np.ndarray, list)) or hasattr(predicted, "to_numpy") else model


def fitted_columns(model: Estimator, data: Data) -> Data:
    """Return data whose frame has the columns that an estimator was fitted on, in their order.

    Raises:
        ArgumentError: one of them is missing.
    """
    frame = data[0] if isinstance(data, tuple) and data else data
    fitted_on = getattr(model, "feature_names_in_", None)
    if fitted_on is None or not is_frame(frame) or not frame.columns.is_unique:
        return data
    if missing := [name for name in fitted_on if name not in frame.columns]:
        raise ArgumentError(
            f"data: {_name(model)} was fitted on a column {missing[0]!r}, which the frame does not have"
        )
    chosen = frame[list(fitted_on)]
    return (chosen, *data[1:]) if isinstance(data, tuple) else chosen


def model_of_estimator(model: Estimator, data: Data, table: Table | None = None) -> EstimatorModel:
    """Return an estimator as a function of the tensors that will be made of the data.

    Args:
        model: the fitted estimator.
        data: the data.
        table: what the columns of its frame hold, if a user says it; by default that is read.
    """
    rows = data[0] if isinstance(data, tuple) and data else data
    fitted_on = getattr(model, "feature_names_in_", None)
    if is_frame(rows):
        table = Table.of(rows) if table is None else table
        on_arrays = fitted_on is None and not table.categories and not _takes(model, rows.head(2))
        return EstimatorModel(model, None if on_arrays else table, _dtype(rows.to_numpy()))
    if fitted_on is None:
        return EstimatorModel(model, None, _dtype(rows))
    return EstimatorModel(model, Table(tuple(Column(name, "number", "float64") for name in fitted_on)))


def _takes(model: Estimator, frame: pd.DataFrame) -> bool:
    """Return whether an estimator that does not say what it was fitted on predicts of a frame, not of arrays alone."""
    if hasattr(model, "n_features_in_"):
        return False
    try:
        getattr(model, "predict_proba", model.predict)(frame)
    except Exception:  # noqa: BLE001  what it raises is up to it
        return False
    return True


def _dtype(rows: object) -> np.dtype:
    """Return the type of an array of numbers, in which an estimator may want them."""
    dtype = getattr(rows, "dtype", None)
    return dtype if isinstance(dtype, np.dtype) and dtype.kind == "f" else np.dtype(np.float64)


def _by_class(values: object, ask: str, classes: int) -> np.ndarray:
    """Return (rows, classes) or (rows, outputs, classes) numbers of what an estimator says of each class.

    Raises:
        ArgumentError: it has several outputs with different numbers of classes.
    """
    if isinstance(values, list):  # one array for each of several outputs
        if len({np.shape(one) for one in values}) > 1:
            raise ArgumentError("model: its outputs have different numbers of classes; explain one output's estimator")
        return np.stack([np.asarray(one, dtype=np.float64) for one in values], 1)
    numbers = np.asarray(values, dtype=np.float64)
    if ask == "decision_function" and numbers.ndim == 1:  # of two classes the second, or how usual a row is
        return np.stack([-numbers, numbers], 1) if classes == 2 else numbers[:, None]
    return numbers


def _name(estimator: Estimator) -> str:
    steps = getattr(estimator, "steps", None)  # of a pipeline
    if isinstance(estimator, _Predicts):
        return getattr(estimator.predict, "__name__", "function")
    return type(steps[-1][1] if steps else estimator).__name__
