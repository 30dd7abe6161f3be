"""Explains by windows that slide over the input and hide it, of one size or of three."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator

from pnpxai.attributors import MultiScale
from pnpxai.attributors import Occlusion as Backend
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.declare.declared import Choice
from pnpxai.errors import ArgumentError
from pnpxai.explainers.baseline_adapters import stand_ins_by
from pnpxai.explainers.perturbation.grouped import Perturbation
from pnpxai.strategies.feature_masks import positions_of
from pnpxai.tensors import Tensors

__all__ = ["MultiScaleOcclusion", "Occlusion"]

Extent: TypeAlias = float | int | tuple[int, ...]
"""A fraction of each spatial axis (below one), a number of positions, or one number for each axis."""
_MOST_WINDOWS = 400
_SMALLEST = {1: 4, 2: 3}
"""Smallest side of a window, by the number of axes: of a series, of a picture."""
_ALONG_TIME, _IN_SPACE = (1 / 2, 1, 2), (2 / 3, 1, 5 / 3)
"""Window sizes of several scales, as shares of the default one."""


class _Windowed(Perturbation, abstract=True):
    """Slides windows over the inputs and hides what they cover."""

    def check(self) -> None:
        """Refuse extents that are not positive, and strides that leave gaps."""
        super().check()
        for name, extents in self._extents():
            for value in extents:
                if isinstance(value, str):
                    continue
                if not all(part > 0 for part in (value if isinstance(value, tuple) else (value,))):
                    raise ArgumentError(
                        f"{type(self).__name__}: {name}: expected a positive size or fraction, got {value!r}"
                    )

    @abstractmethod
    def _extents(self) -> list[tuple[str, tuple[Extent | str, ...]]]:
        """Return the settings that are extents, by name."""

    def _occlusion(self, window: Extent | str, stride: Extent | str, each_channel: bool, scale: int = 1) -> Configured:
        """Return ``Occlusion`` with windows sized to the inputs; ``scale`` is 0, 1 or 2 for smaller to larger ones."""

        def on(inputs: Tensors) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
            windows, strides = [], []
            for x, axis in zip(inputs, self.channel_axes(inputs), strict=True):
                sides = tuple(positions_of(x, axis))
                columns = x.ndim == 2 and x.is_floating_point()  # neighbours of a column mean nothing
                tokens = x.ndim == 2 or (x.ndim == 3 and self.layer_holds_tokens)
                if window == "auto":
                    size = (1,) * len(sides) if columns or tokens else _smallest(sides, scale)
                else:
                    size = _sizes(window, sides, "window", columns)
                move = (
                    tuple(max(1, n // 3) for n in size)
                    if stride == "auto"
                    else _sizes(stride, sides, "stride", columns)
                )
                move = tuple(map(min, move, size))
                if axis is not None:
                    channels = (1 if each_channel else x.shape[axis],)
                    size, move = (extent[: axis - 1] + channels + extent[axis - 1 :] for extent in (size, move))
                windows.append(size)
                strides.append(move)
            return windows, strides

        return Backend(self.forward_func).configured(
            sliding_window_shapes=FromInputs(lambda inputs: on(inputs)[0]),
            strides=FromInputs(lambda inputs: on(inputs)[1]),
            baselines=stand_ins_by(self.baseline_fn),
        )


class Occlusion(_Windowed):
    """Computes the mean of F(x) - F(x without w) over the windows w at a position. Zeiler and Fergus, 2014.

    F is the score and x the input (arXiv:1311.2901). A window covers all channels of its positions, or one of them.
    """

    window: Annotated[Extent | Literal["auto"], Choice("auto", 1 / 16, 1 / 8, 1 / 4)] = "auto"
    """Size of the window. "auto": one column, one token, and on pictures and series the smallest from 3 x 3 pixels or 4
    steps on of which at most 400 cover an example. Fractions of a table's columns are one column, too;
    those of tokens go by the length with padding."""
    stride: Annotated[Extent | Literal["auto"], Choice("auto", 1 / 16, 1 / 8, 1 / 4)] = "auto"
    """Distance between windows, at most the size of a window. "auto": a third of the window, at least one position."""
    each_channel: bool = False
    """Windows cover one channel after the other, as is asked where channels are sensors."""

    smallest: ClassVar[Mapping[str, object]] = {"window": 1 / 4, "stride": 1 / 8}
    first_choice: ClassVar[int | None] = 6

    def check(self) -> None:
        """Refuse extents that are not positive, and strides that leave gaps."""
        super().check()
        alike = type(self.window) is type(self.stride) and not isinstance(self.window, (tuple, str))
        if alike and self.stride > self.window:  # type: ignore[operator]
            raise ArgumentError(f"Occlusion: stride: expected at most the window {self.window}, got {self.stride}")

    def _extents(self) -> list[tuple[str, tuple[Extent | str, ...]]]:
        return [("window", (self.window,)), ("stride", (self.stride,))]

    def attributor(self) -> Configured:
        """Return ``Occlusion`` with windows sized to the inputs."""
        return self._occlusion(self.window, self.stride, self.each_channel)


class MultiScaleOcclusion(_Windowed):
    """Computes the mean of ``Occlusion`` maps for several sizes of windows, each scaled to standard deviation 1.

    Small windows reveal small evidence, and large windows evidence that is lost only as a whole; nobody has to choose a
    size. On tables and tokens, where all windows are one position, it is ``Occlusion``. After Zeiler and Fergus, 2014
    (arXiv:1311.2901).
    """

    windows: Annotated[
        tuple[Extent, ...] | Literal["auto"], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
    ] = "auto"
    """Sizes of the windows, each of which moves by a third of itself. "auto": two thirds, one and five thirds of the
    default window of ``Occlusion`` on pictures (2, 3 and 5 pixels on small ones), a half, one and two on series (2, 4
    and 8 steps), one column or token."""
    each_channel: bool = False
    """Windows cover one channel after the other, as is asked where channels are sensors."""

    smallest: ClassVar[Mapping[str, object]] = {"windows": (1 / 4,)}

    def _extents(self) -> list[tuple[str, tuple[Extent | str, ...]]]:
        return [("windows", self.windows if isinstance(self.windows, tuple) else ())]

    def attributor(self) -> MultiScale:
        """Return the mean of the scaled maps."""
        if isinstance(self.windows, tuple):
            return MultiScale([self._occlusion(size, "auto", self.each_channel) for size in self.windows])
        return MultiScale([self._occlusion("auto", "auto", self.each_channel, scale) for scale in range(3)])


def _smallest(sides: tuple[int, ...], scale: int) -> tuple[int, ...]:
    """Return the smallest window with which at most ``_MOST_WINDOWS`` cover an example, scaled for ``scale``."""
    size = _SMALLEST.get(len(sides), 3)
    while math.prod(math.ceil((side - min(size, side)) / max(1, size // 3)) + 1 for side in sides) > _MOST_WINDOWS:
        size += 1
    factor = (_ALONG_TIME if len(sides) == 1 else _IN_SPACE)[scale]
    return tuple(min(max(1, round(size * factor)), side) for side in sides)


def _sizes(extent: Extent | str, sides: tuple[int, ...], name: str, columns: bool) -> tuple[int, ...]:
    """Return an extent as positions along each axis."""
    if isinstance(extent, tuple):
        if len(extent) != len(sides):
            raise ArgumentError(f"Occlusion: {name}: expected {len(sides)} numbers, got {extent}")
        return tuple(min(size, side) for size, side in zip(extent, sides, strict=True))
    if isinstance(extent, int):
        return tuple(min(extent, side) for side in sides)
    return tuple(1 if columns else min(max(1, round(float(extent) * side)), side) for side in sides)
