"""Borrow a model: mode, flags, buffers, attributes, hooks, random state and lock are given back, whatever happens."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from pnpxai.errors import ConfinedError

__all__ = ["borrowed", "eager", "module_of"]

_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()
_lent: set[int] = set()


def module_of(forward: Callable[..., Any]) -> nn.Module | None:
    """Return the module behind a forward function, if it can be seen (not inside a lambda)."""
    if isinstance(forward, nn.Module):
        return eager(forward)
    inner = getattr(forward, "model", None) or getattr(forward, "__self__", None)
    return eager(inner) if isinstance(inner, nn.Module) else None


def eager(model: Any) -> Any:
    """Return what ``torch.compile`` or ``DataParallel`` wrapped (it shares its parameters), else the model itself.

    Hooks do not reach a compiled module, and in copies on several devices a layer runs several times. So what has been
    wrapped is explained as it was written, on its own device.
    """
    source = getattr(model, "_orig_mod", getattr(model, "_torchdynamo_orig_callable", model))
    return eager(source.module) if isinstance(source, nn.DataParallel) else source


@contextlib.contextmanager
def borrowed(forward: Callable[..., Any], *, gradients: bool = True, freeze: bool = True) -> Iterator[None]:
    """Lend a model for the time of a ``with`` block: alone in its thread, in eval mode, able to differentiate.

    On leaving, every module's attributes (training flag, hooks, anything the forward pass stored), every buffer and
    the random states of torch, numpy and Python are as they were.

    Args:
        forward: the model, or what holds it.
        gradients: whether the block differentiates.
        freeze: keep parameters out of the graph, which saves their share of time and memory.

    Raises:
        ConfinedError: gradients are needed and a parameter was made under inference mode.
    """
    model = module_of(forward)
    owner = model if model is not None else forward
    with _lock_of(owner), torch.inference_mode(False), torch.set_grad_enabled(gradients):
        if id(owner) in _lent:  # by an outer call in this thread, which will give it back
            yield
            return
        with _random_state(), _marked(owner):
            if model is None:
                yield
                return
            if gradients and any(p.is_inference() for p in model.parameters()):
                raise ConfinedError(
                    "model: a parameter was made under torch.inference_mode and cannot be differentiated through; "
                    "build or load the model outside of it"
                )
            with _module_state(model), _frozen(model, freeze), _uncompiled():
                _prepare(model)
                yield


def _prepare(model: nn.Module) -> None:
    for module in model.modules():
        module.__dict__.pop("_compiled_call_impl", None)  # by ``model.compile()``; hooks do not reach it
    # an exported program has its mode built in, and says so
    with contextlib.suppress(NotImplementedError):
        model.eval()
    for module in model.modules():
        # cuDNN differentiates recurrent networks in train mode alone, which without dropout gives the same
        if isinstance(module, nn.RNNBase) and any(p.is_cuda for p in module.parameters()):
            module.training, module.dropout = True, 0.0


def _lock_of(owner: Any) -> threading.RLock:
    with _locks_guard:
        try:
            return _locks.setdefault(owner, threading.RLock())
        except TypeError:  # no weak reference to it: nothing that another thread could share
            return threading.RLock()


@contextlib.contextmanager
def _marked(owner: Any) -> Iterator[None]:
    _lent.add(id(owner))
    try:
        yield
    finally:
        _lent.discard(id(owner))


@contextlib.contextmanager
def _module_state(model: nn.Module) -> Iterator[None]:
    modules = list(model.modules())
    attributes = [dict(m.__dict__) for m in modules]
    modes = [m.training for m in modules]
    # hooks, parameters, buffers, submodules, and what a model keeps in dictionaries of its own
    tables = [{n: dict(held) for n, held in m.__dict__.items() if isinstance(held, dict)} for m in modules]
    buffers = {id(b): (b, b.detach().clone()) for m in modules for b in m._buffers.values() if b is not None}
    try:
        yield
    finally:
        for module, mode, before, held in zip(modules, modes, attributes, tables, strict=True):
            for name, table in held.items():
                if not _same(before[name], table):
                    before[name].clear()
                    before[name].update(table)
            if not _same(module.__dict__, before):
                module.__dict__.clear()
                module.__dict__.update(before)
            if module.training != mode:  # of a scripted module it lies elsewhere
                module.training = mode
        with torch.no_grad():
            for buffer, value in buffers.values():
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextlib.contextmanager
def _frozen(model: nn.Module, freeze: bool) -> Iterator[None]:
    trainable = [p for p in model.parameters() if p.requires_grad and not p.is_inference()] if freeze else []
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def _uncompiled() -> Iterator[None]:
    """Let parts of a model that have been compiled run as they were written, so that hooks reach them."""
    if "torch._dynamo" not in sys.modules:  # nothing has been compiled
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return list(left) == list(right) and all(left[key] is right[key] for key in left)


@contextlib.contextmanager
def _random_state() -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
