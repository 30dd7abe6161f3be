"""Maps by position: channels added up, padding left out, ground truth in the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.padding import padding_masks
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Model
from pnpxai.strategies.feature_masks import channel_axis, positions_of
from pnpxai.tensors import Tensors, own

__all__ = ["Masks", "attended", "position_maps", "position_masks", "position_shape", "sensors_apart", "with_channels"]

Masks: TypeAlias = tuple[Tensor | None, ...]
"""For each input, (examples, *positions) truth values, or None where nothing is said."""


def sensors_apart(inputs: Tensors, channel_dim: int | None, each_channel: bool | None) -> tuple[bool, ...]:
    """Return for each input whether its channels are positions of their own, as the sensors of a series are.

    Args:
        inputs: the explained inputs.
        channel_dim: the axis of channels.
        each_channel: whether they are wherever inputs have channels; None for series alone: numbers of shape (examples,
            channels, steps), channels first. Where channels come last, they may be those of an embedding.
    """

    def apart(x: Tensor) -> bool:
        axis = channel_axis(x, channel_dim)
        series = axis == 1 and x.ndim == 3 and x.is_floating_point()
        return axis is not None and (series if each_channel is None else each_channel)

    return tuple(map(apart, inputs))


def position_maps(attributions: Tensors, inputs: Tensors, channel_dim: int | None, apart: Sequence[bool]) -> Tensors:
    """Return maps by position, (examples, *positions), one for each input, of at least single precision.

    A map with as many dimensions as its input (of three or more) is summed over ``channel_dim``; one with a dimension
    less is taken as it is; so is a map of a table (examples, columns). Where channels are apart, they are kept; a map
    without them says the same of each.

    Raises:
        ShapeError: a map does not fit its input.
    """
    if len(attributions) != len(inputs):
        raise ShapeError(
            f"attributions: expected one for each of {len(inputs)} inputs, got {len(attributions)}; maps of all inputs "
            "are judged together"
        )
    return tuple(_positions(a, x, channel_dim, own) for a, x, own in zip(attributions, inputs, apart, strict=True))


def _positions(attribution: Tensor, tensor: Tensor, channel_dim: int | None, apart: bool) -> Tensor:
    exact = attribution.to(torch.promote_types(attribution.dtype, torch.float32))  # half precision does not add up
    axis, wanted = channel_axis(tensor, channel_dim), position_shape(tensor, channel_dim)
    if apart and axis is not None:
        if exact.shape == wanted:
            exact = exact.unsqueeze(axis)
        if exact.ndim == tensor.ndim and exact.shape[axis] == 1:
            exact = (exact / tensor.shape[axis]).expand(
                *exact.shape[:axis], tensor.shape[axis], *exact.shape[axis + 1 :]
            )
        wanted = tensor.shape
    elif axis is not None and exact.ndim == tensor.ndim:
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


def attended(arguments: Arguments, channel_dim: int | None, model: Model) -> Masks:
    """Return the positions that count (not the padding): what a mask among the model's arguments says, if that fits."""
    named = arguments.keywords.get("attention_mask")
    shapes = [position_shape(x, channel_dim) for x in arguments.explained]
    if isinstance(named, Tensor) and shapes == [named.shape]:  # with its values checked
        return position_masks(named, arguments.explained, channel_dim, "attention_mask")
    forward, by_position = arguments.by_position(model)
    hidden = list(padding_masks(forward, by_position.explained, by_position.extra))
    masks = (next((~mask for mask in hidden if mask.shape == shape), None) for shape in shapes)
    return position_masks(tuple(masks), arguments.explained, channel_dim, "attention_mask")


def position_masks(masks: object, inputs: Tensors, channel_dim: int | None, name: str) -> Masks:
    """Return boolean masks of the positions of inputs; an axis of one channel is taken away.

    Args:
        masks: a tensor of truth values (or of 0 and 1), or one for each input, None where nothing is said of it. That
            of a series may say it of each sensor.
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


def with_channels(masks: Masks, inputs: Tensors, channel_dim: int | None, apart: Sequence[bool]) -> Masks:
    """Return masks in the form of ``position_maps``: of each channel where these are apart, else of all together."""

    def one(mask: Tensor | None, x: Tensor, own: bool) -> Tensor | None:
        axis = channel_axis(x, channel_dim)
        if mask is None or axis is None:
            return mask
        if own and mask.ndim < x.ndim:
            return mask.unsqueeze(axis).expand(x.shape)
        return mask.any(axis) if not own and mask.ndim == x.ndim else mask

    return tuple(one(mask, x, own) for mask, x, own in zip(masks, inputs, apart, strict=True))


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
    of_channels = axis is not None and mask.ndim == 3 and mask.shape == tensor.shape
    if mask.shape != wanted and not of_channels:
        raise ShapeError(f"{name}: expected shape {tuple(wanted)}, one value for a position, got {tuple(member.shape)}")
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise ArgumentError(f"{name}: expected truth values, or 0 and 1, got other values")
    return mask.bool()
