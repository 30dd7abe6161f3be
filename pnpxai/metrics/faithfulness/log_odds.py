"""Log odds of each class against all others together: what a score is followed by where probabilities saturate."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.metrics.faithfulness.removal import sums_to_one

__all__ = ["log_odds"]


def log_odds(output: Tensor) -> Tensor:
    """Return log p - log(1 - p) of each class, p being the softmax; of what is none of several classes, the output.

    Of logits z it is z_k - logsumexp of the others, computed so. Classes are on the last axis, those of pictures
    (rows, classes, height, width) on the second. Outputs that sum to one are taken for probabilities.
    """
    axis = 1 if output.ndim > 3 else -1
    if output.ndim < 2 or output.shape[axis] < 2 or not output.is_floating_point():
        return output
    exact = output.to(torch.promote_types(output.dtype, torch.float32))
    if sums_to_one(output, axis):
        exact = exact.clamp(min=torch.finfo(exact.dtype).tiny).log()
    log_p = exact.log_softmax(axis)
    first = log_p.argmax(axis, keepdim=True)
    highest = torch.zeros_like(log_p, dtype=torch.bool).scatter(axis, first, True)
    others = log_p.masked_fill(highest, -torch.inf).logsumexp(axis, keepdim=True)  # exact where p is near 1
    below = torch.log1p(-log_p.masked_fill(highest, -torch.inf).exp().clamp(max=0.5))
    return log_p - torch.where(highest, others, below)
