"""Explains by the scores of inputs under smooth random masks."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.attributors.perturbation.rise import RISE as Backend
from pnpxai.declare.declared import Range
from pnpxai.explainers.baseline_adapters import stand_ins_by
from pnpxai.explainers.perturbation.grouped import Perturbation
from pnpxai.explainers.sampled import Sampled

__all__ = ["RISE"]


class RISE(Sampled, Perturbation):
    """Computes 1/(n p) sum_k m_k (F(x * m_k) - mean F) over n smooth random masks m_k. Petsiuk et al., 2018.

    p is the ``probability`` that a mask lets a cell through (arXiv:1806.07421). Subtracting the mean score shifts a map
    by a constant and removes most of its noise. Token ids and columns of a table are masked one by one.
    """

    n_masks: Annotated[int, Ge(1), Range(100, 1000, step=100)] = 500
    """Number of masks; the paper takes 4000 to 8000 for pictures of 224 x 224 pixels."""
    grid_size: Annotated[int, Ge(1), Range(4, 12, step=1)] = 7
    """Cells of a mask along each axis, before it is enlarged."""
    probability: Annotated[float, Gt(0), Lt(1), Range(0.1, 0.9, step=0.1)] = 0.5
    """Probability that a cell of a mask lets the input through."""
    each_channel: bool = False
    """Whether each channel has masks of its own, as is asked where channels are sensors."""

    draws: ClassVar[str | None] = "n_masks"

    def attributor(self) -> Configured:
        """Return ``RISE`` over the positions."""
        return Backend(self.forward_func).configured(
            baselines=stand_ins_by(self.baseline_fn),
            n_masks=self.n_masks,
            grid_size=self.grid_size,
            probability=self.probability,
            channel_axes=FromInputs(self.channel_axes),
            each_channel=self.each_channel,
        )
