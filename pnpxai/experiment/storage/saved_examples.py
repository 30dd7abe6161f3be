"""The examples whose maps a run shows: their inputs, and every explainer's maps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.experiment.results import InputMaps
from pnpxai.experiment.storage.maps import Maps
from pnpxai.explainers.results.match_inputs import by_input
from pnpxai.metrics.positions import Masks
from pnpxai.tensors import Tensors

__all__ = ["ShownExample", "shown_maps"]


@dataclass(frozen=True)
class ShownExample:
    """An example whose maps are kept.

    Attributes:
        number: its place among all examples.
        known_by: what it is known by.
        inputs: its explained tensors.
        counted: of each, the positions that count (not the padding), where any do not.
    """

    number: int
    known_by: str
    inputs: Tensors
    counted: Masks


def shown_maps(maps: Maps, keys: Mapping[str, str], examples: Sequence[ShownExample]) -> list[InputMaps]:
    """Return for each input its values and maps; one that is empty if no example is shown.

    Args:
        maps: the run's.
        keys: label -> what an explainer is known by there.
        examples: the examples.
    """
    if not examples:
        return [InputMaps(torch.empty(0), {})]
    inputs = list(zip(*(example.inputs for example in examples), strict=True))
    shown = [InputMaps(_stacked(values), {}) for values in inputs]
    for label, key in keys.items():
        each = [_mapped(maps.one(key, example.known_by), example) for example in examples]
        for input_maps, values, own in zip(shown, inputs, zip(*each, strict=True), strict=True):
            pair = next(((m, x) for m, x in zip(own, values, strict=True) if m is not None), None)
            if pair is not None:
                input_maps.maps[label] = _stacked(
                    [_nowhere(*pair, x) if m is None else m for m, x in zip(own, values, strict=True)]
                )
    return shown


def _nowhere(like: Tensor, of: Tensor, x: Tensor) -> Tensor:
    """Return a map of ``x`` that says nothing, in the form of the map ``like`` of ``of``, as long as the input is."""
    sizes = list(like.shape)
    for axis in range(-1, -1 - min(like.ndim, x.ndim), -1):
        sizes[axis] = x.shape[axis] if like.shape[axis] == of.shape[axis] else sizes[axis]
    return like.new_full(sizes, torch.nan)


def _mapped(maps: Tensors | None, example: ShownExample) -> tuple[Tensor | None, ...]:
    """Return an example's map of each input, NaN where it is of padding; None where there is none."""
    if maps is None:
        return (None,) * len(example.inputs)
    of_inputs = by_input([m[None] for m in maps], [x[None] for x in example.inputs])
    return tuple(
        None if m is None else m[0] if counts is None or counts.shape != m.shape[1:] else m[0].where(counts, torch.nan)
        for m, counts in zip(of_inputs, example.counted, strict=True)
    )


def _stacked(members: Sequence[Tensor]) -> Tensor:
    """Return tensors as one; those that are smaller (shorter texts) are filled up: numbers with NaN, ids with zeros."""
    sizes = [max(sizes) for sizes in zip(*(m.shape for m in members), strict=True)]
    fill = torch.nan if members[0].is_floating_point() else 0
    whole = members[0].new_full((len(members), *sizes), fill)
    for row, member in zip(whole, members, strict=True):
        row[tuple(slice(0, size) for size in member.shape)] = member
    return whole
