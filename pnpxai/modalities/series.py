"""Series of one or several channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.errors import ArgumentError
from pnpxai.modalities.base import ALONG_TIME, Modality, Names, width
from pnpxai.pictures import View
from pnpxai.traits import Traits

__all__ = ["TimeSeriesModality"]


class TimeSeriesModality(Modality):
    """Series, of one or several channels."""

    name: ClassVar[str] = "series"
    channel_dim: Annotated[int | None, BeforeValidator(lambda axis: {-1: 2, -2: 1}.get(axis, axis))] = 1
    """The axis of channels: 1 (or -2) in (examples, channels, time), 2 (or -1) in (examples, time, channels), None
    without."""
    feature_names: Names = ()
    """The channels' names."""

    def check(self) -> None:
        """Refuse an axis that a series does not have."""
        if self.channel_dim not in (None, 1, 2):
            raise ArgumentError(f"channel_dim: expected 1, 2 or None for a series, got {self.channel_dim}")

    @property
    def traits(self) -> Traits:
        """One axis of time."""
        return Traits.series(self.channel_dim)

    @classmethod
    def recognised(cls, values: Tensor, model: Callable[..., Any]) -> tuple[Modality, str] | None:
        """Recognise three axes, or two and a layer along time; the first layer tells which axis holds channels."""
        if not values.is_floating_point() or values.ndim not in (2, 3):
            return None
        if values.ndim == 2:
            alone = width(model, ALONG_TIME) is not None
            return (cls(channel_dim=None), "numbers in two dimensions, and a layer along time") if alone else None
        wanted = width(model, (*ALONG_TIME, nn.Linear))
        last = wanted == values.shape[2] != values.shape[1]
        if wanted == values.shape[1] == values.shape[2]:
            last = width(model, (nn.Conv1d,)) is None
        return cls(channel_dim=2 if last else 1), "numbers in three dimensions are series"

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return a view with the channels' names."""
        return View("series", self.channel_dim, names=self.feature_names, classes=classes)
