"""Positions that the model does not see, such as padding: no players, without draws, of no value."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.engine.running.padding import padding_masks
from pnpxai.model_types import ForwardArgs, Model
from pnpxai.tensors import Tensors

__all__ = ["filled", "unseen", "without"]


def unseen(forward: Model, tensors: Tensors, extra: ForwardArgs) -> tuple[Tensor | None, ...]:
    """Return for each input (examples, positions) true where the model does not look; see ``padding_masks``.

    None where nothing is left out.
    """
    masks = [mask for mask in padding_masks(forward, tensors, extra) if bool(mask.any())]
    return tuple(next((m for m in masks if m.shape == x.shape[:2] and _of_tokens(x)), None) for x in tensors)


def without(values: Tensor, hidden: Tensor | None) -> Tensor:
    """Return a map with zeros where positions (examples, positions) are hidden, if it has these positions."""
    if hidden is None or values.shape[:2] != hidden.shape:
        return values
    shape = (*hidden.shape, *[1] * (values.ndim - hidden.ndim))
    return values.masked_fill(hidden.reshape(shape).to(values.device), 0)


def filled(x: Tensor, hidden: Tensor | None) -> Tensor:
    """Return an input with each example's first seen position at those that are hidden, so that its range is its own.

    An example that is hidden as a whole stays.
    """
    if hidden is None:
        return x
    out = hidden.to(x.device)
    first = x[torch.arange(len(x), device=x.device), out.long().argmin(1)]
    return torch.where(out.reshape(*out.shape, *[1] * (x.ndim - 2)), first.unsqueeze(1), x)


def _of_tokens(x: Tensor) -> bool:
    return x.ndim == 3 or (x.ndim == 2 and not x.is_floating_point())
