"""How much of a map its largest value is."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from pnpxai.metrics.base import Measurement, Metric
from pnpxai.metrics.sample import Sample

__all__ = ["LargestShare"]


class LargestShare(Metric):
    """max|a| / sum|a|: 1 if all lies on one value. Range: 1/n to 1."""

    higher_is_better: ClassVar[bool] = True
    category = "complexity"

    def judge(self, sample: Sample) -> Measurement:
        """Return the shares."""
        flat = torch.cat([a.flatten(1) for a in sample.attributions], 1).abs()
        total = flat.sum(1)
        return Measurement.where(total > 0, flat.amax(1) / total, "the map is zero everywhere")

    def cost(self, inputs: Any) -> int:
        """Return zero: it runs no model."""
        return 0
