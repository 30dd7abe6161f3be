"""Targets of classifiers: a class, the difference of two, a probability or its logarithm."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.targets.base import Indices, TargetValue, index_rows, output_of

__all__ = ["Class", "Contrast", "LogProbability", "Probability"]


class _OfClasses(TargetValue, abstract=True):
    """What needs scores of classes: (examples, classes), or more axes of which one holds the classes."""

    index: Indices
    """Which class; one for all examples, or one for each. Of a single score, 1 is the class it speaks for, 0 the other
    one of a probability."""
    at: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
    """Where on the other axes, in their order, if there are any: (-1,) for the last token."""
    axis: int = dataclasses.field(default=1, kw_only=True)
    """The axis that holds the classes: 1, or -1 where they come last, as in language models."""
    output: str | None = dataclasses.field(default=None, kw_only=True)
    """Name of the output to read, where a model has several and it is not the logits."""

    per_example: ClassVar[dict[str, int]] = {"index": 0}

    def _classes(self, output: ModelOutput) -> Tensor:
        """Return (examples, classes)."""
        values = output_of(output, self.output)
        if values.ndim == 1:
            return values.unsqueeze(1)
        values = values.movedim(self.axis, 1)
        if values.ndim - 2 != len(self.at):
            raise ArgumentError(
                f"target: {type(self).__name__}: at: expected {values.ndim - 2} indices beside the class for an output "
                f"of shape {tuple(values.shape)}, got {len(self.at)}; Mean and Pixels explain many places at once"
            )
        for k in self.at:
            values = values.select(2, k)
        return values


class Class(_OfClasses):
    """The model's score of a class."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the scores of the class."""
        return index_rows(self._classes(output), self.index)


class Contrast(_OfClasses):
    """The score of a class less that of another: why this one, not that one."""

    against: Indices
    """The other one."""

    per_example: ClassVar[dict[str, int]] = {"index": 0, "against": 0}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the differences."""
        classes = self._classes(output)
        return index_rows(classes, self.index) - index_rows(classes, self.against)


class Probability(_OfClasses):
    """The probability of a class: the softmax of the scores, the sigmoid of a single one."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the probabilities."""
        classes = self._classes(output)
        if classes.shape[1] == 1:
            return torch.sigmoid(_signed(classes, self.index))
        return index_rows(torch.softmax(classes, 1), self.index)


class LogProbability(_OfClasses):
    """The logarithm of the probability of a class."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the logarithms."""
        classes = self._classes(output)
        if classes.shape[1] == 1:
            return torch.nn.functional.logsigmoid(_signed(classes, self.index))
        return index_rows(torch.log_softmax(classes, 1), self.index)


def _signed(scores: Tensor, index: int | tuple[int, ...]) -> Tensor:
    """Return a single score, turned around where it is the other class that is asked for."""
    members = (index,) if isinstance(index, int) else index
    if not set(members) <= {0, 1, -1}:
        raise ArgumentError(f"target: expected class 0 or 1 of a model with a single score, got {index}")
    signs = torch.tensor([-1.0 if k == 0 else 1.0 for k in members], dtype=scores.dtype, device=scores.device)
    return scores[:, 0] * signs
