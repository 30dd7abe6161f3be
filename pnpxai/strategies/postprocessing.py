"""Turns attributions into the map that a person sees and a metric ranks: pooled over channels, then normalised."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from pnpxai.declare.declared import Choice, Declared
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions
from pnpxai.strategies.base import for_each
from pnpxai.strategies.feature_masks import channel_axis
from pnpxai.strategies.normalization import Normalization
from pnpxai.strategies.pooling import EachPooling, Pooling
from pnpxai.tensors import as_tuple, like
from pnpxai.traits import Traits

__all__ = ["PostProcessor"]


class PostProcessor(Declared):
    """Pools attributions over channels, then normalises the map of each example."""

    pooling_fn: Annotated[Pooling | str, Choice()] = "sum"
    """Pooling, which makes one number of the channels at a position."""
    normalization_fn: Annotated[Normalization | str, Choice()] = "identity"
    """Normalisation, which sets the scale of a map."""
    channel_dim: int | None | tuple[int | None, ...] = 1
    """Axis of channels; None where there are none. For several inputs, a tuple with the axis of each.

    Attributions with two dimensions (of ids or tables) are taken as without channels.
    """

    @classmethod
    def on(cls, traits: Traits) -> PostProcessor:
        """Return the default for such data: it adds channels up, except those of series, which are shown one by one."""
        axes = tuple(one.channel_dim for one in traits.each)
        apart = [one.channel_dim is None or one.modality == "series" for one in traits.each]
        names = ["identity" if own else "sum" for own in apart]
        pooling_fn = names[0] if len(set(names)) == 1 else EachPooling(tuple(map(Pooling.from_name, names)))
        return cls(pooling_fn=pooling_fn, channel_dim=axes if traits.others else axes[0])

    def __call__(self, attributions: Tensor | tuple[Tensor, ...]) -> Attributions:
        """Return maps (examples, *positions), one for each tensor of attributions.

        Raises:
            ArgumentError: the number of maps differs from the number of axes in ``channel_dim``. A single map is
                accepted beside several axes if one of them is 1: it is the class activation map of a picture.
        """
        members = as_tuple(attributions, "attributions")
        axes = self.channel_dim if isinstance(self.channel_dim, tuple) else (self.channel_dim,) * len(members)
        parts = list(zip(axes, for_each(self.pooling_fn, axes), for_each(self.normalization_fn, axes), strict=True))
        if len(members) == 1 and 1 in axes:  # a class activation map (examples, 1, ...) belongs to the picture
            parts = [parts[axes.index(1)]]
        if len(parts) != len(members):
            raise ArgumentError(f"PostProcessor: channel_dim: expected {len(members)}, one for each map, got {axes}")
        return like(attributions, [_processed(a, *part) for a, part in zip(members, parts, strict=True)])

    def of(self, member: int) -> PostProcessor:
        """Return the post-processor for one of several inputs."""
        axes = self.channel_dim
        own: dict[str, object] = {"channel_dim": axes[member]} if isinstance(axes, tuple) else {}
        for name in ("pooling_fn", "normalization_fn"):
            each = getattr(getattr(self, name), "strategies", None)
            if each is not None:
                own[name] = each[member]
        return self.replace(**own)


def _processed(attributions: Tensor, channel_dim: int | None, pool: Pooling, norm: Normalization) -> Tensor:
    axis = channel_axis(attributions, channel_dim)
    return norm(attributions if axis is None else pool(attributions, axis))
