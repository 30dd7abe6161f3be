"""Cuts examples x steps into passes that fit into memory, halves them when it runs out, and shows progress."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from pnpxai.declare.counts import whole_number
from pnpxai.errors import OutOfMemoryError
from pnpxai.tensors import flat

if TYPE_CHECKING:
    from tqdm.auto import tqdm

__all__ = ["Block", "in_blocks", "row_limit"]

_log = logging.getLogger("pnpxai")
_CPU_BYTES, _CPU_ROWS = 5 * 2**20, (4, 256)
_CPU_SMALL = 1024
_CPU_COLUMNS, _CPU_TABLE_ROWS = 64, 1024
"""Of a few columns of a table so many rows go in one pass; of tokens, of which layers make far more, they do not."""
_GPU_BYTES, _GPU_ROWS = 48 * 2**20, (16, 4096)


@dataclass(frozen=True)
class Block:
    """Names steps and examples that run in one pass: row ``s * len(examples) + e`` is example e at step s."""

    examples: range
    steps: range

    @property
    def rows(self) -> Tensor:
        """The example that each row belongs to (a long tensor)."""
        return torch.arange(self.examples.start, self.examples.stop).repeat(len(self.steps))

    def __len__(self) -> int:
        return len(self.examples) * len(self.steps)

    def split(self) -> tuple[Block, Block]:
        """Return two halves: of the steps where there are several, else of the examples."""
        if len(self.steps) > 1:
            half = len(self.steps) // 2
            return Block(self.examples, self.steps[:half]), Block(self.examples, self.steps[half:])
        half = len(self.examples) // 2
        return Block(self.examples[:half], self.steps), Block(self.examples[half:], self.steps)


def row_limit(*structures: object, at_most: int | None = None, name: str = "internal_batch_size") -> int:
    """Return the number of rows for one pass: the device and the size of a row decide, ``at_most`` is an upper bound.

    A CPU is fastest with few rows at a time, a GPU with as many as fit.

    Raises:
        ArgumentError: ``at_most`` is not a positive whole number.
    """
    tensors = flat(structures)
    on_gpu = any(tensor.device.type != "cpu" for tensor in tensors)
    row_bytes = sum(t.element_size() * math.prod(t.shape[1:]) for t in tensors if t.ndim)
    budget, (least, most) = (_GPU_BYTES, _GPU_ROWS) if on_gpu else (_CPU_BYTES, _CPU_ROWS)
    if not on_gpu and row_bytes >= _CPU_SMALL:  # what layers make of more rows leaves the cache
        most = 64
    elif not on_gpu and tensors and all(t.ndim == 2 and t.is_floating_point() for t in tensors):
        most = _CPU_TABLE_ROWS if sum(t.shape[1] for t in tensors) <= _CPU_COLUMNS else most
    chosen = min(max(budget // max(row_bytes, 1), least), most)
    return chosen if at_most is None else min(whole_number(name, at_most), chosen)


def in_blocks(
    n_examples: int,
    n_steps: int,
    limit: int,
    visit: Callable[[Block], None],
    *,
    apart: Callable[[], bool] | None = None,
    show_progress: bool = False,
    label: str = "",
) -> int:
    """Call ``visit`` with blocks of at most ``limit`` rows that cover every step of every example once.

    A visit must change nothing when it fails: one that runs out of memory is tried again in halves, and the limit
    stays halved.

    Args:
        n_examples: number of examples.
        n_steps: number of steps of each example.
        limit: at most so many rows in one pass.
        visit: computes a block.
        apart: tells whether the model's rows are computed apart; called once a pass would hold anything else than one
            step of all examples. If they are not, every pass holds just that. By default they are.
        show_progress: show a progress bar.
        label: what the bar says.

    Returns:
        The limit in the end.

    Raises:
        OutOfMemoryError: a single row does not fit, or one step of examples that must stay together.
    """
    together = (n_examples > limit or (n_steps > 1 and limit >= 2 * n_examples)) and not _ask(apart)
    if together:
        limit = n_examples
    waiting = _blocks(n_examples, n_steps, limit)[::-1]
    warned = False
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(_bar(n_examples * n_steps, label)) if show_progress else None
        while waiting:
            block = waiting.pop()
            if len(block) > limit and len(block) > 1:
                waiting.extend(reversed(block.split()))
                continue
            failed = False
            try:
                visit(block)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                failed = True
            if not failed:
                if bar is not None:
                    bar.update(len(block))
                continue
            if len(block) == 1:
                raise OutOfMemoryError(
                    "a single row does not fit in memory; use smaller inputs, a smaller dtype, "
                    "or a device with more memory"
                )
            if together or not _ask(apart):
                raise OutOfMemoryError(
                    f"{n_examples} rows that the model computes together do not fit in memory; use a smaller batch, "
                    "a smaller dtype, or a device with more memory"
                )
            # outside the except clause, whose traceback would keep the failed pass alive
            limit = max(1, len(block) // 2)
            waiting.append(block)
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            if not warned:
                _log.warning("out of memory: going on with at most %d rows per pass", limit)
                warned = True
    return limit


def _ask(apart: Callable[[], bool] | None) -> bool:
    return apart is None or apart()


def _blocks(n_examples: int, n_steps: int, limit: int) -> list[Block]:
    width = min(n_examples, limit)
    steps = max(1, limit // width)
    return [
        Block(range(first, min(first + width, n_examples)), range(start, min(start + steps, n_steps)))
        for first in range(0, n_examples, width)
        for start in range(0, n_steps, steps)
    ]


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, OutOfMemoryError)) or "can't allocate memory" in str(error)


def _bar(total: int, label: str) -> tqdm[NoReturn]:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=label, unit="row", leave=False)
