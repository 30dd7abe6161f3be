"""Relative attributing propagation: rules of layers. Nam et al., 2020 (arXiv:1904.00605)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.composites import Composite, KernelRule, kernel_rules_before
from pnpxai.attributors.propagation.relevance.kernels import Kernel
from pnpxai.attributors.propagation.relevance.ledger import Ledger, Rule
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import Tensors, flat, own, sum_rows

__all__ = ["relative_composite"]

_Parts = tuple[tuple[Tensor, Tensor], ...]
"""Inputs and weights, a pair for each product."""


def relative_composite(stabilizer: float, *, boxed: bool) -> Composite:
    """Return the rules.

    Branches of a sum share by size: in proportion, a unit whose branches nearly cancel would hand on many times the
    relevance that the method takes from each active unit.

    Args:
        stabilizer: keeps denominators from zero; conservation does not depend on it.
        boxed: whether convolutions that get the inputs share within the range of an example's values (the z-box rule).
    """

    def inside(kernel: Kernel, ledger: Ledger) -> Rule:
        return Relative(kernel, ledger, stabilizer)

    def first(kernel: Kernel, ledger: Ledger) -> Rule:
        return RangeBox(kernel, ledger, stabilizer)

    return Composite(inside, inside, first if boxed else None, _NORMS, sums="size", finish=_mark_last)


_NORMS = frozenset({"batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"})
"""They hand relevance on: what they add and by what they multiply is no input's."""


def _mark_last(output: ModelOutput) -> None:
    """Let the layers that the output comes from share by the size of contributions."""
    for value in flat(output):
        for step in kernel_rules_before(value) if value.requires_grad else ():
            if isinstance(step, KernelRule) and isinstance(step.rule, Relative):
                step.rule.last = True


@dataclass
class Relative:
    """Positive contributions share all relevance, negative ones their part of it again, by size; then all active
    inputs give back as much of the surplus each, so that what helped less than others falls below zero.

    Layers that the output comes from share by the size of contributions alone. Biases get nothing.
    """

    kernel: Kernel
    ledger: Ledger = field(repr=False)
    stabilizer: float
    last: bool = False

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of the layer's input."""
        (x,) = operands
        w = self.kernel.weight
        if self.last:
            total = _total(self.kernel, ((x.abs(), w.abs()),))
            scale = _scale(relevance, total, self.stabilizer)
            self.ledger.note(epsilon=relevance - total * scale)
            return (_shared(self.kernel, (((x.abs(), w.abs()),), scale)),)
        (p, n), (wp, wn) = _signs(x), _signs(w)
        helping, hindering = ((p, wp), (n, wn)), ((-p, wn), (-n, wp))  # each product is positive
        by_helping = _total(self.kernel, helping)
        by_all = by_helping + _total(self.kernel, hindering)
        shares = _shared(
            self.kernel,
            (helping, _scale(relevance, by_helping, self.stabilizer)),
            (hindering, _scale(relevance, by_all, self.stabilizer)),
        )
        return (self._shifted(shares, relevance),)

    def _shifted(self, shares: Tensor, relevance: Tensor) -> Tensor:
        """Take the surplus from all inputs with relevance alike: of an example, or of a row of a linear layer."""
        active = (shares != 0).to(shares)
        if self.kernel.is_convolution:
            rows = self.ledger.size if shares.shape[0] % self.ledger.size == 0 else 1
            surplus = sum_rows(shares, rows) - sum_rows(relevance, rows)
            each = surplus / sum_rows(active, rows).clamp(min=1)
            each = each.repeat_interleave(shares.shape[0] // rows).reshape(-1, *[1] * (shares.ndim - 1))
        else:
            surplus = shares.sum(-1, keepdim=True) - relevance.sum(-1, keepdim=True)
            each = surplus / active.sum(-1, keepdim=True).clamp(min=1)
        shifted = shares - active * each
        if not self.kernel.is_convolution:
            self.ledger.note(rest=relevance.sum(-1) - shifted.sum(-1))
        elif shares.shape[0] % self.ledger.size == 0:
            self.ledger.note(rest=sum_rows(relevance, self.ledger.size) - sum_rows(shifted, self.ledger.size))
        return shifted


@dataclass(frozen=True)
class RangeBox:
    """The z-box rule between the smallest and the largest value of each example. Biases get nothing."""

    kernel: Kernel
    ledger: Ledger = field(repr=False)
    stabilizer: float

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of the layer's input."""
        (x,) = operands
        axes = tuple(range(1, x.ndim))
        own_places = self.kernel.own_places
        inside = torch.ones_like(x[:1], dtype=torch.bool) if own_places is None else own_places
        low, high = (torch.where(inside, limit, x) for limit in _range(x, inside, axes))  # constants have no range
        wp, wn = _signs(self.kernel.weight)
        products = ((x, self.kernel.weight), (-low, wp), (-high, wn))
        total = _total(self.kernel, products)
        scale = _scale(relevance, total, self.stabilizer)
        self.ledger.note(epsilon=relevance - total * scale)
        return (_shared(self.kernel, (products, scale)),)


def _range(x: Tensor, inside: Tensor, axes: tuple[int, ...]) -> Tensors:
    """Return the smallest and the largest value of each example, among those inside."""
    low, high = x.masked_fill(~inside, torch.inf), x.masked_fill(~inside, -torch.inf)
    return low.amin(axes, keepdim=True), high.amax(axes, keepdim=True)


def _total(kernel: Kernel, products: _Parts) -> Tensor:
    """Return the sum of what a layer without its bias gives for pairs of inputs and weights."""
    with torch.no_grad():
        return torch.stack([kernel.call(x, w, None) for x, w in products]).sum(0)


def _shared(kernel: Kernel, *groups: tuple[_Parts, Tensor]) -> Tensor:
    """Return the relevance of the inputs: what they contribute, times the scale of what they contribute to."""
    parts = []
    for products, scale in groups:
        for x, w in products:
            leaf = own(x).requires_grad_()
            (slope,) = torch.autograd.grad(kernel.call(leaf, w, None), leaf, scale)
            parts.append(x.detach() * slope)
    return torch.stack(parts).sum(0)


def _scale(relevance: Tensor, total: Tensor, stabilizer: float) -> Tensor:
    """Return relevance by total (not negative), small enough for the dtype to hold."""
    return relevance / (total + max(stabilizer, 16 * torch.finfo(total.dtype).smallest_normal))


def _signs(value: Tensor) -> tuple[Tensor, Tensor]:
    return value.clamp(min=0), value.clamp(max=0)
