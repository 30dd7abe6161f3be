"""Estimators that predict over arrays or frames, as functions of tensors: scikit-learn, skorch, TabNet, xgboost."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pnpxai.auto.columns import TableSchema
from pnpxai.auto.conversion import is_frame
from pnpxai.auto.data import Data
from pnpxai.errors import ArgumentError

__all__ = ["Estimator", "EstimatorModel", "is_estimator", "model_of_estimator"]


class Estimator(Protocol):
    """What predicts: ``predict_proba`` too, if it is a classifier that knows probabilities."""

    def predict(self, data: Any, /) -> Any:
        """Return a prediction for each row."""


class EstimatorModel:
    """An estimator as a function of tensors (rows, columns): class probabilities, or one number for each row.

    It has no gradients: an explainer that needs them is refused.

    Args:
        estimator: the fitted estimator, a pipeline too.
        schema: the columns of the frames that it was fitted on; None for arrays.
    """

    differentiable = False
    """That it has no gradients, for the facts about a model."""

    def __init__(self, estimator: Estimator, schema: TableSchema | None = None) -> None:
        self.estimator, self.schema = estimator, schema
        self.__name__ = _name(estimator)

    def __call__(self, values: Tensor) -> Tensor:
        """Return (rows, classes) probabilities, or (rows, 1) predictions.

        Raises:
            ArgumentError: gradients are wanted.
        """
        if values.requires_grad:
            raise ArgumentError(
                f"model: {self.__name__} predicts without gradients, which this explainer needs; choose one that "
                "perturbs its input, such as KernelShap or FeatureAblation"
            )
        rows: Any = values.detach().cpu().numpy()
        rows = rows if self.schema is None else self.schema.frame(rows)
        return torch.as_tensor(self._predicted(rows), dtype=values.dtype, device=values.device)

    def _predicted(self, rows: Any) -> np.ndarray:
        probabilities = getattr(self.estimator, "predict_proba", None)
        if probabilities is not None:
            return np.asarray(probabilities(rows), dtype=np.float64)
        predictions = np.asarray(self.estimator.predict(rows))
        classes = getattr(self.estimator, "classes_", None)
        if classes is not None:  # a class for each row
            return (predictions[:, None] == np.asarray(classes)).astype(np.float64)
        return predictions.astype(np.float64).reshape(len(predictions), -1)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs; none of a regression."""
        classes = getattr(self.estimator, "classes_", ())
        return tuple(map(str, np.asarray(classes).tolist()))


def is_estimator(model: object) -> bool:
    """Return whether an object predicts as estimators do, and is no torch module or function."""
    if isinstance(model, (nn.Module, type)) or not callable(getattr(model, "predict", None)):
        return False
    return hasattr(model, "fit") or hasattr(model, "predict_proba") or not callable(model)


def model_of_estimator(model: Estimator, data: Data) -> EstimatorModel:
    """Return an estimator as a function of the tensors that will be made of the data."""
    frame: Any = data[0] if isinstance(data, tuple) and data else data
    return EstimatorModel(model, TableSchema.of(frame) if is_frame(frame) else None)


def _name(estimator: Estimator) -> str:
    steps = getattr(estimator, "steps", None)  # of a pipeline
    return type(steps[-1][1] if steps else estimator).__name__
