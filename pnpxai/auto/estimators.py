"""Estimators that predict over arrays or frames, as functions of tensors: scikit-learn, skorch, TabNet, xgboost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from pnpxai.auto.conversion import is_frame
from pnpxai.auto.data import Data
from pnpxai.errors import ArgumentError
from pnpxai.tables.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimator", "EstimatorModel", "is_estimator", "model_of_estimator"]


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
    """

    differentiable = False
    """False, since an estimator has no gradients; the facts about a model read it."""

    def __init__(self, estimator: Estimator, table: Table | None = None) -> None:
        self.estimator, self.table = estimator, table
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
        rows = numbers if self.table is None else self.table.frame(numbers)
        return torch.as_tensor(self._predicted(rows), dtype=values.dtype, device=values.device)

    def _predicted(self, rows: np.ndarray | pd.DataFrame) -> np.ndarray:
        """Return probabilities, else what the estimator decides by, else predictions, as (rows, ...) numbers."""
        for ask in ("predict_proba", "decision_function"):
            method = getattr(self.estimator, ask, None)
            if method is not None:
                return _by_class(method(rows), ask, len(self.class_names))
        predictions = np.asarray(self.estimator.predict(rows))
        labels = getattr(self.estimator, "classes_", None)
        if labels is None and getattr(self.estimator, "labels_", None) is not None:  # the clusters of a clustering
            labels = np.unique(self.estimator.labels_)  # type: ignore[attr-defined]
        if labels is not None:  # a class for each row
            return (predictions[:, None] == np.asarray(labels)).astype(np.float64)
        return predictions.astype(np.float64).reshape(len(predictions), -1)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs; none of a regression."""
        classes = getattr(self.estimator, "classes_", ())
        return tuple(map(str, np.asarray(classes).tolist()))


def is_estimator(model: object) -> TypeGuard[Estimator]:
    """Return whether an object predicts as estimators do, and is no torch module or function."""
    if isinstance(model, (nn.Module, type)) or not callable(getattr(model, "predict", None)):
        return False
    return hasattr(model, "fit") or hasattr(model, "predict_proba") or not callable(model)


def model_of_estimator(model: Estimator, data: Data, table: Table | None = None) -> EstimatorModel:
    """Return an estimator as a function of the tensors that will be made of the data.

    Args:
        model: the fitted estimator.
        data: the data.
        table: what the columns of its frame hold, if a user says it; by default that is read.
    """
    frame = data[0] if isinstance(data, tuple) and data else data
    fitted_on = getattr(model, "feature_names_in_", None)
    if is_frame(frame):
        table = Table.of(frame) if table is None else table
        on_arrays = fitted_on is None and hasattr(model, "n_features_in_") and not table.categories
        return EstimatorModel(model, None if on_arrays else table)
    if fitted_on is None:
        return EstimatorModel(model)
    return EstimatorModel(model, Table(tuple(Column(name, "number", "float64") for name in fitted_on)))


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
    return type(steps[-1][1] if steps else estimator).__name__
