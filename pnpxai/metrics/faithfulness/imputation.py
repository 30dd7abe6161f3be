"""What stands where a feature was: a baseline's value, or one made of what is left."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar, TypeAlias

import torch
from annotated_types import Ge
from pydantic import BeforeValidator
from torch import Tensor
from torch.nn import functional

from pnpxai.attributors import RelativeNoise
from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import every
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError, UnsuitableError, did_you_mean
from pnpxai.strategies.baselines import Baseline, GaussianBlur
from pnpxai.tensors import own

__all__ = ["Blurred", "Constant", "Fill", "Imputation", "Imputer", "Linear", "filling"]

Fill: TypeAlias = Callable[[Tensor, range], Tensor]
"""Fills an input where positions are gone: of truth values (steps, examples in the range, ...) with a single channel,
makes (steps, examples in the range, ...) values."""


class Imputer(Declared, abstract=True):
    """Fills in what was removed, from what is left; may be given wherever a metric takes a baseline."""

    name: ClassVar[str]

    @abstractmethod
    def on(self, inputs: Tensor, channel_axis: int | None, stream: RandomStream) -> Fill:
        """Return what fills these inputs (examples, ...)."""


class Constant(Imputer):
    """The same value everywhere."""

    name: ClassVar[str] = "constant"
    value: float = 0.0
    """The value; of ids, a whole number."""

    def on(self, inputs: Tensor, channel_axis: int | None, stream: RandomStream) -> Fill:
        """Return what writes the value."""
        if not inputs.is_floating_point() and self.value != int(self.value):
            raise ArgumentError(f"Constant: value: expected a whole number in the place of ids, got {self.value}")
        return _by(torch.full_like(inputs, self.value), inputs)


class Blurred(Imputer):
    """A picture blurred until nothing can be told (a Gaussian of five pixels); of other data, zeros."""

    name: ClassVar[str] = "blurred"

    def on(self, inputs: Tensor, channel_axis: int | None, stream: RandomStream) -> Fill:
        """Return what writes the blurred values."""
        if inputs.ndim != 4 or channel_axis is None or not inputs.is_floating_point():
            return _by(torch.zeros_like(inputs), inputs)
        blur = GaussianBlur(kernel_size_x=31, kernel_size_y=31, sigma_x=5.0, sigma_y=5.0)
        return _by(blur(inputs.movedim(channel_axis, 1)).movedim(1, channel_axis), inputs)


class Linear(Imputer):
    """Each removed position is the weighted mean of its neighbours, removed ones too, with a little noise.

    The noisy linear imputation of ROAD (Rong et al., 2022, arXiv:2202.00449), which gives away little of the shape of
    what was removed. The equations are solved for a whole batch by relaxation from coarse to fine. Pictures and series
    only; where nothing is left, the example's mean stands.
    """

    name: ClassVar[str] = "linear"
    noise: Annotated[float, Ge(0)] = 0.01
    """Standard deviation of the noise, as a fraction of each example's range (max - min)."""
    n_iter: Annotated[int, Ge(1)] = 20
    """Relaxations at each scale; more make the solution more exact."""

    def on(self, inputs: Tensor, channel_axis: int | None, stream: RandomStream) -> Fill:
        """Return what solves the equations.

        Raises:
            UnsuitableError: the inputs have no neighbours (tables, ids), or more than two axes of positions.
        """
        if channel_axis is None or inputs.ndim not in (3, 4) or not inputs.is_floating_point():
            raise UnsuitableError(
                "baseline_fn: 'linear' needs numbers with channels and one or two axes of positions, got "
                f"{tuple(inputs.shape)} of {inputs.dtype} with channel_dim={channel_axis}"
            )
        spread = RelativeNoise(self.noise)(inputs)
        noise = spread * stream.of_examples((inputs,)).draws("imputation").normal(inputs.shape[1:], inputs)
        pictures = _picture(inputs, channel_axis).to(torch.promote_types(inputs.dtype, torch.float32))
        middle = pictures.mean((2, 3), keepdim=True)

        def fill(gone: Tensor, examples: range) -> Tensor:
            part = slice(examples.start, examples.stop)
            steps = len(gone)
            removed = _picture(gone.flatten(0, 1), channel_axis)
            values = (pictures - middle)[part].repeat(steps, 1, 1, 1)
            solved = _relaxed(values, removed, self.n_iter) + middle[part].repeat(steps, 1, 1, 1)
            solved = solved if inputs.ndim == 4 else solved[:, :, 0]
            full = solved.movedim(1, channel_axis).reshape(steps, len(examples), *inputs.shape[1:])
            return torch.where(gone, full.to(inputs) + noise.expand_as(inputs)[part], inputs[part])

        return fill


