"""What an input is compared with: an input from which the evidence is gone."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from pnpxai.declare import Range
from pnpxai.errors import ArgumentError
from pnpxai.strategies.base import Strategy
from pnpxai.traits import Traits

__all__ = ["Baseline", "GaussianBlur", "Mean", "Zeros"]


class Baseline(Strategy, abstract=True):
    """Gives a baseline of the shape of the inputs."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Tell whether it makes sense on such data: numbers can be blended, ids cannot."""
        return not traits.discrete


class Zeros(Baseline):
    """Zero everywhere."""

    name: ClassVar[str] = "zeros"

    def __call__(self, values: Tensor) -> Tensor:
        """Return zeros like ``values``."""
        return torch.zeros_like(values)


class Mean(Baseline):
    """Each example's mean over its positions, per channel where there are channels."""

    name: ClassVar[str] = "mean"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the means, expanded to the shape of ``values``."""
        if values.ndim == 1:  # a single number is its own mean
            return values.clone()
        axes = tuple(range(2, values.ndim)) or (1,)
        return values.mean(axes, keepdim=True).expand_as(values).contiguous()


class GaussianBlur(Baseline):
    """A blurred picture (examples, channels, height, width)."""

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
        """Only pictures have neighbours in two directions."""
        return traits.modality == "image"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the blurred pictures; a kernel wider than the picture is cut to the largest that fits."""
        from torchvision.transforms.functional import gaussian_blur

        if values.ndim != 4:
            raise ArgumentError(
                f"GaussianBlur: expected pictures (examples, channels, y, x), got {values.ndim} dimensions"
            )
        # the border is reflected, which needs a kernel of less than twice the side
        size = [
            min(width, 2 * side - 1)
            for width, side in ((self.kernel_size_x, values.shape[3]), (self.kernel_size_y, values.shape[2]))
        ]
        return gaussian_blur(values, size, [self.sigma_x, self.sigma_y])
