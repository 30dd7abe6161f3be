"""Which output of each example of a batch is explained: what the user said, or what the model predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pnpxai.auto.conversion import index_for_each
from pnpxai.auto.data_spec import DataSpec
from pnpxai.auto.default_targets import default_target
from pnpxai.auto.misfits import misfit
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.errors import ShapeError
from pnpxai.example_targets import predicted_targets
from pnpxai.model_types import Model, ModelInputs
from pnpxai.targets import TargetValue
from pnpxai.tensors import batch_size, take_rows

__all__ = ["BatchTargets"]


class BatchTargets:
    """Finds the targets of batches.

    Args:
        model: the model.
        spec: the data as the user describes it.
        arguments_of: returns what a batch's inputs mean to the model.
    """

    def __init__(self, model: Model, spec: DataSpec, arguments_of: Callable[[ModelInputs], Arguments]) -> None:
        self.model, self.spec, self._arguments_of = model, spec, arguments_of
        self._first = True
        self._default_words = ""

    def of(self, inputs: ModelInputs, start: int) -> Target:
        """Return the targets of a batch, None where the model has one output.

        Args:
            inputs: the batch.
            start: the number of its first example in the data.
        """
        arguments, target = self._arguments_of(inputs), self.spec.target
        if isinstance(target, TargetValue) and target.is_per_example:
            return target.take(torch.arange(start, start + batch_size(arguments.explained)))
        if callable(target) and not isinstance(target, Tensor):
            return target
        if target is not None:
            return index_for_each(target, batch_size(arguments.explained))

        def predict(rows: Sequence[int]) -> Target:
            of_rows = (
                arguments if len(rows) == size else self._arguments_of(take_rows(inputs, torch.tensor(rows), size))
            )
            call = of_rows.call()
            try:
                with borrowed(self.model, gradients=False):
                    output = self.model(*call.args, **call.kwargs)
            except (RuntimeError, IndexError, ValueError) as problem:
                if words := misfit(self.model, of_rows.explained):
                    raise ShapeError(words) from problem
                raise
            if self.spec.target_extractor is not None:
                return self.spec.target_extractor(output)
            default = default_target(self.model, output, of_rows)
            self._default_words = self._default_words or default.words
            return default.value

        size = batch_size(arguments.explained)
        predicted = predicted_targets(predict, size, first=self._first)
        self._first = False
        return predicted

    def in_words(self, first: Target) -> str:
        """Return what is explained, in words.

        Args:
            first: the targets of the first batch.
        """
        spec = self.spec
        if spec.target is not None:
            return f"target {getattr(spec.target, '__name__', spec.target)}"
        if spec.target_labels:
            return "the true class"
        if first is None:
            return "the only output"
        return self._default_words if spec.target_extractor is None else "what target_extractor says"
