"""Compares the gap of attributions with the size of the score, and decides which examples have no map."""

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
"""Largest gap, as a share of the scale, that is not reported."""
_MASS = 1e6
"""Largest sum of absolute attributions of a map, as a multiple of the scale."""


def base_values(outcome: Outcome, scores: Tensor) -> Tensor | None:
    """Return (examples,) base values: attributions sum to ``score - base value + gap``.

    They are None where neither the method nor the sum of attributions says them.
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
    """Return (examples,) ``|gap| / scale``, which is 0 where both are 0."""
    return torch.where(gap == 0, torch.zeros_like(gap), gap.abs() / scale.to(gap))


def without_map(outcome: Outcome, scale: Tensor) -> Tensor:
    """Return (examples,) True where the attributions break their law so far that they are not a map.

    That is where the gap is larger than the scale, or the sum of absolute attributions larger than 1e6 times the scale.
    """
    gap = outcome.gap
    if gap is None:
        return torch.zeros(len(scale), dtype=torch.bool)
    mass = torch.as_tensor(sum(sum_rows(a.abs(), len(gap)) for a in as_tuple(outcome.attributions)))
    # where all outputs are zero and the sum is right, evidence for and evidence against cancel: that is a map
    return (gap.abs() > scale.to(gap)) | ((mass > _MASS * scale.to(mass)) & (scale > 0))
