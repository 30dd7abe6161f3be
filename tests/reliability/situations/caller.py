"""What the caller has switched on around the call."""

from __future__ import annotations

import contextlib
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.reliability.calls import Call, Method
from tests.reliability.judging import Situation

__all__ = ["SITUATIONS"]


class Passes(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Dispatches(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def global_hook(register: Callable[..., Any], *hook: Any) -> Iterator[None]:
    handle = register(*hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def seeded_otherwise() -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(9), np.random.seed(9), torch.default_generator.manual_seed(9)
    try:
        yield
    finally:
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])


@contextlib.contextmanager
def many_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def within_lock() -> Iterator[None]:
    with threading.Lock():
        yield


@contextlib.contextmanager
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextlib.contextmanager
def nested() -> Iterator[None]:
    with torch.no_grad(), torch.inference_mode(), torch.enable_grad():
        yield


@contextlib.contextmanager
def own_graph() -> Iterator[None]:
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).sum()
    yield
    y.backward()
    assert x.grad is not None


def nothing(*given: Any) -> None:
    """See a module and do nothing."""


hooks = nn.modules.module
AROUND: dict[str, Callable[[], Any]] = {
    "nothing": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "enable_grad": torch.enable_grad,
    "grad mode nested in inference mode": nested,
    "a graph of its own": own_graph,
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype float16": lambda: default_dtype(torch.float16),
    "deterministic algorithms": deterministic,
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "another random state": seeded_otherwise,
    "two threads for operations": many_threads,
    "a lock": within_lock,
    "warnings as errors": strict,
    "a function mode": Passes,
    "a dispatch mode": Dispatches,
    "a default device": lambda: torch.device("cpu"),
    "hooks for saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, lambda t: t),
    "a global hook on outputs": lambda: global_hook(hooks.register_module_forward_hook, nothing),
    "a global hook on inputs": lambda: global_hook(hooks.register_module_forward_pre_hook, nothing),
    "a global hook on gradients": lambda: global_hook(hooks.register_module_full_backward_hook, nothing),
    "a profiler": lambda: torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]),
    "checkpoints that may stop early": lambda: torch.utils.checkpoint.set_checkpoint_early_stop(False),
    "autocast that is off": lambda: torch.autocast("cpu", enabled=False),
    "one attention kernel": lambda: torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
}


def around(make: Callable[[], Any]) -> Callable[[Call, Method], Call]:
    return lambda call, method: replace(call, around=make)


SITUATIONS = [Situation("caller", f"within {name}", around(make)) for name, make in AROUND.items()]
