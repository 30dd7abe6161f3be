"""From attributions to the map that a person sees and a metric ranks: pooled over channels, then normalised."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from pnpxai.declare import Choice, Declared
from pnpxai.strategies import normalization, pooling
from pnpxai.tensors import as_tuple, like
from pnpxai.traits import Traits

__all__ = ["PostProcessor"]


class PostProcessor(Declared):
    """Pools over channels, then normalises each example's map."""

    pooling_fn: Annotated[pooling.Pooling, Choice()] = "sum"  # type: ignore[assignment]
    """How channels become one number."""
    normalization_fn: Annotated[normalization.Normalization, Choice()] = "identity"  # type: ignore[assignment]
    """How a map is scaled."""
    channel_dim: int | None = 1
    """The axis of channels; None where there are none."""

    @classmethod
    def on(cls, traits: Traits) -> PostProcessor:
        """Return the default on such data."""
        return cls(pooling_fn="identity" if traits.channel_dim is None else "sum", channel_dim=traits.channel_dim)  # type: ignore[arg-type]

    def __call__(self, attributions: Tensor | tuple[Tensor, ...]) -> Any:
        """Return maps (examples, *positions), one for each tensor of attributions."""
        maps = [self._one(a) for a in as_tuple(attributions, "attributions")]
        return like(attributions, maps)

    def _one(self, attributions: Tensor) -> Tensor:
        if self.channel_dim is not None:
            attributions = self.pooling_fn(attributions, self.channel_dim)
        return self.normalization_fn(attributions)
