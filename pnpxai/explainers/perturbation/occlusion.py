"""What the score loses when a window slides over the input."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pnpxai.attributors import Occlusion as Backend
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.declare.declared import Choice
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import baselines_by
from pnpxai.explainers.perturbation.grouped import Perturbation
from pnpxai.strategies.feature_masks import positions_of
from pnpxai.tensors import Tensors

__all__ = ["Occlusion"]

Extent: TypeAlias = float | int | tuple[int, ...]
"""A fraction of each spatial axis (below one), a number of positions, or one number for each axis."""


class Occlusion(Perturbation):
    """Mean loss of score over the windows that cover a position. Zeiler and Fergus, 2014 (arXiv:1311.2901).

    A window covers all channels of its positions, or one of them.
    """

    window: Annotated[Extent, Choice(1 / 16, 1 / 8, 1 / 4)] = 1 / 8
    """Size of the window."""
    stride: Annotated[Extent, Choice(1 / 16, 1 / 8, 1 / 4)] = 1 / 16
    """How far it moves; not further than its size."""
    each_channel: bool = False
    """Windows cover one channel after the other, as is asked where channels are sensors."""

    def check(self) -> None:
        """Refuse extents that are not positive, and strides that leave gaps."""
        super().check()
        for name in ("window", "stride"):
            value = getattr(self, name)
            if not all(part > 0 for part in (value if isinstance(value, tuple) else (value,))):
                raise ArgumentError(f"Occlusion: {name}: expected a positive size or fraction, got {value!r}")
        alike = type(self.window) is type(self.stride) and not isinstance(self.window, tuple)
        if alike and self.stride > self.window:  # type: ignore[operator]
            raise ArgumentError(f"Occlusion: stride: expected at most the window {self.window}, got {self.stride}")

    def attributor(self) -> Configured:
        """Return ``Occlusion`` with windows sized to the inputs."""
        return Backend(self.forward_func).configured(
            sliding_window_shapes=FromInputs(lambda inputs: self._on(inputs)[0]),
            strides=FromInputs(lambda inputs: self._on(inputs)[1]),
            baselines=baselines_by(self.baseline_fn),
        )

    def _on(self, inputs: Tensors) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return windows and strides, one for each input."""
        windows, strides = [], []
        for x, axis in zip(inputs, self.channel_axes(inputs), strict=True):
            sides = tuple(positions_of(x, axis))
            window = _extents(self.window, sides, "window")
            stride = tuple(map(min, _extents(self.stride, sides, "stride"), window))
            if axis is not None:
                channels = (1 if self.each_channel else x.shape[axis],)
                window, stride = (extent[: axis - 1] + channels + extent[axis - 1 :] for extent in (window, stride))
            windows.append(window)
            strides.append(stride)
        return windows, strides


def _extents(extent: Extent, sides: tuple[int, ...], name: str) -> tuple[int, ...]:
    if isinstance(extent, tuple):
        if len(extent) != len(sides):
            raise ArgumentError(f"Occlusion: {name}: expected {len(sides)} numbers, got {extent}")
        return tuple(min(size, side) for size, side in zip(extent, sides, strict=True))
    if isinstance(extent, int):
        return tuple(min(extent, side) for side in sides)
    return tuple(min(max(1, round(extent * side)), side) for side in sides)