def _by_name(value: object) -> object:
    if not isinstance(value, str):
        return value
    known = {cls.name: cls for base in (Baseline, Imputer) for cls in every(base)}
    if value not in known:
        raise ArgumentError(f"baseline_fn: no baseline or imputer {value!r}{did_you_mean(value, known)}")
    return known[value]()


Imputation: TypeAlias = Annotated[Baseline | Imputer, BeforeValidator(_by_name)]
"""A baseline (``"zeros"``, ``"mean"``, ...) or an imputer (``"linear"``), by name or as an object."""


def filling(
    by: Baseline | Imputer,
    inputs: Tensor,
    channel_axis: int | None,
    stream: RandomStream,
    counted: Tensor | None = None,
) -> Fill:
    """Return what fills inputs where positions are gone.

    An example of which some positions do not count, such as padding, is filled as it would be without them: nothing is
    made of them. What holds rows as long as the whole batch is, and thus fits no shorter example, sees all.

    Args:
        by: what fills.
        inputs: (examples, ...).
        channel_axis: the axis of channels.
        stream: random numbers of these examples.
        counted: (examples, positions) the positions that count, where inputs have a single axis of positions.

    Raises:
        ShapeError: the baseline does not have the shape of the inputs.
    """
    if counted is not None and counted.ndim == 2 and counted.shape == inputs.shape[:2] and not bool(counted.all()):
        with contextlib.suppress(ShapeError):
            return _of_counted(by, inputs, channel_axis, stream, counted)
    if isinstance(by, Imputer):
        return by.on(inputs, channel_axis, stream)
    blank = by(own(inputs))
    if blank.shape != inputs.shape:
        raise ShapeError(f"baseline_fn: expected values of shape {tuple(inputs.shape)}, got {tuple(blank.shape)}")
    return _by(blank.to(inputs), inputs)


def _of_counted(
    by: Baseline | Imputer, inputs: Tensor, channel_axis: int | None, stream: RandomStream, counted: Tensor
) -> Fill:
    fills = [
        filling(by, inputs[k : k + 1, row], channel_axis, stream.take([k])) if bool(row.any()) else None
        for k, row in enumerate(counted)
    ]

    def fill(gone: Tensor, examples: range) -> Tensor:
        rows = inputs[examples.start : examples.stop].expand(len(gone), -1, *inputs.shape[1:]).clone()
        for k, example in enumerate(examples):
            own, row = fills[example], counted[example]
            if own is not None:
                rows[:, k, row] = own(gone[:, k : k + 1, row], range(1))[:, 0]
        return rows

    return fill


def _by(blank: Tensor, inputs: Tensor) -> Fill:
    return lambda gone, examples: torch.where(
        gone, blank[examples.start : examples.stop], inputs[examples.start : examples.stop]
    )


def _picture(values: Tensor, channel_axis: int) -> Tensor:
    """Return (rows, channels, y, x); a series is a picture of height one."""
    turned = values.movedim(channel_axis, 1)
    return turned if turned.ndim == 4 else turned[:, :, None]


_NEIGHBOURS = torch.tensor([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]])
"""Weights of the eight neighbours: those at the corners count half."""


def _relaxed(values: Tensor, gone: Tensor, n_iter: int) -> Tensor:
    """Return values (rows, channels, y, x) that where ``gone`` (rows, 1, y, x) are the mean of their neighbours."""
    rows, channels, height, width = values.shape
    known = (~gone).to(values)
    if max(height, width) == 1:
        return values * known  # where nothing is left, zero: the example's mean
    halves = (2 if height > 1 else 1, 2 if width > 1 else 1)
    share = functional.avg_pool2d(known, halves, ceil_mode=True)
    means = functional.avg_pool2d(values * known, halves, ceil_mode=True) / share.clamp(min=1e-9)
    coarse = _relaxed(means, share == 0, n_iter)
    guess = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    solution = torch.where(gone, guess, values)
    kernel = _NEIGHBOURS.to(values)[None, None]
    norm = functional.conv2d(torch.ones_like(values[:1, :1]), kernel, padding=1)
    for _ in range(n_iter):
        flat = solution.reshape(rows * channels, 1, height, width)
        around = functional.conv2d(flat, kernel, padding=1).reshape(values.shape) / norm
        solution = torch.where(gone, around, solution)
    return solution
