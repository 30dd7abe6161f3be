"""Defines targets of classifiers: a class, the difference of two classes, a probability or its logarithm."""

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
    """Reads scores s of classes from an output (examples, classes), or from one of more axes."""

    index: Indices
    """Class c, one for all examples or one for each. A model with a single score has class 1, for which the score
    speaks, and class 0."""
    at: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
    """Indices on the other axes, in their order, if the output has any: (-1,) for the last token."""
    axis: int = dataclasses.field(default=1, kw_only=True)
    """Axis of the classes: 1, or -1 where they come last, as in language models."""
    output: str | None = dataclasses.field(default=None, kw_only=True)
    """Name of the output to read, if the model has several and it is not the logits."""

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
    """Explains s_c, the model's score of a class."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the scores of the class."""
        return index_rows(self._classes(output), self.index)


class Contrast(_OfClasses):
    """Explains s_c - s_d, the score of a class minus the score of another: why c, and not d?"""

    against: Indices
    """The other class d."""

    per_example: ClassVar[dict[str, int]] = {"index": 0, "against": 0}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the differences."""
        classes = self._classes(output)
        return index_rows(classes, self.index) - index_rows(classes, self.against)


class Probability(_OfClasses):
    """Explains p_c, the probability of a class: p = softmax(s), or the sigmoid of a single score."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the probabilities."""
        classes = self._classes(output)
        if classes.shape[1] == 1:
            return torch.sigmoid(_signed(classes, self.index))
        return index_rows(torch.softmax(classes, 1), self.index)


class LogProbability(_OfClasses):
    """Explains log p_c, the logarithm of the probability of a class."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the logarithms."""
        classes = self._classes(output)
        if classes.shape[1] == 1:
            return torch.nn.functional.logsigmoid(_signed(classes, self.index))
        return index_rows(torch.log_softmax(classes, 1), self.index)


def _signed(scores: Tensor, index: int | tuple[int, ...]) -> Tensor:
    """Return a single score, with the opposite sign for class 0."""
    members = (index,) if isinstance(index, int) else index
    if not set(members) <= {0, 1, -1}:
        raise ArgumentError(f"target: expected class 0 or 1 of a model with a single score, got {index}")
    signs = torch.tensor([-1.0 if k == 0 else 1.0 for k in members], dtype=scores.dtype, device=scores.device)
    return scores[:, 0] * signs
