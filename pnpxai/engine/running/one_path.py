"""Lets a model compute the same way with and without gradients: no fast path, no recomputation."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import torch

from pnpxai.engine.seeing.torch_private import called_directly
from pnpxai.errors import ConfinedError

__all__ = ["as_written", "one_path"]

_lock = threading.Lock()
_open = [0]  # blocks, over all threads
_before = [True]


@contextlib.contextmanager
def one_path() -> Iterator[None]:
    """Let a model compute the same way with and without gradients, inside a ``with`` block.

    Torch's transformer encoder takes a fused path where nothing is differentiated, whose values differ from those that
    are. A checkpoint computes its function a second time in the backward pass, outside of the rules and hooks that
    were open in the forward pass; here it is called once, directly, as is a branch of ``torch.cond``. Both are switches
    of the process: the fused path is closed for all threads while a block is open in any, calls are direct in this
    thread alone.
    """
    with _lock:
        _open[0] += 1
        if _open[0] == 1:
            _before[0] = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
    try:
        with called_directly():
            yield
    finally:
        with _lock:
            _open[0] -= 1
            if not _open[0]:
                torch.backends.mha.set_fastpath_enabled(_before[0])


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """Let compiled parts of a model run as they were written, inside a ``with`` block, so that hooks reach them.

    Torch's compiler takes seconds to load, so a process that has not loaded it is left without.

    Raises:
        ConfinedError: the model itself loads the compiler inside the block, which then fails.
    """
    if _COMPILER in sys.modules:
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    try:
        yield
    except Exception as problem:
        if not type(problem).__module__.startswith(_COMPILER):
            raise
        raise ConfinedError(
            "model: a part of it, such as torch.while_loop, compiles itself as it runs, where rules and hooks do not "
            f"reach; load the compiler before (import {_COMPILER}), or call again now that it is loaded"
        ) from problem


_COMPILER = "torch._dynamo"
