"""Which positions the score goes by under smooth random masks."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.attributors.perturbation.rise import RISE as Backend
from pnpxai.declare.declared import Range
from pnpxai.explainers.baseline_adapters import stand_ins_by
from pnpxai.explainers.perturbation.grouped import Perturbation

__all__ = ["RISE"]


class RISE(Perturbation):
    """Mean score over smooth random masks, weighted by what they let through. Petsiuk et al., 2018 (arXiv:1806.07421).

    The mean score is taken from all scores first, which moves a map by a constant and removes most of its noise. Token
    ids and the columns of a table are drawn one by one.
    """

    n_masks: Annotated[int, Ge(1), Range(100, 1000, step=100)] = 500
    """Number of masks; the paper takes 4000 to 8000 for pictures of 224 x 224 pixels."""
    grid_size: Annotated[int, Ge(1), Range(4, 12, step=1)] = 7
    """Cells of a mask along each axis, before it is enlarged."""
    probability: Annotated[float, Gt(0), Lt(1), Range(0.1, 0.9, step=0.1)] = 0.5
    """That a cell lets the input through."""

    stochastic: ClassVar[bool] = True

    def attributor(self) -> Configured:
        """Return ``RISE`` over the positions."""
        return Backend(self.forward_func).configured(
            baselines=stand_ins_by(self.baseline_fn),
            n_masks=self.n_masks,
            grid_size=self.grid_size,
            probability=self.probability,
            channel_axes=FromInputs(self.channel_axes),
        )
