"""Records what modules keep beside their parameters: attributes, and what lists, dictionaries and buffers hold."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.engine.seeing.torch_private import without_function_modes

__all__ = ["KeptValues", "tensors_kept"]

_OF_TORCH = frozenset(vars(nn.Module())) - {"_buffers"}
"""What every module has, which no forward pass changes; hooks come and go with those who set them."""
_ASIDE = frozenset({"forward"})
"""Attributes that those set who record or change what modules compute: they restore it themselves."""


@dataclass(frozen=True, eq=False)
class KeptValues:
    """Records what modules keep, and restores it.

    Attributes:
        tables: dictionaries and lists, each with a copy.
        tensors: tensors that may be edited in place, each with a copy.
        aside: names in dictionaries that are neither compared nor restored.
    """

    tables: Sequence[tuple[Any, Any]] = ()
    tensors: Sequence[tuple[Tensor, Tensor]] = ()
    aside: frozenset[str] = _ASIDE

    @classmethod
    def of(cls, modules: Sequence[nn.Module], *, hooks: bool, tensors: Sequence[tuple[Tensor, Tensor]]) -> KeptValues:
        """Record what modules keep; with ``hooks`` also what others may set on them for the time of a loan."""
        tables: list[tuple[Any, Any]] = []
        for module in modules:
            attributes = vars(module)
            for name, held in attributes.items():
                if isinstance(held, (dict, list, deque)) and (hooks or name not in _OF_TORCH):
                    tables.append((held, held.copy()))
            tables.append((attributes, dict(attributes)))
        return cls(tables, tensors, frozenset() if hooks else _ASIDE)

    def changed(self) -> KeptValues:
        """Return what differs from what was recorded."""
        with without_function_modes():
            tensors = [pair for pair in self.tensors if not _are_equal(*pair)]
        return KeptValues([pair for pair in self.tables if _differ(*pair, self.aside)], tensors, self.aside)

    def with_those(self, others: KeptValues) -> KeptValues:
        """Return what is recorded here or there."""
        tables = [pair for pair in others.tables if not any(pair[0] is held for held, _ in self.tables)]
        tensors = [pair for pair in others.tensors if not any(pair[0] is held for held, _ in self.tensors)]
        return KeptValues([*self.tables, *tables], [*self.tensors, *tensors], self.aside)

    def restore(self) -> None:
        """Give modules back what was recorded."""
        for table, noted in self.tables:
            if isinstance(table, dict):
                left_alone = {name: table[name] for name in self.aside & table.keys()}
                noted = {name: held for name, held in noted.items() if name not in self.aside} | left_alone
            table.clear()
            (table.update if isinstance(table, dict) else table.extend)(noted)
        if not self.tensors:
            return
        with torch.no_grad(), without_function_modes():
            for tensor, value in self.tensors:
                if tensor.requires_grad and not value.requires_grad:  # an edit in place has joined it to a graph
                    tensor.detach_()
                tensor.copy_(value)


def tensors_kept(modules: Sequence[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Return the buffers of modules and the tensors among their attributes, each with a copy."""
    held = [
        tensor
        for module in modules
        for tensor in (*module.buffers(recurse=False), *(t for t in vars(module).values() if isinstance(t, Tensor)))
    ]
    return [(tensor, tensor.detach().clone().requires_grad_(tensor.requires_grad)) for tensor in held]


def _differ(table: Any, noted: Any, aside: frozenset[str]) -> bool:
    if isinstance(table, dict):
        if len(table) == len(noted) and all(map(operator.is_, table.values(), noted.values())):
            return list(table) != list(noted)  # by far the most frequent: nothing was set
        table, noted = ([pair for pair in held.items() if pair[0] not in aside] for held in (table, noted))
        if [name for name, _ in table] != [name for name, _ in noted]:
            return True
        table, noted = ([held for _, held in pairs] for pairs in (table, noted))
    return len(table) != len(noted) or not all(map(operator.is_, table, noted))


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Tell whether tensors are equal; of sparse ones torch does not say, so that they count as others."""
    same = one.layout == torch.strided and one.requires_grad == other.requires_grad
    return same and torch.equal(one, other)
