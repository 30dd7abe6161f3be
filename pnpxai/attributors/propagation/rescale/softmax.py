"""Differences through softmax, its logarithm and its normaliser.

With p = softmax(x), p' = softmax(x') and the logarithmic mean L_i = (p_i - p'_i) / (log p_i - log p'_i),

    p_i - p'_i = L_i ((x_i - x'_i) - sum_j w_j (x_j - x'_j)),    w_j = L_j / sum_k L_k,

exactly: log p_i - log p'_i is the difference of x_i less that of the normaliser, and both p and p' sum to one. So the
normaliser's difference is the weighted mean, whatever the distance of the logits; nothing overflows, and no multiplier
exceeds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pnpxai.attributors.propagation.rescale.step import Reference
from pnpxai.tensors import Tensors

__all__ = ["Softmax", "SoftmaxForm"]

SoftmaxForm = Literal["softmax", "log_softmax", "logsumexp"]


@dataclass(frozen=True)
class Softmax:
    """The rule above, of the softmax, its logarithm, or the normaliser (keeping the axis or not)."""

    axis: int | tuple[int, ...]
    form: SoftmaxForm = "softmax"
    keepdim: bool = True

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of the logits."""
        axis = self.axis
        kind = torch.promote_types(grad.dtype, torch.float32) if grad.dtype.itemsize < 4 else grad.dtype
        logs = [x.to(kind) - x.to(kind).logsumexp(axis, keepdim=True) for x in (operands[0], reference.operands[0])]
        means = _logarithmic_means(*logs)
        weights = means / means.sum(axis, keepdim=True)
        grad = grad.to(kind)
        if self.form == "softmax":
            return (means * (grad - (grad * weights).sum(axis, keepdim=True)),)
        if self.form == "log_softmax":
            grad = grad.masked_fill(~(torch.isfinite(logs[0]) & torch.isfinite(logs[1])), 0.0)
            return (grad - weights * grad.sum(axis, keepdim=True),)
        if not self.keepdim:
            axes = (axis,) if isinstance(axis, int) else axis
            for position in sorted(a % operands[0].ndim for a in axes):
                grad = grad.unsqueeze(position)
        return (weights * grad,)


def _logarithmic_means(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return (p - q) / (log p - log q); p where they are equal, 0 where one of them is."""
    distance = (log_p - log_q).abs()
    near = distance < torch.finfo(distance.dtype).tiny
    shrink = -torch.expm1(-distance) / torch.where(near, torch.ones_like(distance), distance)
    means = torch.maximum(log_p, log_q).exp() * torch.where(near, torch.ones_like(shrink), shrink)
    return means.nan_to_num(0.0)
