"""Maps by position: channels added up, padding left out, ground truth in the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.arguments import Arguments
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.feature_masks import channel_axis, positions_of
from pnpxai.tensors import Tensors, own

__all__ = ["Masks", "attended", "position_maps", "position_masks", "position_shape"]

Masks: TypeAlias = tuple[Tensor | None, ...]
"""For each input, (examples, *positions) truth values, or None where nothing is said."""


def position_maps(attributions: Tensors, inputs: Tensors, channel_dim: int | None) -> Tensors:
    """Return maps without channels, (examples, *positions), one for each input, of at least single precision.

    A map with as many dimensions as its input (of three or more) is summed over ``channel_dim``; one with a dimension
    less is taken as it is; so is a map of a table (examples, columns).

    Raises:
        ShapeError: a map does not fit its input.
    """
    if len(attributions) != len(inputs):
        raise ShapeError(
            f"attributions: expected one for each of {len(inputs)} inputs, got {len(attributions)}; maps of all inputs "
            "are judged together"
        )
    return tuple(_positions(a, x, channel_dim) for a, x in zip(attributions, inputs, strict=True))


def _positions(attribution: Tensor, tensor: Tensor, channel_dim: int | None) -> Tensor:
    exact = attribution.to(torch.promote_types(attribution.dtype, torch.float32))  # half precision does not add up
    axis, wanted = channel_axis(tensor, channel_dim), position_shape(tensor, channel_dim)
    if axis is not None and exact.ndim == tensor.ndim:
        exact = exact.sum(axis)
    elif axis is None and exact.ndim == tensor.ndim + 1:  # token ids, explained at their embedding
        exact = exact.sum(-1)
    if exact.shape != wanted:
        raise ShapeError(
            f"attributions: expected a map of shape {tuple(wanted)} (with or without channels) for an input of shape "
            f"{tuple(tensor.shape)}, got {tuple(attribution.shape)}"
        )
    return exact


def position_shape(tensor: Tensor, channel_dim: int | None) -> torch.Size:
    """Return (examples, *positions) of an input."""
    return torch.Size((tensor.shape[0], *positions_of(tensor, channel_dim)))


def attended(arguments: Arguments, channel_dim: int | None) -> Masks:
    """Return the positions that count (not the padding): what the model's ``attention_mask`` says, if that fits."""
    mask = arguments.keywords.get("attention_mask")
    shapes = [position_shape(x, channel_dim) for x in arguments.explained]
    fits = isinstance(mask, Tensor) and shapes == [mask.shape]
    return position_masks(mask if fits else (None,) * len(shapes), arguments.explained, channel_dim, "attention_mask")


def position_masks(masks: object, inputs: Tensors, channel_dim: int | None, name: str) -> Masks:
    """Return boolean masks of the positions of inputs; an axis of one channel is taken away.

    Args:
        masks: a tensor of truth values (or of 0 and 1), or one for each input, None where nothing is said of it.
        inputs: what the positions are of.
        channel_dim: the axis of channels.
        name: what the masks are called in errors.

    Raises:
        ArgumentError: there are not as many as inputs, or they hold other values.
        ShapeError: one does not fit its input.
    """
    members: Sequence[object] = masks if isinstance(masks, (tuple, list)) else (masks,)
    if len(members) != len(inputs):
        raise ArgumentError(f"{name}: expected one for each of {len(inputs)} inputs, got {len(members)}")
    return tuple(_mask(m, x, channel_dim, name) for m, x in zip(members, inputs, strict=True))


def _mask(member: object, tensor: Tensor, channel_dim: int | None, name: str) -> Tensor | None:
    if member is None:
        return None
    if not isinstance(member, Tensor):
        mend = "; torch.from_numpy makes a tensor of it" if type(member).__module__ == "numpy" else ""
        raise ArgumentError(f"{name}: expected a tensor of truth values, got {type(member).__name__}{mend}")
    axis, wanted = channel_axis(tensor, channel_dim), position_shape(tensor, channel_dim)
    mask = own(member).to(tensor.device)
    if axis is not None and mask.ndim == tensor.ndim and mask.shape[axis] == 1:
        mask = mask.squeeze(axis)
    if mask.shape != wanted:
        raise ShapeError(f"{name}: expected shape {tuple(wanted)}, one value for a position, got {tuple(member.shape)}")
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise ArgumentError(f"{name}: expected truth values, or 0 and 1, got other values")
    return mask.bool()
