"""How near perturbed inputs are to the original ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.tensors import as_tuple

__all__ = ["ExponentialKernel", "get_exp_kernel_similarity_function"]


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

    def __call__(self, original: Any, perturbed: Any, sample: Any = None, **_: Any) -> Tensor:
        """Return the similarity of two inputs (tensors, or tuples of them) as a tensor without dimensions."""
        left, right = (torch.cat([x.detach().double().flatten() for x in as_tuple(i)]) for i in (original, perturbed))
        if self.distance_mode == "cosine":
            distance = 1 - torch.cosine_similarity(left, right, dim=0)
        else:
            distance = torch.linalg.vector_norm(left - right)
        return torch.exp(-(distance**2) / (2 * self.kernel_width**2))


def get_exp_kernel_similarity_function(
    distance_mode: Literal["cosine", "euclidean"] = "cosine", kernel_width: float = 1.0
) -> ExponentialKernel:
    """Return an ``ExponentialKernel`` (captum's name for it)."""
    return ExponentialKernel(distance_mode, kernel_width)
