"""From attributions to the map that a person sees and a metric ranks: pooled over channels, then normalised."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from pnpxai.declare.declared import Choice, Declared
from pnpxai.errors import ArgumentError
from pnpxai.strategies.base import for_each
from pnpxai.strategies.feature_masks import channel_axis
from pnpxai.strategies.normalization import Normalization
from pnpxai.strategies.pooling import EachPooling, Pooling
from pnpxai.tensors import as_tuple, like
from pnpxai.traits import Traits

__all__ = ["PostProcessor"]


class PostProcessor(Declared):
    """Pools over channels, then normalises each example's map."""

    pooling_fn: Annotated[Pooling | str, Choice()] = "sum"
    """How channels become one number."""
    normalization_fn: Annotated[Normalization | str, Choice()] = "identity"
    """How a map is scaled."""
    channel_dim: int | None | tuple[int | None, ...] = 1
    """The axis of channels; None where there are none; a tuple for several inputs, one each. Attributions with two
    dimensions (of ids, tables) have none in any case."""

    @classmethod
    def on(cls, traits: Traits) -> PostProcessor:
        """Return the default on such data: channels are added up, but for series, which show each channel."""
        axes = tuple(one.channel_dim for one in traits.each)
        apart = [one.channel_dim is None or one.modality == "series" for one in traits.each]
        names = tuple("identity" if own else "sum" for own in apart)
        pooling_fn = names[0] if len(set(names)) == 1 else EachPooling(names)  # type: ignore[arg-type]
        return cls(pooling_fn=pooling_fn, channel_dim=axes if traits.others else axes[0])  # type: ignore[arg-type]

    def __call__(self, attributions: Tensor | tuple[Tensor, ...]) -> Any:
        """Return maps (examples, *positions), one for each tensor of attributions.

        Raises:
            ArgumentError: there are not as many as axes of channels; a single one may be that of a picture among them.
        """
        members = as_tuple(attributions, "attributions")
        axes = self.channel_dim if isinstance(self.channel_dim, tuple) else (self.channel_dim,) * len(members)
        parts = list(zip(axes, for_each(self.pooling_fn, axes), for_each(self.normalization_fn, axes), strict=True))
        if len(members) == 1 and 1 in axes:  # of several inputs, that of a class activation map, (examples, 1, ...)
            parts = [parts[axes.index(1)]]
        if len(parts) != len(members):
            raise ArgumentError(f"PostProcessor: channel_dim: expected {len(members)}, one for each map, got {axes}")
        return like(attributions, [_processed(a, *part) for a, part in zip(members, parts, strict=True)])

    def of(self, member: int) -> PostProcessor:
        """Return that of one of several inputs."""
        axes = self.channel_dim
        own: dict[str, Any] = {"channel_dim": axes[member]} if isinstance(axes, tuple) else {}
        for name in ("pooling_fn", "normalization_fn"):
            each = getattr(getattr(self, name), "strategies", None)
            if each is not None:
                own[name] = each[member]
        return self.replace(**own)


def _processed(attributions: Tensor, channel_dim: int | None, pool: Pooling, norm: Normalization) -> Tensor:
    axis = channel_axis(attributions, channel_dim)
    return norm(attributions if axis is None else pool(attributions, axis))
