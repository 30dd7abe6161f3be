"""What all metrics share that remove features: which belong together, and what stands in for them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

from annotated_types import Gt, Lt
from pydantic import BeforeValidator

from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Category, Metric, Sample
from pnpxai.metrics.features import Features
from pnpxai.metrics.imputation import Imputation, Imputer
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.strategies.feature_masks import FeatureMask

__all__ = ["Removal", "Share", "Shares"]

Share: TypeAlias = Annotated[float, Gt(0), Lt(1)]
"""A share of the features."""


def _shares(given: Any) -> Any:
    members = tuple(given) if isinstance(given, (tuple, list)) else ()
    if not members or not all(isinstance(m, float) and 0 < m < 1 for m in members):
        raise ArgumentError(f"fractions: expected shares between 0 and 1, such as (0.1, 0.5), got {given!r}")
    return members


Shares: TypeAlias = Annotated[tuple[float, ...], BeforeValidator(_shares)]
"""Shares of the features."""


class Removal(Metric, abstract=True):
    """Asks the model what it says of inputs without some of their features."""

    baseline_fn: Imputation = Zeros()
    """What stands where a feature was: a baseline (``"zeros"``, ``"mean"``, ``"gaussian_blur"``, ``"uniform"``,
    ``Background(...)``, of token ids ``Pad(token_id=...)``) or, made of what is left, ``"linear"``."""
    feature_mask_fn: FeatureMask = "positions"  # type: ignore[assignment]
    """What is removed at once: every pixel, token, time step or column (``"positions"``), ``"patches"``, ``"grid"``,
    segments (``"slic"``), words, groups of columns; several inputs can have one each (``EachMask``)."""

    category: ClassVar[Category] = "faithfulness"

    def features(self, sample: Sample) -> Features:
        """Return the features of a sample."""
        return Features.of(sample, *self.masking())

    def masking(self) -> tuple[FeatureMask, Baseline | Imputer]:
        """Return what belongs together, and what stands in."""
        return self.feature_mask_fn, self.baseline_fn
