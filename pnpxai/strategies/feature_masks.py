"""What counts as one feature: ids over positions, equal ids belonging together."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.declare import Range
from pnpxai.strategies.base import Strategy

__all__ = ["FeatureMask", "Patches", "Positions"]


class FeatureMask(Strategy, abstract=True):
    """Gives feature ids 0, 1, ... for maps (examples, *positions): shape (1, *positions) or (examples, *positions)."""


class Positions(FeatureMask):
    """Every pixel, token, time step or column is a feature of its own."""

    name: ClassVar[str] = "positions"

    def __call__(self, values: Tensor) -> Tensor:
        """Return running numbers."""
        shape = values.shape[1:]
        return torch.arange(shape.numel(), device=values.device).reshape(1, *shape)


class Patches(FeatureMask):
    """Squares of pixels (intervals of a series); those at the far border may be smaller."""

    name: ClassVar[str] = "patches"
    size: Annotated[int, Ge(1), Range(2, 16, step=2)] = 4
    """Side of a patch, in positions."""

    def __call__(self, values: Tensor) -> Tensor:
        """Return the number of the patch of each position."""
        ids = torch.zeros((), dtype=torch.long)
        for side in values.shape[1:]:
            along = torch.arange(side) // self.size
            ids = ids[..., None] * int(along[-1] + 1) + along
        return ids.to(values.device)[None]
