"""How near perturbed inputs are to the original ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs
from pnpxai.tensors import as_tuple

__all__ = ["ExponentialKernel", "GroupProducts", "get_exp_kernel_similarity_function"]

_SMALLEST = 1e-8
"""The smallest norm of two inputs, as ``torch.cosine_similarity`` has it."""


@dataclass(frozen=True)
class ExponentialKernel:
    """``exp(-distance**2 / (2 * kernel_width**2))`` between all values of two inputs."""

    distance_mode: Literal["cosine", "euclidean"] = "cosine"
    kernel_width: float = 1.0

    def __post_init__(self) -> None:
        if self.distance_mode not in ("cosine", "euclidean"):
            raise ArgumentError(f"distance_mode: expected 'cosine' or 'euclidean', got {self.distance_mode!r}")
        if not self.kernel_width > 0:
            raise ArgumentError(f"kernel_width: expected a number > 0, got {self.kernel_width!r}")

    def __call__(self, original: ModelInputs, perturbed: ModelInputs, sample: object = None, **_: object) -> Tensor:
        """Return the similarity of two inputs (tensors, or tuples of them) as a tensor without dimensions."""
        left, right = (torch.cat([x.detach().double().flatten() for x in as_tuple(i)]) for i in (original, perturbed))
        if self.distance_mode == "cosine":
            distance = 1 - torch.cosine_similarity(left, right, dim=0)
        else:
            distance = torch.linalg.vector_norm(left - right)
        return self._of_distance(distance)

    def of_coalitions(self, present: Tensor, products: GroupProducts) -> Tensor:
        r"""Return (samples,) the similarity of an example and what it becomes when only some groups are present.

        What a sample S keeps is x, all else is b, so that dot products of x and x_S are sums over groups:
        x . x_S = \sum_{g in S} x_g . x_g + \sum_{g not in S} x_g . b_g, and so on.
        """
        xx, xb, bb = products.own, products.mixed, products.other
        s = present.double()
        if self.distance_mode == "euclidean":
            return self._of_distance(((1 - s) @ (xx - 2 * xb + bb)).clamp_min(0).sqrt())
        held = products.held
        dot = held + s @ xx + (1 - s) @ xb
        norms = ((held + xx.sum()) * (held + s @ xx + (1 - s) @ bb)).sqrt()
        return self._of_distance(1 - dot / norms.clamp_min(_SMALLEST))

    def _of_distance(self, distance: Tensor) -> Tensor:
        return torch.exp(-(distance**2) / (2 * self.kernel_width**2))


@dataclass(frozen=True)
class GroupProducts:
    """Dot products of an example x and what stands in for it, b, group by group.

    Attributes:
        own: (groups,) x_g . x_g.
        mixed: (groups,) x_g . b_g.
        other: (groups,) b_g . b_g.
        held: x . x of the elements that are in no group.
    """

    own: Tensor
    mixed: Tensor
    other: Tensor
    held: float


def get_exp_kernel_similarity_function(
    distance_mode: Literal["cosine", "euclidean"] = "cosine", kernel_width: float = 1.0
) -> ExponentialKernel:
    """Return an ``ExponentialKernel`` (captum's name for it)."""
    return ExponentialKernel(distance_mode, kernel_width)
