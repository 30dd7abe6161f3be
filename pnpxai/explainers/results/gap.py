"""How large a gap is beside the score it belongs to, and which examples have no map at all."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.attributors.base import Outcome
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import Tensors, as_tuple, flat, sum_rows

__all__ = ["TOLERANCE", "base_values", "missed", "scale_of", "without_map"]

TOLERANCE = 0.01
"""The largest gap, as a share of the scale, that goes without saying."""
_MASS = 1e6
"""The largest sum of absolute attributions, as a multiple of the scale, that can be a map."""


def base_values(outcome: Outcome, scores: Tensor) -> Tensor | None:
    """Return (examples,) the scores that attributions start from, where their sum or the method says it.

    Attributions sum to ``score - base value + gap``.
    """
    if outcome.base_value is not None or outcome.gap is None or outcome.sinks:
        return outcome.base_value
    total = sum(sum_rows(a, len(outcome.gap)) for a in as_tuple(outcome.attributions))
    return scores - (total - outcome.gap)


def scale_of(scores: Tensor, base: Tensor | None, output: ModelOutput) -> Tensor:
    """Return (examples,) the largest of ``|score|``, ``|score - base value|`` and ``|any output of that example|``."""
    size = len(scores)
    scale = scores.abs()
    if base is not None:
        scale = torch.maximum(scale, (scores - base).abs())
    try:
        outputs: Tensors = (select_output(output),)
    except ArgumentError:  # a function of the whole output is explained
        outputs = flat(output)
    for tensor in outputs:
        if tensor.is_floating_point() and tensor.shape[:1] == (size,):
            scale = torch.maximum(scale, tensor.detach().abs().reshape(size, -1).amax(1).to(scale))
    return scale


def missed(gap: Tensor, scale: Tensor) -> Tensor:
    """Return (examples,) ``|gap| / scale``; 0 where both are."""
    return torch.where(gap == 0, torch.zeros_like(gap), gap.abs() / scale.to(gap))


def without_map(outcome: Outcome, scale: Tensor) -> Tensor:
    """Return (examples,) whether what a law says is so far off that the attributions are no map.

    So it is where the gap is larger than the scale, or the sum of absolute attributions larger than 1e6 times it.
    """
    gap = outcome.gap
    if gap is None:
        return torch.zeros(len(scale), dtype=torch.bool)
    mass = torch.as_tensor(sum(sum_rows(a.abs(), len(gap)) for a in as_tuple(outcome.attributions)))
    # where all outputs are zero and the sum is right, evidence for and against cancels out
    return (gap.abs() > scale.to(gap)) | ((mass > _MASS * scale.to(mass)) & (scale > 0))
