"""What a run keeps to be looked at: inputs of chosen examples, and every explainer's maps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pnpxai.experiment.maps import Maps
from pnpxai.experiment.results import Kept
from pnpxai.explainers.whose import by_input
from pnpxai.tensors import Tensors

__all__ = ["kept"]


def kept(maps: Maps, keys: Mapping[str, str], examples: Sequence[str], inputs: Sequence[Tensors]) -> list[Kept]:
    """Return what is kept of each input, of one that is empty where nothing is.

    Args:
        maps: the run's.
        keys: label -> what an explainer is known by there.
        examples: what each example is known by there.
        inputs: the explained tensors of each example.
    """
    if not inputs:
        return [Kept(torch.empty(0), {})]
    members = [_stacked(of) for of in zip(*inputs, strict=True)]
    found = [Kept(member, {}) for member in members]
    for label, key in keys.items():
        each = [_mapped(maps.one(key, example), own) for example, own in zip(examples, inputs, strict=True)]
        for of_input, own in zip(found, zip(*each, strict=True), strict=True):
            like = next((m for m in own if m is not None), None)
            if like is not None:
                of_input.maps[label] = _stacked([torch.full_like(like, torch.nan) if m is None else m for m in own])
    return found


def _mapped(maps: Tensors | None, inputs: Tensors) -> tuple[Tensor | None, ...]:
    """Return an example's map of each input, None where there is none."""
    if maps is None:
        return (None,) * len(inputs)
    found = by_input([m[None] for m in maps], [x[None] for x in inputs])
    return tuple(None if m is None else m[0] for m in found)


def _stacked(members: Sequence[Tensor]) -> Tensor:
    """Return tensors as one; those that are smaller (shorter texts) are filled up with zeros."""
    sizes = [max(sizes) for sizes in zip(*(m.shape for m in members), strict=True)]
    whole = members[0].new_zeros((len(members), *sizes))
    for row, member in zip(whole, members, strict=True):
        row[tuple(slice(0, size) for size in member.shape)] = member
    return whole
