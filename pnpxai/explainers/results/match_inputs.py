"""Finds the input of the model to which each map belongs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

__all__ = ["by_input", "whose"]


def whose(maps: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[int, ...]:
    """Return for each map (examples, ...) the number of its input.

    As many maps as inputs are in the order of the inputs. Otherwise a map belongs to the first input that has its
    positions: the single class activation map of a model of a picture and a question belongs to the picture. A map that
    fits no input, such as one of a layer's values, counts as the first input's.

    Args:
        maps: maps with or without an axis of channels.
        inputs: tensors (examples, channels, *positions), (examples, *positions, channels) or (examples, positions).
    """
    if len(maps) == len(inputs):
        return tuple(range(len(inputs)))
    return tuple(next((k for k, x in enumerate(inputs) if _fits(m, x)), 0) for m in maps)


def by_input(maps: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Return the first map of each input; None for an input without a map."""
    matched: list[Tensor | None] = [None] * len(inputs)
    for k, values in zip(whose(maps, inputs), maps, strict=True):
        matched[k] = values if matched[k] is None else matched[k]
    return tuple(matched)


def _fits(values: Tensor, x: Tensor) -> bool:
    if x.ndim < 3:
        return values.shape[: x.ndim] == x.shape
    return x.shape[2:] in (values.shape[1:], values.shape[2:]) or x.shape[1:-1] == values.shape[1:]
