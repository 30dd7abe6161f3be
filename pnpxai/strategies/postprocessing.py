"""From attributions to the map that a person sees and a metric ranks: pooled over channels, then normalised."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from pnpxai.declare import Choice, Declared
from pnpxai.errors import ArgumentError
from pnpxai.strategies import normalization, pooling
from pnpxai.strategies.feature_masks import channel_axis
from pnpxai.tensors import as_tuple, like
from pnpxai.traits import Traits

__all__ = ["PostProcessor"]


class PostProcessor(Declared):
    """Pools over channels, then normalises each example's map."""

    pooling_fn: Annotated[pooling.Pooling, Choice()] = "sum"  # type: ignore[assignment]
    """How channels become one number."""
    normalization_fn: Annotated[normalization.Normalization, Choice()] = "identity"  # type: ignore[assignment]
    """How a map is scaled."""
    channel_dim: int | None | tuple[int | None, ...] = 1
    """The axis of channels; None where there are none; a tuple for several inputs, one each. Attributions with two
    dimensions (of ids, tables) have none in any case."""

    @classmethod
    def on(cls, traits: Traits) -> PostProcessor:
        """Return the default on such data."""
        axes = tuple(one.channel_dim for one in traits.each)
        pooling_fn = "identity" if all(axis is None for axis in axes) else "sum"
        return cls(pooling_fn=pooling_fn, channel_dim=axes if traits.others else axes[0])  # type: ignore[arg-type]

    def __call__(self, attributions: Tensor | tuple[Tensor, ...]) -> Any:
        """Return maps (examples, *positions), one for each tensor of attributions."""
        members = as_tuple(attributions, "attributions")
        axes = self.channel_dim if isinstance(self.channel_dim, tuple) else (self.channel_dim,) * len(members)
        if len(axes) != len(members):
            raise ArgumentError(f"PostProcessor: channel_dim: expected {len(members)}, one for each map, got {axes}")
        return like(attributions, [self._one(a, axis) for a, axis in zip(members, axes, strict=True)])

    def of(self, member: int) -> PostProcessor:
        """Return that of one of several inputs."""
        axes = self.channel_dim
        return self.replace(channel_dim=axes[member]) if isinstance(axes, tuple) else self

    def _one(self, attributions: Tensor, channel_dim: int | None) -> Tensor:
        axis = channel_axis(attributions, channel_dim)
        return self.normalization_fn(attributions if axis is None else self.pooling_fn(attributions, axis))
