"""What the score loses when a window slides over the input."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from torch import Tensor

from pnpxai.attributors import Occlusion as Backend
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.declare import Choice
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer, baselines_by
from pnpxai.strategies.baselines import Baseline

__all__ = ["Occlusion"]

Extent: TypeAlias = float | int | tuple[int, ...]
"""A fraction of each spatial axis (below one), a number of positions, or one number for each axis."""


class Occlusion(Explainer):
    """Mean loss of score over the windows that cover a position. Zeiler and Fergus, 2014 (arXiv:1311.2901).

    A window covers all channels of its positions.
    """

    window: Annotated[Extent, Choice(1 / 16, 1 / 8, 1 / 4)] = 1 / 8
    """Size of the window."""
    stride: Annotated[Extent, Choice(1 / 16, 1 / 8, 1 / 4)] = 1 / 16
    """How far it moves; not further than its size."""
    baseline_fn: Annotated[Baseline, Choice()] = "zeros"  # type: ignore[assignment]
    """What stands in the window instead."""

    needs_gradient: ClassVar[bool] = False
    repeated: ClassVar[bool] = True

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
            sliding_window_shapes=FromInputs(lambda inputs: tuple(self._on(x)[0] for x in inputs)),
            strides=FromInputs(lambda inputs: tuple(self._on(x)[1] for x in inputs)),
            baselines=baselines_by(self.baseline_fn),
        )

    def _on(self, values: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return window and stride for an input; an axis of channels is covered whole."""
        channels = tuple(values.shape[1:2]) if values.ndim > 2 else ()
        sides = tuple(values.shape[1 + len(channels) :])
        window = _extents(self.window, sides, "window")
        stride = tuple(map(min, _extents(self.stride, sides, "stride"), window))
        return (*channels, *window), (*channels, *stride)


def _extents(extent: Extent, sides: tuple[int, ...], name: str) -> tuple[int, ...]:
    if isinstance(extent, tuple):
        if len(extent) != len(sides):
            raise ArgumentError(f"Occlusion: {name}: expected {len(sides)} numbers, got {extent}")
        return tuple(min(size, side) for size, side in zip(extent, sides, strict=True))
    if isinstance(extent, int):
        return tuple(min(extent, side) for side in sides)
    return tuple(min(max(1, round(extent * side)), side) for side in sides)
