"""What all metrics share that remove features: which belong together, and what stands in for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Category, Metric, Sample
from pnpxai.metrics.faithfulness.features import Features
from pnpxai.metrics.faithfulness.imputation import Imputation, Imputer
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.strategies.feature_masks import FeatureMask

__all__ = ["Removal", "Shares", "probability"]


def _shares(value: object) -> tuple[float, ...]:
    members = tuple(value) if isinstance(value, (tuple, list)) else ()
    if not members or not all(isinstance(m, float) and 0 < m < 1 for m in members):
        raise ArgumentError(f"fractions: expected shares between 0 and 1, such as (0.1, 0.5), got {value!r}")
    return members


Shares: TypeAlias = Annotated[tuple[float, ...], BeforeValidator(_shares)]
"""Shares of the features."""


def probability(output: Tensor) -> Tensor:
    """Return class probabilities; an output with a single class is left as it is."""
    return output.softmax(-1) if output.ndim > 1 and output.shape[-1] > 1 else output


class Removal(Metric, abstract=True):
    """Asks the model what it says of inputs without some of their features.

    Where the target is a function, what it returns of the raw output is followed: ``prob_fn`` has no say then.
    """

    baseline_fn: Imputation = Zeros()
    """What stands where a feature was: a baseline (``"zeros"``, ``"mean"``, ``"gaussian_blur"``, ``"uniform"``,
    ``Background(...)``, of token ids ``Pad(token_id=...)``) or, made of what is left, ``"linear"``."""
    feature_mask_fn: FeatureMask = "positions"  # type: ignore[assignment]
    """What is removed at once: every pixel, token, time step or column (``"positions"``), ``"patches"``, ``"grid"``,
    segments (``"slic"``), words, groups of columns; several inputs can have one each (``EachMask``)."""
    prob_fn: Callable[[Tensor], Tensor] | None = probability
    """Makes probabilities of the model's output: a softmax, unless there is a single output. None for a model that
    returns probabilities; ``torch.nn.functional.sigmoid`` for one of several labels."""

    category: ClassVar[Category] = "faithfulness"

    def features(self, sample: Sample) -> Features:
        """Return the features of a sample."""
        return Features.of(sample, *self.masking())

    def masking(self) -> tuple[FeatureMask, Baseline | Imputer]:
        """Return what belongs together, and what stands in."""
        return self.feature_mask_fn, self.baseline_fn
