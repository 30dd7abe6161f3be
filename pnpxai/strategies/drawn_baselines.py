"""Defines baselines that are drawn: from other examples, or at random.

The draw of an example depends on its content and on a seed alone, not on the batch it is in.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.engine.running.seeds import Draws, RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.baselines import Baseline, refuse_ids
from pnpxai.traits import Traits

__all__ = ["Background", "ClassConditional", "Uniform"]


class Uniform(Baseline):
    """Draws independent uniform numbers between the smallest and the largest value of each example's channel."""

    name: ClassVar[str] = "uniform"
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the random numbers."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for pictures and series: evidence there is a pattern, and noise has none."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor) -> Tensor:
        """Return the noise."""
        refuse_ids(self, values)
        if values.ndim == 1:
            return values.clone()
        axes = tuple(range(2, values.ndim)) or (1,)
        low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
        return low + (high - low) * _draws(self.seed, "uniform", values).uniform(values.shape[1:], values)


class Background(Baseline):
    """Takes the values of other examples, such as some of the training data, for features that are absent.

    Explainers that perturb average the score over all rows: their values are then interventional. An explainer that
    compares each example with one baseline, such as ``IntegratedGradients``, takes one row drawn for the example.
    """

    name: ClassVar[str] = "background"
    examples: Tensor
    """Background examples (rows, ...), each of the shape of one input example."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the draw of rows."""
    draw: Literal["all", "one"] = "all"
    """Rows that explainers that perturb use: ``"all"`` of them, or ``"one"`` drawn for each example."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True: rows of any data can be drawn, ids too."""
        return True

    def check(self) -> None:
        """Refuse a background without rows."""
        _check_rows(self, self.examples)

    def __call__(self, values: Tensor) -> Tensor:
        """Return one drawn row for each example."""
        rows = self.rows_for(values)
        return rows[_draws(self.seed, "row", values).below(len(rows)).to(rows.device)]

    def rows_for(self, values: Tensor) -> Tensor:
        """Return all rows (rows, ...), on the device and in the dtype of the inputs.

        Raises:
            ShapeError: a row has another shape than an input example.
        """
        return _fitting(self, self.examples, values)


class ClassConditional(Baseline):
    """Takes the mean of another class: a typical example of that class, computed from labelled background rows.

    An example's own class is the one whose mean is nearest, in units of each value's standard deviation.
    """

    name: ClassVar[str] = "class_conditional"
    examples: Tensor
    """Background examples (rows, ...), each of the shape of one input example."""
    labels: Tensor
    """Class of each row (rows,), as whole numbers."""
    label: int | None = None
    """Class whose mean is taken; by default the class nearest to the example after its own."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for tables: a column means the same in every row, so that its mean has a meaning."""
        return traits.modality == "table"

    def check(self) -> None:
        """Refuse labels that do not match the background rows."""
        _check_rows(self, self.examples)
        refuse_ids(self, self.examples)
        if self.labels.shape != self.examples.shape[:1] or self.labels.is_floating_point():
            raise ArgumentError(
                f"ClassConditional: labels: expected {len(self.examples)} whole numbers, got {self.labels.dtype} of "
                f"shape {tuple(self.labels.shape)}"
            )
        classes = self.labels.unique().tolist()
        if self.label is not None and self.label not in classes:
            raise ArgumentError(f"ClassConditional: label: expected one of {classes}, got {self.label}")
        if len(classes) < 2:
            raise ArgumentError(f"ClassConditional: labels: expected at least two classes, got {classes}")

    def __call__(self, values: Tensor) -> Tensor:
        """Return the mean of the chosen class for each example."""
        refuse_ids(self, values)
        rows = _fitting(self, self.examples, values).to(torch.float64)
        labels = self.labels.to(values.device)
        means = torch.stack([rows[labels == c].mean(0) for c in labels.unique()])
        if self.label is not None:
            means = rows[labels == self.label].mean(0, keepdim=True)
            return means.to(values.dtype).expand_as(values).contiguous()
        scale = rows.std(0).clamp_min(torch.finfo(torch.float32).tiny)
        away = ((values.to(torch.float64)[:, None] - means) / scale).flatten(2).square().sum(2)
        return means[away.sort(dim=1, stable=True).indices[:, 1]].to(values.dtype)


def _draws(seed: int, name: str, values: Tensor) -> Draws:
    return RandomStream(seed).of_examples((values,)).draws(name)


def _check_rows(strategy: Baseline, examples: Tensor) -> None:
    if not examples.ndim or not len(examples):
        raise ArgumentError(
            f"{type(strategy).__name__}: examples: expected at least one row, got a tensor of shape "
            f"{tuple(examples.shape)}"
        )


def _fitting(strategy: Baseline, examples: Tensor, values: Tensor) -> Tensor:
    if examples.shape[1:] != values.shape[1:]:
        raise ShapeError(
            f"{type(strategy).__name__}: examples: expected rows of shape {tuple(values.shape[1:])}, as the inputs "
            f"have, got {tuple(examples.shape[1:])}"
        )
    return examples.detach().to(values.device, values.dtype)
