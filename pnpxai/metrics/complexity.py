"""How many features a map spreads its mass over."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.metrics.base import Category, Measurement, Metric, Sample

__all__ = ["Complexity", "Sparseness", "entropy"]

_ZERO = "the map is zero everywhere"


class Complexity(Metric):
    """Entropy of a map's mass, in nats: p_i = |a_i| / sum |a|. Bhatt et al., 2020 (arXiv:2005.00631).

    Asks how many features a reader has to look at. From 0 (one feature) to ln(features) (all alike), lower is better.
    Says nothing of truth: a single wrong pixel is perfect.
    """

    n_bins: int = 10
    """Accepted for compatibility; the entropy is that of the mass, not of a histogram of values."""

    higher_is_better: ClassVar[bool] = False
    category: ClassVar[Category] = "complexity"

    def judge(self, sample: Sample) -> Measurement:
        """Return the entropies; undefined for a map of zeros."""
        masses = [m.abs() for m in sample.of_each(sample.maps)]
        values = torch.stack([entropy(m) for m in masses])
        return Measurement.where([bool(m.any()) for m in masses], values, _ZERO)

    def cost(self, inputs: object) -> int:
        """Return 0: only the map is looked at."""
        return 0


class Sparseness(Metric):
    """Gini index of a map's absolute values. Chalasani et al., 2020 (arXiv:1810.06583).

    Asks how unevenly the mass is spread. From 0 (all alike) to 1 - 1/features (one feature), higher is better. Says
    nothing of truth, as ``Complexity``.
    """

    higher_is_better: ClassVar[bool] = True
    category: ClassVar[Category] = "complexity"

    def judge(self, sample: Sample) -> Measurement:
        """Return the indices; undefined for a map of zeros."""
        masses = [m.abs() for m in sample.of_each(sample.maps)]
        return Measurement.where([bool(m.any()) for m in masses], torch.stack([_gini(m) for m in masses]), _ZERO)

    def cost(self, inputs: object) -> int:
        """Return 0: only the map is looked at."""
        return 0


def entropy(mass: Tensor) -> Tensor:
    """Return the entropy of the shares that (features,) masses have of their sum, in nats; of no mass, zero."""
    return torch.special.entr(mass / _or_one(mass.sum())).sum()


def _gini(mass: Tensor) -> Tensor:
    ascending = mass.sort().values
    weight = 2 * torch.arange(1, len(mass) + 1, device=mass.device, dtype=mass.dtype) - len(mass) - 1
    return (weight * ascending).sum() / (len(mass) * _or_one(mass.sum()))


def _or_one(number: Tensor) -> Tensor:
    return torch.where(number > 0, number, torch.ones_like(number))
