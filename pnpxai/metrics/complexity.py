"""How many features a map spreads its mass over."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.features import position_maps

__all__ = ["Complexity"]


class Complexity(Metric):
    """Entropy of a map's mass, in nats: p_i = |a_i| / sum |a|. Bhatt et al., 2020 (arXiv:2005.00631).

    From 0 (one feature) to ln(features) (all alike), lower is better. Says nothing of truth: a single wrong pixel is
    perfect.
    """

    channel_dim: int | None = 1
    """The axis of channels, which are added up first; None where there are none."""
    n_bins: int = 10
    """Accepted for compatibility; the entropy is that of the mass, not of a histogram of values."""

    higher_is_better: ClassVar[bool] = False
    category: ClassVar[Category] = "complexity"

    def judge(self, sample: Sample) -> Measurement:
        """Return the entropies; undefined for a map of zeros."""
        maps = position_maps(sample.attributions, sample.tensors, self.channel_dim)
        mass = torch.cat([m.flatten(1).abs() for m in maps], 1)
        total = mass.sum(1, keepdim=True)
        share = mass / torch.where(total > 0, total, torch.ones_like(total))
        reasons = tuple(None if t > 0 else "the map is zero everywhere" for t in total[:, 0])
        return Measurement(torch.special.entr(share).sum(1), reasons)

    def cost(self, inputs: Any) -> int:
        """Return 0: only the map is looked at."""
        return 0
