"""Groups of elements that are present or absent together: made of a mask, looked up, and turned back into maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.tensors import Tensors, as_tuple, check_finite

__all__ = ["Groups"]


@dataclass(frozen=True)
class Groups:
    """The elements of each example in groups, numbered from zero through all its inputs.

    Elements that share an id in the mask form a group, also across inputs. Numbers are given to each example by
    itself, so that they do not depend on which examples share a batch.

    Attributes:
        ids: for each input, the group of every element: (1 or examples, ...), as many dimensions as the input.
        labels: the mask's ids of the groups, ascending, once for all examples or for each.
    """

    ids: Tensors
    labels: tuple[Tensor, ...]

    @classmethod
    def of(cls, mask: Any, inputs: Tensors, name: str = "feature_mask") -> Groups:
        """Read a mask: a tensor or a tuple of them, one for each input, that broadcast to the inputs.

        Without a mask, every element is a group.

        Raises:
            ArgumentError: there are not as many masks as inputs.
            ShapeError: a mask does not fit its input.
        """
        if mask is None:
            return cls._elements(inputs)
        masks = as_tuple(mask, name)
        if len(masks) != len(inputs):
            raise ArgumentError(f"{name}: expected one mask for each of {len(inputs)} inputs, got {len(masks)}")
        check_finite(name, masks)
        fitted = [_fitted(m.detach(), x, name) for m, x in zip(masks, inputs, strict=True)]
        rows = max(len(m) for m in fitted)
        flat = [m.reshape(len(m), -1).to(fitted[0].device).expand(rows, -1) for m in fitted]
        labels, numbers = zip(*(torch.unique(row, return_inverse=True) for row in torch.cat(flat, 1)), strict=True)
        parts = torch.stack(numbers).split([m.shape[1] for m in flat], 1)
        ids = tuple(
            part.reshape(rows, *m.shape[1:]).to(x.device) for part, m, x in zip(parts, fitted, inputs, strict=True)
        )
        return cls(ids, labels)

    @classmethod
    def _elements(cls, inputs: Tensors) -> Groups:
        sizes = [x[:1].numel() for x in inputs]
        ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
        ids = tuple(
            torch.arange(end - size, end, device=x.device).reshape(1, *x.shape[1:])
            for size, end, x in zip(sizes, ends, inputs, strict=True)
        )
        return cls(ids, (torch.arange(ends[-1]),))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many groups there are, once for all examples or for each."""
        return tuple(len(labels) for labels in self.labels)

    def within(self, k: int, examples: range) -> Tensor:
        """Return (1 or examples, ...) the groups of input k's elements in some of the examples."""
        return _rows(self.ids[k], examples)

    def look_up(self, k: int, table: Tensor, examples: range) -> Tensor:
        """Return (steps, 1 or examples, ...) what a table (1 or examples, steps, groups) says of input k's elements."""
        ids, entries = self.within(k, examples), _rows(table, examples)
        flat = ids.reshape(len(ids), 1, -1)
        size, steps = max(len(ids), len(entries)), entries.shape[1]
        found = entries.expand(size, -1, -1).gather(2, flat.expand(size, steps, -1))
        return found.transpose(0, 1).reshape(steps, size, *ids.shape[1:])

    def spread(self, values: Tensor, inputs: Tensors) -> list[Tensor]:
        """Return maps like ``inputs`` in which every element has its group's value, from (1 or examples, groups)."""
        maps = []
        for k, x in enumerate(inputs):
            found = self.look_up(k, values.to(x.device)[:, None], range(len(values)))[0]
            dtype = x.dtype if x.is_floating_point() else values.dtype
            maps.append(found.to(dtype).expand(len(values), *x.shape[1:]).contiguous())
        return maps

    def by_label(self, values: Tensor) -> Tensor:
        """Return (examples, ids) values in one column for each id that occurs in the mask, ascending; absent: zero."""
        if len(self.labels) == 1:
            return values
        columns = torch.unique(torch.cat(self.labels))
        table = values.new_zeros(len(values), len(columns))
        for row, value, labels in zip(table, values, self.labels, strict=True):
            row[torch.searchsorted(columns, labels).to(row.device)] = value[: len(labels)]
        return table


def _rows(tensor: Tensor, examples: Sequence[int]) -> Tensor:
    return tensor if len(tensor) == 1 else tensor[examples[0] : examples[-1] + 1]


def _fitted(mask: Tensor, x: Tensor, name: str) -> Tensor:
    shape = (1,) * (x.ndim - mask.ndim) + tuple(mask.shape)
    if len(shape) != x.ndim or any(m not in (1, n) for m, n in zip(shape, x.shape, strict=True)):
        raise ShapeError(f"{name}: expected a shape that broadcasts to {tuple(x.shape)}, got {tuple(mask.shape)}")
    return mask.reshape(shape)
