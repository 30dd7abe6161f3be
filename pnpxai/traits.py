"""Holds facts about data: the axis of channels, the number of axes of positions, whether values are discrete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pnpxai.strategies.base import Strategy

__all__ = ["Traits"]


@dataclass(frozen=True)
class Traits:
    """Holds the facts about one input of a model that strategies and explainers use.

    Attributes:
        modality: name of the kind of data: image, text, series, table, or that of another ``Modality``.
        channel_dim: axis of channels in a batched input (or map); None without channels.
        positions: number of axes of positions: two for pictures, one for texts, series and tables.
        discrete: True if the values are ids, which cannot be blended.
        others: facts about the model's further explained inputs, if there are several.
        ready: strategies made for this data (with its tokenizer's ids, its pictures' range), which replace the default
            strategy of the same name.
    """

    modality: str
    channel_dim: int | None
    positions: int
    discrete: bool = False
    others: tuple[Traits, ...] = ()
    ready: tuple[Strategy, ...] = field(default=(), compare=False, repr=False)

    @property
    def each(self) -> tuple[Traits, ...]:
        """The facts about every input, one by one."""
        return (replace(self, others=()), *self.others)

    def shared(self, settings: Mapping[str, object] | None = None) -> dict[str, object]:
        """Return the settings that explainers and metrics share on such data, if they have them.

        These are the axis of channels, and for series ``each_channel``, since each channel is a sensor.

        Args:
            settings: further settings, which take precedence.
        """
        with_channels = [one for one in self.each if one.channel_dim is not None]
        sensors = bool(with_channels) and all(one.modality == "series" for one in with_channels)
        return {"channel_dim": self.channel_dim, **({"each_channel": True} if sensors else {}), **(settings or {})}

    @classmethod
    def image(cls, channel_dim: int = 1) -> Traits:
        """Return the facts about pictures (examples, channels, height, width)."""
        return cls("image", channel_dim, 2)

    @classmethod
    def text(cls, channel_dim: int = -1) -> Traits:
        """Return the facts about token ids (examples, tokens); maps of embeddings have an axis ``channel_dim``."""
        return cls("text", channel_dim, 1, discrete=True)

    @classmethod
    def series(cls, channel_dim: int | None = 1) -> Traits:
        """Return the facts about series (examples, channels, time)."""
        return cls("series", channel_dim, 1)

    @classmethod
    def table(cls, discrete: bool = False) -> Traits:
        """Return the facts about tables (examples, columns) of numbers, or of ids of categories."""
        return cls("table", None, 1, discrete)
