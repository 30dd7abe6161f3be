"""Writes losses in elementary operations, since a loss of each example is a target too."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.engine.seeing.cells import Gate
from pnpxai.engine.seeing.operations import Operation

__all__ = ["LOSS_PARTS"]


def _reduced(values: Tensor, reduction: str, count: Tensor | int | None = None) -> Tensor:
    if reduction == "none":
        return values
    return values.sum() if reduction == "sum" else values.sum() / (values.numel() if count is None else count)


def _squared(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean", **rest: object
) -> Tensor:
    return _reduced(torch.square(x - target), reduction)


def _absolute(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean", **rest: object
) -> Tensor:
    return _reduced(torch.abs(x - target), reduction)


def _huber(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
    **rest: object,
) -> Tensor:  # fmt: skip
    size = torch.abs(x - target)
    near = size.clamp(max=delta)
    return _reduced(near * (size - near / 2), reduction)


def _smooth_absolute(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean",
    beta: float = 1.0, **rest: object,
) -> Tensor:  # fmt: skip
    return _huber(gate, function, x, target, reduction, beta) / beta


def _likelihood(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean",
    ignore_index: int = -100, **rest: object,
) -> Tensor:  # fmt: skip
    axis = 1 if x.dim() > 1 else 0
    if target.is_floating_point():  # probabilities of the classes
        values = -(x * target).sum(axis)
        return _reduced(values, reduction)
    counted = target != ignore_index
    places = target.masked_fill(~counted, 0).unsqueeze(axis)
    values = -x.gather(axis, places).squeeze(axis).masked_fill(~counted, 0.0)
    return _reduced(values, reduction, counted.sum())


def _cross_entropy(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, **rest: object
) -> Tensor:  # fmt: skip
    return _likelihood(gate, function, x.log_softmax(1 if x.dim() > 1 else 0), target, *old, **rest)  # type: ignore[arg-type]


def _binary(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean", **rest: object
) -> Tensor:
    yes, no = torch.log(x).clamp(min=-100), torch.log(1 - x).clamp(min=-100)
    return _reduced(-(yes * target + no * (1 - target)), reduction)


def _binary_of_logits(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean", **rest: object
) -> Tensor:
    return _reduced(F.softplus(x) - x * target, reduction)


def _divergence(
    gate: Gate, function: Operation, x: Tensor, target: Tensor, *old: object, reduction: str = "mean",
    log_target: bool = False, **rest: object,
) -> Tensor:  # fmt: skip
    values = target.exp() * (target - x) if log_target else torch.xlogy(target, target) - x * target
    return values.sum() / len(x) if reduction == "batchmean" else _reduced(values, reduction)


LOSS_PARTS = {
    "mse_loss": _squared,
    "l1_loss": _absolute,
    "huber_loss": _huber,
    "smooth_l1_loss": _smooth_absolute,
    "nll_loss": _likelihood,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary,
    "binary_cross_entropy_with_logits": _binary_of_logits,
    "kl_div": _divergence,
}
"""Losses by name. Settings that these forms leave out, such as weights, show in another value and are refused."""
