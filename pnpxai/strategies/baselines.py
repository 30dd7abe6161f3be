"""Defines the simple baselines. A baseline is an input without the evidence, with which the input is compared."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.declare.declared import Range
from pnpxai.errors import ArgumentError
from pnpxai.strategies.base import Strategy, each_by_name
from pnpxai.traits import Traits

__all__ = ["Baseline", "EachBaseline", "GaussianBlur", "Invert", "LocalMean", "Mean", "Zeros", "refuse_ids"]


class Baseline(Strategy, abstract=True):
    """Computes a baseline for each example, in the shape of the inputs."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return whether the baseline makes sense on such data: numbers can be blended, ids cannot."""
        return not traits.discrete


class Zeros(Baseline):
    """Is zero everywhere."""

    name: ClassVar[str] = "zeros"

    def __call__(self, values: Tensor) -> Tensor:
        """Return zeros like ``values``."""
        return torch.zeros_like(values)


class Mean(Baseline):
    """Replaces every value by its example's mean: over the positions of its channel, or over the channels."""

    name: ClassVar[str] = "mean"
    over: Literal["positions", "channels"] = "positions"
    """The axes of the mean: ``"positions"`` takes all but the examples and the channels (the second axis).

    ``"channels"`` takes the second axis alone: colours go and shapes stay.
    """

    def __call__(self, values: Tensor) -> Tensor:
        """Return the means, expanded to the shape of ``values``."""
        refuse_ids(self, values)
        if values.ndim == 1:  # a single number is its own mean
            return values.clone()
        axes = (1,) if self.over == "channels" else tuple(range(2, values.ndim)) or (1,)
        return values.mean(axes, keepdim=True).expand_as(values).contiguous()


Level = Annotated[
    float | tuple[float, ...] | None, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]


class Invert(Baseline):
    """Turns a picture x into its negative, low + high - x: dark becomes bright, and shapes stay."""

    name: ClassVar[str] = "invert"
    low: Level = None
    """Lowest value that a picture can have, or one for each channel; by default each example's lowest, per channel."""
    high: Level = None
    """Highest value that a picture can have, in the same way."""

    def check(self) -> None:
        """Refuse ``low`` without ``high``, and the reverse."""
        if (self.low is None) != (self.high is None):
            raise ArgumentError(f"Invert: low, high: expected both or neither, got {self.low!r} and {self.high!r}")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for pictures, which alone have a negative."""
        return traits.modality == "image"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the negatives of pictures (examples, channels, ...)."""
        refuse_ids(self, values)
        return self._end("low", values) + self._end("high", values) - values

    def _end(self, which: str, values: Tensor) -> Tensor:
        setting = getattr(self, which)
        if setting is None:
            axes = tuple(range(2, values.ndim))
            extreme = values.amin if which == "low" else values.amax
            return extreme(axes, keepdim=True) if axes else values
        level = torch.as_tensor(setting, dtype=values.dtype, device=values.device)
        if level.ndim and (values.ndim < 2 or len(level) != values.shape[1]):
            raise ArgumentError(f"Invert: {which}: expected one number or one per channel, got {setting!r}")
        return level.reshape(-1, *[1] * (values.ndim - 2)) if level.ndim else level


class GaussianBlur(Baseline):
    """Blurs pictures (examples, channels, height, width) with a Gaussian kernel."""

    name: ClassVar[str] = "gaussian_blur"
    kernel_size_x: Annotated[int, Ge(1), Range(1, 11, step=2)] = 3
    """Width of the kernel in pixels, an odd number."""
    kernel_size_y: Annotated[int, Ge(1), Range(1, 11, step=2)] = 3
    """Height of the kernel in pixels, an odd number."""
    sigma_x: Annotated[float, Gt(0), Range(0.05, 2.0, step=0.05)] = 0.5
    """Standard deviation along the width, in pixels."""
    sigma_y: Annotated[float, Gt(0), Range(0.05, 2.0, step=0.05)] = 0.5
    """Standard deviation along the height, in pixels."""

    def check(self) -> None:
        """Refuse even kernels, which would shift the picture."""
        for name in ("kernel_size_x", "kernel_size_y"):
            if getattr(self, name) % 2 == 0:
                raise ArgumentError(f"GaussianBlur: {name}: expected an odd number, got {getattr(self, name)}")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for pictures, which alone have neighbours in two directions."""
        return traits.modality == "image"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the blurred pictures; a kernel wider than the picture is cut to the largest that fits."""
        from torchvision.transforms.functional import gaussian_blur

        if values.ndim != 4:
            raise ArgumentError(
                f"GaussianBlur: expected pictures (examples, channels, y, x), got {values.ndim} dimensions"
            )
        refuse_ids(self, values)
        # the border is reflected, which needs a kernel of less than twice the side
        size = [
            min(width, 2 * side - 1)
            for width, side in ((self.kernel_size_x, values.shape[3]), (self.kernel_size_y, values.shape[2]))
        ]
        return gaussian_blur(values, size, [self.sigma_x, self.sigma_y])


class LocalMean(Baseline):
    """Averages a series over a window that moves along time: slow changes stay, sudden ones go."""

    name: ClassVar[str] = "local_mean"
    size: Annotated[int, Ge(1), Range(3, 31, step=2)] = 9
    """Number of time steps in the window around each step, an odd number; fewer at both ends of the series."""
    dim: int = -1
    """Axis of time."""

    def check(self) -> None:
        """Refuse even sizes, which would shift the series."""
        if self.size % 2 == 0:
            raise ArgumentError(f"LocalMean: size: expected an odd number, got {self.size}")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for series, which alone have an axis of time."""
        return traits.modality == "series"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the averages."""
        refuse_ids(self, values)
        if values.ndim == 1:
            return values.clone()
        time = values.movedim(self.dim, -1)
        flat = time.reshape(-1, 1, time.shape[-1])
        averaged = torch.nn.functional.avg_pool1d(
            flat, self.size, stride=1, padding=self.size // 2, count_include_pad=False
        )
        return averaged.reshape(time.shape).movedim(-1, self.dim).contiguous()


class EachBaseline(Baseline):
    """Uses another baseline for each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[tuple[Baseline, ...], each_by_name(Baseline)]
    """One baseline for each input, as objects or names."""

    def __call__(self, values: Tensor) -> Tensor:
        """Return the baseline of a model's only input."""
        return self.strategies[0](values)


def refuse_ids(strategy: Strategy, values: Tensor) -> None:
    """Refuse token ids: a strategy for numbers would turn them into the ids of other tokens.

    Raises:
        ArgumentError: the values are whole numbers.
    """
    if not values.is_floating_point():
        raise ArgumentError(
            f"{type(strategy).__name__}: expected floating point numbers, got {values.dtype}; "
            "of ids, take baseline_fn='token' or explain the embedding (layer=)"
        )
