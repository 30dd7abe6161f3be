"""Holds facts about data: which axis holds channels, how many hold positions, whether values are discrete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Traits"]


@dataclass(frozen=True)
class Traits:
    """What strategies and explainers need to know of one input of a model.

    Attributes:
        modality: the name of the kind of data: image, text, series, table, or that of another ``Modality``.
        channel_dim: the axis of a batched input (or map) whose entries belong to one position; None without channels.
        positions: number of axes of positions: two for pictures, one for texts, series and tables.
        discrete: whether the values are ids, which cannot be blended.
        others: facts about the model's further explained inputs, where there are several.
        ready: strategies made for this data (with its tokenizer's ids, its pictures' range), which are taken instead
            of the default one of their name.
    """

    modality: str
    channel_dim: int | None
    positions: int
    discrete: bool = False
    others: tuple[Traits, ...] = ()
    ready: tuple[Any, ...] = field(default=(), compare=False, repr=False)

    @property
    def each(self) -> tuple[Traits, ...]:
        """The facts about every input, one by one."""
        return (replace(self, others=()), *self.others)

    def shared(self, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return settings that explainers and metrics share on such data, where they have them.

        These are the axis of channels, and of series that each channel, which is a sensor, is a feature of its own.

        Args:
            settings: more of them, which go first.
        """
        with_channels = [one for one in self.each if one.channel_dim is not None]
        sensors = bool(with_channels) and all(one.modality == "series" for one in with_channels)
        return {"channel_dim": self.channel_dim, **({"each_channel": True} if sensors else {}), **(settings or {})}

    @classmethod
    def image(cls, channel_dim: int = 1) -> Traits:
        """Pictures (examples, channels, height, width)."""
        return cls("image", channel_dim, 2)

    @classmethod
    def text(cls, channel_dim: int = -1) -> Traits:
        """Token ids (examples, tokens); their maps have an embedding axis at ``channel_dim``."""
        return cls("text", channel_dim, 1, discrete=True)

    @classmethod
    def series(cls, channel_dim: int | None = 1) -> Traits:
        """Series (examples, channels, time)."""
        return cls("series", channel_dim, 1)

    @classmethod
    def table(cls, discrete: bool = False) -> Traits:
        """Rows of columns (examples, columns), of numbers or of the ids of categories."""
        return cls("table", None, 1, discrete)
