"""Stores the results of rows by their content, so that several methods or settings run each row once."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache
from typing import TypeAlias, TypeGuard

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import model_behind
from pnpxai.engine.running.keys import content_key
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.seeds import draws
from pnpxai.engine.seeing.torch_private import count_edits, function_modes_active
from pnpxai.tensors import Tensors, take_rows

__all__ = ["Compute", "RowMemory", "remembered", "remembering"]

_Leaf: TypeAlias = Tensor | bool | int | float | str | None
Key: TypeAlias = tuple[int, bytes]
"""Number of what all rows of a call have in common, and the fingerprint of a row."""
_Place: TypeAlias = tuple[Tensors, int]
"""Block of results, and a row in it."""
_ENTRY = 1024
"""Approximate number of bytes of a row besides its numbers: its key, its place, the tensors that hold it."""
Compute: TypeAlias = Callable[[Score, Tensors], Tensors]
"""Function that returns results of rows: tensors (rows, ...)."""


class RowMemory:
    """Stores results of rows; when it is full, the oldest are dropped.

    Of a model that is seen as it is (a module, under no rules), called by position or by keyword, at its inputs or at
    values inside it (of token ids, at their embedding), any row of any loop is kept: copies with noise that fewer or
    more of them share, points of a path, inputs without the features that two maps rank first. A model whose parameters
    or buffers change counts as another one; a target that is a function is taken to give the same for the same output.

    Attributes:
        rows_run: rows that were computed.
        rows_saved: rows that were known.
    """

    def __init__(self, limit_bytes: int = 2**30) -> None:
        self.rows_run = 0
        self.rows_saved = 0
        self._limit = limit_bytes
        self._held = 0
        self._results: OrderedDict[Key, _Place] = OrderedDict()
        self._owners: dict[int, object] = {}  # kept alive, so that nothing else gets their number
        self._common: dict[tuple[Hashable, ...], int] = {}

    def results(self, kind: str, score: Score, rows: Tensors, compute: Compute) -> Tensors:
        """Return the result of ``compute``, which runs only for rows that are not stored."""
        keys = self._keys(kind, score, rows)
        # the same row may come several times
        places = {key: k for k, key in reversed(list(enumerate(keys))) if key not in self._results}
        missing = sorted(places.values())
        if len(missing) == len(keys):
            computed = compute(score, rows)
            if any(part.shape[:1] != (len(keys),) for part in computed):  # one value for a whole batch
                return computed
            self._store(keys, computed)
            return computed
        known: dict[Key, _Place] = {key: self._results[key] for key in keys if key in self._results}
        if missing:
            index = torch.tensor(missing)
            computed = compute(score.take(index), take_rows(rows, index, len(keys)))
            own = [keys[k] for k in missing]
            known |= {key: (computed, row) for row, key in enumerate(own)}
            self._store(own, computed)
        self.rows_saved += len(keys) - len(missing)
        return _gathered([known[key] for key in keys])

    def _store(self, keys: Sequence[Key], computed: Tensors) -> None:
        self.rows_run += len(keys)
        size = _row_size(computed)
        for row, key in enumerate(keys):
            if key not in self._results:
                self._results[key] = computed, row
                self._held += size
        while self._held > self._limit and self._results:
            _, (block, _) = self._results.popitem(last=False)
            self._held -= _row_size(block)

    def _keys(self, kind: str, score: Score, rows: Tensors) -> list[Key]:
        model, way = model_behind(score.forward)
        state = tuple((t.data_ptr(), count_edits(t)) for t in (*model.parameters(), *model.buffers()))
        target, further = score.target, _leaves(score.extra) or []
        self._owners |= {id(thing): thing for thing in (model, score.transform, target) if callable(thing)}
        of_rows = [part for part in further if _belongs(part, score.size)]
        shared = tuple(
            content_key(part) if isinstance(part, Tensor) else part
            for part in further
            if not _belongs(part, score.size)
        )
        chosen = None if isinstance(target, Tensor) else id(target) if callable(target) else target
        own = (*rows, *of_rows, *((target,) if isinstance(target, Tensor) else ()))
        forms = tuple((tensor.dtype, tensor.shape[1:]) for tensor in own)
        common = (kind, id(model), way, state, chosen, id(score.transform), shared, forms)
        number = self._common.setdefault(common, len(self._common))
        return [(number, fingerprint) for fingerprint in _fingerprints(own)]


_ACTIVE: ContextVar[RowMemory | None] = ContextVar("rows", default=None)


@contextlib.contextmanager
def remembering(memory: RowMemory | None) -> Iterator[None]:
    """Let the loops store the results of rows within a ``with`` block; with None, every row runs."""
    token = _ACTIVE.set(memory)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def remembered(kind: str, score: Score, rows: Tensors, compute: Compute, apart: Callable[[], bool]) -> Tensors:
    """Return ``compute(score, rows)``, from the memory where there is one and the rows can be told by their content.

    Args:
        kind: what is computed.
        score: of what.
        rows: the inputs.
        compute: computes it.
        apart: tells whether a row's result depends on that row alone; only asked where there is a memory.
    """
    memory = _ACTIVE.get()
    if memory is None or not _told_by_content(score) or not apart():
        return compute(score, rows)
    return memory.results(kind, score, rows, compute)


def _told_by_content(score: Score) -> bool:
    model, _ = model_behind(score.forward)
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return False
    if function_modes_active():  # rules change what comes out
        return False
    return _leaves(score.extra) is not None


def _leaves(structure: object) -> list[_Leaf] | None:
    """Return the tensors, numbers and texts of further arguments; None if there is anything else among them."""
    if structure is None or isinstance(structure, (Tensor, bool, int, float, str)):
        return [structure]
    if type(structure) is dict:
        structure = [part for item in structure.items() for part in item]
    if not isinstance(structure, (tuple, list)):
        return None  # such as a recording of what ran before a place
    parts = [_leaves(part) for part in structure]
    return None if any(part is None for part in parts) else [leaf for part in parts for leaf in part or ()]


def _gathered(places: Sequence[_Place]) -> Tensors:
    """Return the rows at these places as one block."""
    blocks = {id(block): block for block, _ in places}
    owners, rows = torch.tensor([(id(block), row) for block, row in places]).T
    parts = [(block, owners == number) for number, block in blocks.items()]
    order = torch.cat([own.nonzero()[:, 0] for _, own in parts]).argsort()
    columns = zip(*([part[rows[own].to(part.device)] for part in block] for block, own in parts), strict=True)
    return tuple(torch.cat(column)[order.to(column[0].device)] for column in columns)


def _row_size(block: Tensors) -> int:
    return _ENTRY + sum(part.nbytes for part in block) // max(len(block[0]), 1)


def _belongs(part: object, size: int) -> TypeGuard[Tensor]:
    return isinstance(part, Tensor) and part.shape[:1] == (size,)


def _fingerprints(tensors: Sequence[Tensor]) -> list[bytes]:
    """Return for each row a fingerprint of its content: two sums of each tensor's words, each times a random number."""
    sums = torch.cat([_sums(tensor).cpu() for tensor in tensors], 1).numpy()
    return sums.view(f"V{sums.shape[1] * sums.itemsize}")[:, 0].tolist()


def _sums(tensor: Tensor) -> Tensor:
    """Return (rows, 2) the sums of a tensor's words."""
    plain = tensor.detach().contiguous().flatten(1) if tensor.ndim > 1 else tensor.detach().contiguous()[:, None]
    if plain.is_complex():
        plain = torch.view_as_real(plain).flatten(1)
    words = plain.view(torch.int32 if plain.element_size() * plain.shape[1] % 4 == 0 else torch.uint8).to(torch.int64)
    return torch.stack([(words * factors.to(words.device)).sum(1) for factors in _factors(words.shape[1])], 1)


@cache
def _factors(count: int) -> Tensor:
    return draws("factors").at([0, 1]).bits(count) * 2 + 1
