"""Half of what an input is."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor

from pnpxai.declare.declared import Range
from pnpxai.strategies.baselines import Baseline, refuse_ids

__all__ = ["Half"]


class Half(Baseline):
    """A fraction of the input."""

    name: ClassVar[str] = "half"
    fraction: Annotated[float, Range(0.25, 0.75, step=0.25)] = 0.5
    """How much of it is left."""

    def __call__(self, values: Tensor) -> Tensor:
        """Return the fraction of ``values``."""
        refuse_ids(self, values)
        return self.fraction * values
