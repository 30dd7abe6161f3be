"""Borrows a model and restores everything: mode, flags, buffers, attributes, hooks, random state, lock."""

from __future__ import annotations

import contextlib
import random
import threading
import warnings
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, overload

import numpy as np
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from pnpxai.engine.running.kept_values import KeptValues, tensors_kept
from pnpxai.engine.running.one_path import as_written, one_path
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.seeing.torch_private import drop_compiled_call, source_of
from pnpxai.errors import ConfinedError
from pnpxai.model_types import Model

__all__ = ["adapted_module", "borrowed", "eager", "model_behind", "module_of", "same_start"]

_locks: weakref.WeakKeyDictionary[Model, threading.RLock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()
_lent: set[int] = set()
_passes = threading.local()
"""``loan``: the innermost one of this thread."""
_DRAWS = torch.default_generator
"""Where models draw from."""


def module_of(forward: object) -> nn.Module | None:
    """Return the module behind a forward function, if it can be seen (not inside a lambda)."""
    if isinstance(forward, nn.Module):
        return eager(forward)
    inside = (getattr(forward, name, None) for name in ("model", "__self__"))
    return next((eager(inner) for inner in inside if isinstance(inner, nn.Module)), None)


def adapted_module(forward: object) -> nn.Module | None:
    """Return the module behind a forward function; of an adapter, such as peft's, the model that it adapts."""
    module = module_of(forward)
    inner = getattr(module, "get_base_model", None)
    module = inner() if callable(inner) else module
    return module if isinstance(module, nn.Module) else None


def model_behind(forward: Any) -> tuple[Any, tuple[Hashable, ...]]:
    """Return the model inside a function, and how it runs; wrappers state both by a method ``runs_model()``."""
    way: tuple[Hashable, ...] = ()
    while not isinstance(forward, nn.Module) and hasattr(type(forward), "runs_model"):
        forward, own = forward.runs_model()
        way = (*way, own)
    if hasattr(forward, "__func__"):  # a bound method is made anew each time it is looked up
        forward, way = forward.__self__, (*way, forward.__func__)
    return forward, way


@overload
def eager(model: nn.Module) -> nn.Module: ...
@overload
def eager(model: Model) -> Model: ...
def eager(model: Model) -> Model:
    """Return the model inside ``torch.compile`` or ``DataParallel`` (with the same parameters), else the model itself.

    Hooks do not reach a compiled module, and in copies on several devices a layer runs several times. So what has been
    wrapped is explained as it was written, on its own device.
    """
    source = source_of(model)
    return eager(source.module) if isinstance(source, nn.DataParallel) else source


@contextlib.contextmanager
def borrowed(forward: Model, *, gradients: bool = True, freeze: bool = True) -> Iterator[None]:
    """Lend a model within a ``with`` block: to one thread, in eval mode, able to differentiate.

    A model that draws random numbers itself gets the same ones in every pass, and a warning says so.

    On leaving, every module's attributes (training flag, hooks, anything the forward pass stored), every buffer and
    the random states of torch, numpy and Python are as they were.

    Args:
        forward: the model, or what holds it.
        gradients: whether the block differentiates.
        freeze: keep parameters out of the graph, which saves their share of time and memory.

    Raises:
        ConfinedError: gradients are needed and a parameter was made under inference mode.
    """
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), borrowed(forward, gradients=gradients, freeze=freeze):
            yield
        return
    model = module_of(forward)
    owner = model if model is not None else forward
    outside = torch.is_grad_enabled()
    with _lock_of(owner):
        lent_before = id(owner) in _lent  # by an outer call in this thread, which will give it back
        loan = None if lent_before else _Loan(model, freeze)
        _lent.add(id(owner))
        try:
            if loan is not None:
                loan.begin(gradients)
            elif gradients and (outer_loan := getattr(_passes, "loan", None)) is not None:
                outer_loan.check_gradients()
            torch.set_grad_enabled(gradients)
            if loan is None:
                yield
            else:
                outer, _passes.loan = getattr(_passes, "loan", None), loan
                try:
                    with one_path(), as_written():
                        yield
                finally:
                    _passes.loan = outer
        finally:
            if loan is not None:
                _lent.discard(id(owner))
                with contextlib.ExitStack() as stack:  # whatever becomes of the rest
                    stack.callback(torch.set_grad_enabled, outside)
                    loan.end()
            torch.set_grad_enabled(outside)


