"""What all metrics share that remove features: which belong together, and what stands in for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, TypeAlias

import torch
from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.engine.running.guard import module_of
from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Category, Metric, Sample
from pnpxai.metrics.faithfulness.features import Features
from pnpxai.metrics.faithfulness.imputation import Imputation, Imputer
from pnpxai.model_types import Model
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.strategies.feature_masks import FeatureMask

__all__ = ["Removal", "Shares", "probability", "sums_to_one"]


def _shares(value: object) -> tuple[float, ...]:
    members = tuple(value) if isinstance(value, (tuple, list)) else ()
    if not members or not all(isinstance(m, float) and 0 < m < 1 for m in members):
        raise ArgumentError(f"fractions: expected shares between 0 and 1, such as (0.1, 0.5), got {value!r}")
    return members


Shares: TypeAlias = Annotated[tuple[float, ...], BeforeValidator(_shares)]
"""Shares of the features."""


def probability(output: Tensor) -> Tensor:
    """Return class probabilities; what is none of several classes, or probabilities already, is left as it is.

    Classes are on the last axis, those of pictures (rows, classes, height, width) on the second. An output is taken for
    probabilities if no value is negative and all rows sum to 1.
    """
    axis = 1 if output.ndim > 3 else -1
    if output.ndim < 2 or output.shape[axis] < 2 or sums_to_one(output, axis):
        return output
    return output.softmax(axis)


def probability_unless_sigmoid(output: Tensor) -> Tensor:
    """Return values from 0 to 1 as they are, others as ``probability`` does: for a sigmoid at the end."""
    within = bool(((output >= 0) & (output <= 1)).all())
    return output if within else probability(output)


def sums_to_one(output: Tensor, axis: int) -> bool:
    """Tell whether outputs are probabilities: none is negative, and all rows sum to 1."""
    if not output.is_floating_point() or not bool((output >= 0).all()):
        return False
    tolerance = max(1e-4, 8 * torch.finfo(output.dtype).eps)
    total = output.sum(axis, dtype=torch.promote_types(output.dtype, torch.float32))
    return bool(((total - 1).abs() <= tolerance).all())


class Removal(Metric, abstract=True):
    """Asks the model what it says of inputs without some of their features.

    Where the target is a function, what it returns of the raw output is followed: ``prob_fn`` has no say then.
    """

    baseline_fn: Imputation = Zeros()
    """What stands where a feature was: a baseline (``"zeros"``, ``"mean"``, ``"gaussian_blur"``, ``"uniform"``,
    ``Background(...)``, of token ids ``Pad(token_id=...)``) or, made of what is left, ``"linear"``."""
    feature_mask_fn: FeatureMask | str = "positions"
    """What is removed at once: every pixel, token, time step or column (``"positions"``), ``"patches"``, ``"grid"``,
    segments (``"slic"``), words, groups of columns; several inputs can have one each (``EachMask``)."""
    prob_fn: Callable[[Tensor], Tensor] | None = probability
    """Makes probabilities of the model's output: a softmax, unless there is a single output, or the model ends in a
    softmax or sigmoid. None to follow the output as it is; ``torch.sigmoid`` for logits of several labels."""

    category: ClassVar[Category] = "faithfulness"

    def features(self, sample: Sample) -> Features:
        """Return the features of a sample."""
        return Features.of(sample, *self.masking())

    def followed(self) -> Callable[[Tensor], Tensor] | None:
        """Return ``prob_fn``; what a sigmoid at the model's end makes probabilities is left as it is."""
        if self.prob_fn is probability and _ends_in_sigmoid(self.model):
            return probability_unless_sigmoid
        return self.prob_fn

    def masking(self) -> tuple[FeatureMask, Baseline | Imputer]:
        """Return what belongs together, and what stands in."""
        return FeatureMask.from_name(self.feature_mask_fn), self.baseline_fn


def _ends_in_sigmoid(model: Model) -> bool:
    module = module_of(model)
    last = None if module is None else list(module.modules())[-1]
    return isinstance(last, nn.Sigmoid)
