"""How far a map's sums over random subsets are from what the score loses without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from pnpxai.metrics.base import Measurement, Sample
from pnpxai.metrics.faithfulness.removal import Removal
from pnpxai.metrics.faithfulness.subsets import losses

__all__ = ["Infidelity"]


class Infidelity(Removal):
    """Mean square of what is left of the losses of score when the map's sums are taken away. Yeh et al., 2019.

    arXiv:1901.09392. Asks whether a map predicts the *size* of what is lost when random features go, for maps whose
    values are shares of the score (as of IG or LRP, not of a plain gradient). Lower is better. By default it is free of
    scales: the map is multiplied by the best number that is not negative, and the result divided by the mean square
    loss, so that 0 is perfect and 1 is no better than a map of zeros. Depends on the size of the subsets and on what
    stands in for them. The masked run is that of ``FaithfulnessCorrelation`` with the same settings.
    """

    n_runs: Annotated[int, Ge(1)] = 100
    """Number of subsets."""
    subset_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the features in a subset."""
    normalize: bool = True
    """Whether to free it of scales; otherwise it is the paper's, in squares of the score, from 0 to any number."""
    prob_fn: Callable[[Tensor], Tensor] | None = None
    """What is made of the output first; by default nothing: the raw score is followed, as it is what is explained."""

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the infidelities; undefined where nothing is ever lost."""
        subsets = losses(self.model, sample, self.masking(), (self.subset_fraction,), self.n_runs)
        size = subsets.losses.square().mean(1)
        if not self.normalize:
            rest = (subsets.sums - subsets.losses).square().mean(1)
            return Measurement(rest, (None,) * sample.size, {"losses": subsets.losses})
        mass, both = subsets.sums.square().mean(1), (subsets.sums * subsets.losses).mean(1)
        fits = (mass > 0) & (both > 0)
        explained = torch.where(fits, both.square() / torch.where(fits, mass, torch.ones_like(mass)), 0.0)
        values = (1 - explained / torch.where(size > 0, size, torch.ones_like(size))).clamp(min=0)
        return Measurement.where(
            size > 0, values, "the score loses nothing without any subset", {"losses": subsets.losses}
        )

    def cost(self, inputs: object) -> int:
        """Return examples x (n_runs + 1)."""
        return self.examples(inputs) * (self.n_runs + 1)
