"""A convolution and normalisations used in any way, and passes of it with kept kernels."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor, nn

from pnpxai.engine.speed.kernels import KeptKernels
from pnpxai.tensors import check_finite


class Block(nn.Module):
    """A convolution of (examples, 3, 8, 8) and two ways to normalise it, used as a test says."""

    def __init__(self, way: Callable[[Block, Tensor], Tensor], *, bias: bool = True) -> None:
        super().__init__()
        self.conv, self.norm, self.other = nn.Conv2d(3, 4, 3, padding=1, bias=bias), _norm(), _norm()
        self.way, self.passes, self.kept = way, 0, list[Tensor]()
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.way(self, x).square().flatten(1).sum(1)


def in_line(block: Block, x: Tensor) -> Tensor:
    return torch.relu(block.norm(block.conv(x)))


def one_pass(model: nn.Module, x: Tensor, *, gradients: bool = False) -> Tensor:
    """Return what a model gives, or its gradient."""
    with torch.set_grad_enabled(gradients):
        leaf = x.detach().clone().requires_grad_(gradients)
        result = model(leaf)
        result = torch.autograd.grad(result.sum(), leaf)[0] if gradients else result
    check_finite("result", (result,))
    return result


def kept_passes(model: nn.Module, x: Tensor, count: int = 5, *, gradients: bool = False) -> list[Tensor]:
    """Return what passes with kept kernels give."""
    kept = KeptKernels(model).around(one_pass)
    return [kept(model, x, gradients=gradients) for _ in range(count)]


def normalisations(model: nn.Module, x: Tensor, count: int = 5, *, gradients: bool = False) -> list[int]:
    """Return how many normalisations run in each of some passes with kept kernels."""
    kept, counts = KeptKernels(model).around(one_pass), list[int]()
    for _ in range(count):
        with mock.patch.object(torch, "batch_norm", wraps=torch.batch_norm) as ran:
            kept(model, x, gradients=gradients)
        counts.append(ran.call_count)
    return counts


def _norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(4, eps=0.1)
    for name, tensor in norm.state_dict().items():
        if name == "running_var":
            nn.init.uniform_(tensor, 0.5, 2)
        elif tensor.is_floating_point():
            nn.init.normal_(tensor)
    return norm