class same_start:
    """Let each pass begin as the innermost loan did: with the same random numbers, and what modules kept then.

    So a model that drops or disturbs values of its own accord, or keeps values for its next call, is one function,
    whatever number of passes it takes.
    """

    def __enter__(self) -> None:
        """Set the state that the loan began with."""
        self.loan: _Loan | None = getattr(_passes, "loan", None)
        if self.loan is not None:
            self.loan.changing.restore()
            self.outside = _DRAWS.get_state()  # a user's own function may draw from it between passes
            _draw_from(self.loan.states[2], self.loan.cuda_states)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Restore the state outside, and warn once for each loan if the model drew."""
        if (loan := self.loan) is None:
            return
        if not loan.has_run or is_probe():
            loan.changing = loan.changing.with_those(loan.lent.changed())
        drawn = kind is None and not loan.has_run and not torch.equal(_DRAWS.get_state(), loan.states[2])
        loan.has_run = loan.has_run or kind is None
        _DRAWS.set_state(self.outside)
        if drawn:
            warnings.warn(
                "model: it draws random numbers in eval mode (such as F.dropout without training=self.training); every "
                "pass gets the same ones, and the attributions are those of this draw",
                stacklevel=2,
            )


def _draw_from(state: torch.Tensor, cuda_states: list[torch.Tensor] | None) -> None:
    _DRAWS.set_state(state)
    if cuda_states is not None:
        torch.cuda.set_rng_state_all(cuda_states)


def _tensors_of(module: nn.Module) -> tuple[torch.Tensor, ...]:
    return (*module.parameters(recurse=False), *module.buffers(recurse=False))


_UNMADE = (nn.UninitializedParameter, nn.UninitializedBuffer)


class _Loan:
    """Records the state of a model and of the random numbers before the model is lent, and restores it."""

    def __init__(self, model: nn.Module | None, freeze: bool) -> None:
        self.model = model
        self.has_run = False
        self.modules = () if model is None else tuple(model.modules())
        for module in self.modules:
            if isinstance(module, LazyModuleMixin) and any(isinstance(t, _UNMADE) for t in _tensors_of(module)):
                raise ConfinedError(
                    f"model: its {type(module).__name__} has no parameters yet, as it was never run; run the model once"
                )
        self.modes = [getattr(module, "training", False) for module in self.modules]  # which frozen scripts lack
        self.outside = KeptValues.of(self.modules, hooks=True, tensors=tensors_kept(self.modules))
        self.lent, self.changing = self.outside, KeptValues()
        self.parameters = [p for m in self.modules for p in m.parameters(recurse=False)]
        self.frozen = [p for p in self.parameters if freeze and p.requires_grad and not p.is_inference()]
        self.states = random.getstate(), np.random.get_state(), _DRAWS.get_state()
        self.cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def check_gradients(self) -> None:
        """Refuse parameters that cannot be differentiated through."""
        if any(parameter.is_inference() for parameter in self.parameters):
            raise ConfinedError(
                "model: a parameter was made under torch.inference_mode and cannot be differentiated through; "
                "build or load the model outside of it"
            )

    def begin(self, gradients: bool) -> None:
        """Set the model to eval mode, and freeze its parameters."""
        if gradients:
            self.check_gradients()
        for parameter in self.frozen:
            parameter.requires_grad_(False)
        for module in self.modules:
            drop_compiled_call(module)  # hooks do not reach it
        if self.model is not None and any(self.modes):
            # an exported program has its mode built in, and says so
            with contextlib.suppress(NotImplementedError):
                self.model.eval()
        for module in self.modules:
            # cuDNN differentiates recurrent networks in train mode alone, which without dropout gives the same
            if isinstance(module, nn.RNNBase) and any(p.is_cuda for p in module.parameters()):
                module.training, module.dropout = True, 0.0
        self.lent = KeptValues.of(self.modules, hooks=False, tensors=self.outside.tensors)

    def end(self) -> None:
        """Restore everything that was recorded."""
        for parameter in self.frozen:
            parameter.requires_grad_(True)
        torch.set_grad_enabled(False)
        self.outside.changed().restore()
        for module, mode in zip(self.modules, self.modes, strict=True):
            if getattr(module, "training", mode) != mode:  # of a scripted module it lies elsewhere
                module.training = mode
        random.setstate(self.states[0])
        np.random.set_state(self.states[1])
        _draw_from(self.states[2], self.cuda_states)


def _lock_of(owner: Model) -> threading.RLock:
    with _locks_guard:
        try:
            lock = _locks.get(owner)
            if lock is None:
                lock = _locks[owner] = threading.RLock()
        except TypeError:  # no weak reference to it: nothing that another thread could share
            return threading.RLock()
        return lock
