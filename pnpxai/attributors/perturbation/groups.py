"""Groups of elements that are present or absent together: made of a mask, looked up, and turned back into maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.tensors import Tensors, as_tuple, check_finite

__all__ = ["Groups"]

_HELD = -1
"""The group of elements that are always present."""


@dataclass(frozen=True)
class Groups:
    """The elements of each example in groups, numbered from zero through all its inputs.

    Elements that share an id in the mask form a group, also across inputs. Numbers are given to each example by
    itself, so that they do not depend on which examples share a batch.

    Attributes:
        ids: for each input, the group of every element, -1 where it is held, which means always present: (1 or
            examples, ...), as many dimensions as the input.
        labels: the mask's ids of the groups, ascending, once for all examples or for each.
    """

    ids: Tensors
    labels: tuple[Tensor, ...]

    @classmethod
    def of(
        cls,
        mask: Tensor | Tensors | None,
        inputs: Tensors,
        name: str = "feature_mask",
        held: Sequence[Tensor | None] | None = None,
    ) -> Groups:
        """Read a mask: a tensor or a tuple of them, one for each input, that broadcast to the inputs.

        Without a mask, every element is a group.

        Args:
            mask: the ids.
            inputs: the inputs.
            name: what the mask is called.
            held: for each input, true for elements that are in no group: (examples, ...), the input's first axes.

        Raises:
            ArgumentError: there are not as many masks as inputs.
            ShapeError: a mask does not fit its input.
        """
        if mask is None:
            elements = cls._elements(inputs)
            if held is None or all(h is None for h in held):
                return elements
            mask = elements.ids
        masks = as_tuple(mask, name)
        if len(masks) != len(inputs):
            raise ArgumentError(f"{name}: expected one mask for each of {len(inputs)} inputs, got {len(masks)}")
        check_finite(name, masks)
        fitted = [_fitted(m.detach(), x, name) for m, x in zip(masks, inputs, strict=True)]
        free = [torch.ones_like(m, dtype=torch.bool) for m in fitted]
        for k, out in enumerate(held or ()):
            if out is not None:
                shape = torch.broadcast_shapes(fitted[k].shape, out.shape + (1,) * (inputs[k].ndim - out.ndim))
                fitted[k] = fitted[k].expand(shape)
                free[k] = ~out.reshape(*out.shape, *[1] * (inputs[k].ndim - out.ndim)).to(fitted[k].device).expand(
                    shape
                )
        rows = max(len(m) for m in fitted)
        home = fitted[0].device
        flat = [m.reshape(len(m), -1).to(home).expand(rows, -1) for m in fitted]
        free_flat = torch.cat([m.reshape(len(m), -1).to(home).expand(rows, -1) for m in free], 1)
        labels, numbers = zip(*map(_numbered, torch.cat(flat, 1), free_flat), strict=True)
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
        """Number of groups, once for all examples or for each."""
        return tuple(len(labels) for labels in self.labels)

    @property
    def shared(self) -> bool:
        """Whether all examples have the same groups."""
        return len(self.labels) == 1

    @cached_property
    def _any_held(self) -> bool:
        return any(bool((ids == _HELD).any()) for ids in self.ids)

    def size_of(self, example: int) -> int:
        """Return the number of groups of an example."""
        return self.sizes[example % len(self.sizes)]

    def within(self, k: int, examples: range) -> Tensor:
        """Return (1 or examples, ...) the groups of input k's elements in some of the examples."""
        return _rows(self.ids[k], examples)

    def look_up(self, k: int, table: Tensor, examples: range, held: bool | float = True) -> Tensor:
        """Return (steps, 1 or examples, ...) the entry of each element of input k in a table.

        Args:
            k: which input.
            table: (1 or examples, steps, groups) an entry for each group.
            examples: the examples that are looked up; a table for each example has these alone.
            held: the entry of elements that are held.
        """
        ids = self.within(k, examples)
        flat = ids.reshape(len(ids), 1, -1)
        size, steps = max(len(ids), len(table)), table.shape[1]
        if not table.shape[2]:  # every element is held
            return table.new_full((steps, size, *ids.shape[1:]), held)
        entries = table.expand(size, -1, -1).gather(2, flat.clamp_min(0).expand(size, steps, -1))
        if self._any_held:
            entries = entries.masked_fill(flat == _HELD, held)
        return entries.transpose(0, 1).reshape(steps, size, *ids.shape[1:])

    def spread(self, values: Tensor, inputs: Tensors) -> list[Tensor]:
        """Return maps like ``inputs``: an element has its group's value of (1 or examples, groups), zero if held."""
        maps = []
        for k, x in enumerate(inputs):
            entries = self.look_up(k, values.to(x.device)[:, None], range(len(values)), held=0)[0]
            dtype = x.dtype if x.is_floating_point() else values.dtype
            maps.append(entries.to(dtype).expand(len(values), *x.shape[1:]).contiguous())
        return maps

    def by_label(self, values: Tensor) -> Tensor:
        """Return (examples, ids) values in one column for each id that occurs in the mask, ascending; absent: zero."""
        if self.shared:
            return values
        columns = torch.unique(torch.cat(self.labels))
        table = values.new_zeros(len(values), len(columns))
        for row, value, labels in zip(table, values, self.labels, strict=True):
            row[torch.searchsorted(columns, labels).to(row.device)] = value[: len(labels)]
        return table


def _rows(tensor: Tensor, examples: range) -> Tensor:
    return tensor if len(tensor) == 1 else tensor[examples.start : examples.stop]


def _numbered(ids: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ids of an example's groups, ascending, and the number of the group of each element."""
    labels, numbers = torch.unique(ids[free], return_inverse=True)
    return labels, torch.full(ids.shape, _HELD, device=ids.device).masked_scatter(free, numbers)


def _fitted(mask: Tensor, x: Tensor, name: str) -> Tensor:
    shape = (1,) * (x.ndim - mask.ndim) + tuple(mask.shape)
    if len(shape) != x.ndim or any(m not in (1, n) for m, n in zip(shape, x.shape, strict=True)):
        raise ShapeError(f"{name}: expected a shape that broadcasts to {tuple(x.shape)}, got {tuple(mask.shape)}")
    return mask.reshape(shape)
