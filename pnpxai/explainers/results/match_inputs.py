"""Which input of a model a map is of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

__all__ = ["by_input", "whose"]


def whose(maps: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[int, ...]:
    """Return for each map (examples, ...) the number of its input.

    One for each input are in their order. Others, such as the single map that a class activation gives of a picture
    beside a question, are of the first input with their positions; values of a layer, which are of none, count as the
    first's.

    Args:
        maps: with or without an axis of channels.
        inputs: (examples, channels, *positions), (examples, *positions, channels), or (examples, positions).
    """
    if len(maps) == len(inputs):
        return tuple(range(len(inputs)))
    return tuple(next((k for k, x in enumerate(inputs) if _fits(m, x)), 0) for m in maps)


def by_input(maps: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Return for each input its first map, None where there is none."""
    matched: list[Tensor | None] = [None] * len(inputs)
    for k, values in zip(whose(maps, inputs), maps, strict=True):
        matched[k] = values if matched[k] is None else matched[k]
    return tuple(matched)


def _fits(values: Tensor, x: Tensor) -> bool:
    if x.ndim < 3:
        return values.shape[: x.ndim] == x.shape
    return x.shape[2:] in (values.shape[1:], values.shape[2:]) or x.shape[1:-1] == values.shape[1:]
