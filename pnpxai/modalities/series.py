"""Series of one or several channels."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.engine.running.guard import module_of
from pnpxai.errors import ArgumentError
from pnpxai.modalities.base import ALONG_TIME, Modality, Names, along_time, runs, width
from pnpxai.model_types import Model
from pnpxai.pictures import View
from pnpxai.traits import Traits

__all__ = ["TimeSeriesModality"]

_CHANNELS = ("num_input_channels", "input_channels", "enc_in", "input_size", "n_channels")
"""What configurations call the number of channels of a series."""


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
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Recognise three axes, or two if the model takes rows of any length or has a layer along time.

        Raises:
            ArgumentError: which axis holds channels cannot be told.
        """
        if not values.is_floating_point() or values.ndim not in (2, 3):
            return None
        if values.ndim == 2:
            alone = along_time(model, values)
            return (cls(channel_dim=None), "numbers in two dimensions, and a layer along time") if alone else None
        return cls(channel_dim=_channel_axis(values, model)), "numbers in three dimensions are series"

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return a view with the channels' names."""
        return View("series", self.channel_dim, names=self.feature_names, classes=classes)


def _channel_axis(values: Tensor, model: Model) -> int:
    """Return the axis of channels of series: 1 or 2.

    The configuration of a transformers model may state the number of channels. Else the first layer may take as many
    as one axis has. Else the model runs on series without their last step: the axis of time alone may be shorter.
    """
    sizes = {1: values.shape[1], 2: values.shape[2]}
    config = getattr(module_of(model), "config", None)
    stated = [getattr(config, name, None) for name in _CHANNELS]
    for count in [n for n in stated if isinstance(n, int)]:
        if [axis for axis, size in sizes.items() if size == count] in ([1], [2]):
            return next(axis for axis, size in sizes.items() if size == count)
    wanted = width(model, (*ALONG_TIME, nn.Linear))
    if sizes[1] != sizes[2] and wanted in sizes.values():
        return 1 if wanted == sizes[1] else 2
    if wanted == sizes[1] == sizes[2]:
        return 1 if width(model, (nn.Conv1d,)) is not None else 2
    if wanted is None or not runs(model, values):
        return 1
    shorter = [axis for axis in (1, 2) if sizes[axis] > 1 and runs(model, values.narrow(axis, 0, sizes[axis] - 1))]
    if len(shorter) == 1:
        return 3 - shorter[0]
    raise ArgumentError(
        f"modality: which axis of {tuple(values.shape)} holds channels cannot be told from the model; give "
        "the layout: modality=pnpxai.modalities.TimeSeriesModality(channel_dim=1) for (examples, channels, time), "
        "channel_dim=2 for (examples, time, channels)"
    )
