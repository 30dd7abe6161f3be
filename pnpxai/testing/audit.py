"""What a call leaves behind: a snapshot of everything that is not the call's own, before and after."""

from __future__ import annotations

import contextlib
import gc
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from pnpxai.engine.seeing.torch_private import tensor_hooks

__all__ = [
    "AttributeLeft",
    "BufferChanged",
    "FlagLeft",
    "GradientLeft",
    "HookLeft",
    "LeftBehind",
    "MemoryGrew",
    "ModeLeft",
    "ParameterChanged",
    "RandomStateMoved",
    "TensorChanged",
    "TorchSettingLeft",
    "audit",
    "check_growth",
    "live_tensors",
]


class LeftBehind(AssertionError):
    """A call changed what was only lent to it."""


class AttributeLeft(LeftBehind):
    """An attribute of a module was added, removed, exchanged or filled."""


class ModeLeft(LeftBehind):
    """A module is in training mode and was not, or the other way round."""


class HookLeft(LeftBehind):
    """A hook was added or removed."""


class BufferChanged(LeftBehind):
    """A buffer has another value."""


class ParameterChanged(LeftBehind):
    """A parameter has another value."""


class GradientLeft(LeftBehind):
    """A ``.grad`` was written."""


class FlagLeft(LeftBehind):
    """A ``requires_grad`` was changed."""


class TensorChanged(LeftBehind):
    """A tensor of the caller has another value."""


class RandomStateMoved(LeftBehind):
    """A global random state was used."""


class TorchSettingLeft(LeftBehind):
    """A global setting of torch was changed: grad mode, default dtype, ..."""


class MemoryGrew(LeftBehind):
    """Every call keeps tensors alive."""


_Facts: TypeAlias = dict[str, object]


@contextlib.contextmanager
def audit(model: object = None, *tensors: Tensor) -> Iterator[None]:
    """Check, when the block is left, that it left nothing behind; also when an exception leaves it.

    Looked at are: modes, hooks, attributes, buffers, parameters, gradients and flags of a model's modules; values,
    gradients, flags and hooks of the tensors; the random states of torch, numpy and Python; torch's global settings.

    Args:
        model: a module (all else is not looked into).
        *tensors: what the caller keeps.

    Raises:
        LeftBehind: something changed; the class says what kind of thing, the message which one.
    """
    before = _snapshot(model, tensors)
    try:
        yield
    finally:
        _compare(before, _snapshot(model, tensors))


def live_tensors() -> int:
    """Return how many tensors Python can reach, after collecting garbage."""
    gc.collect()
    # by type(), as isinstance() would wake lazy objects
    kinds = Counter(map(type, gc.get_objects()))
    return sum(count for kind, count in kinds.items() if issubclass(kind, Tensor))


def check_growth(call: Callable[[], object], *, warm: int = 2, calls: int = 4) -> None:
    """Check that repeated calls do not keep ever more tensors alive.

    Raises:
        MemoryGrew: after ``calls`` more calls there are more tensors than after the first ``warm``.
    """
    for _ in range(warm):
        call()
    before = live_tensors()
    for _ in range(calls):
        call()
    grown = live_tensors() - before
    if grown > 0:
        raise MemoryGrew(f"{calls} calls left {grown} more tensors alive")


def _snapshot(model: object, tensors: tuple[Tensor, ...]) -> dict[type[LeftBehind], _Facts]:
    facts: dict[type[LeftBehind], _Facts] = {kind: {} for kind in LeftBehind.__subclasses__()}
    for name, module in model.named_modules() if isinstance(model, nn.Module) else ():
        _note_module(facts, name or type(model).__name__, module)
    for k, tensor in enumerate(tensors):
        _note_tensor(facts, f"tensor {k}", tensor, TensorChanged)
    for table in vars(torch.nn.modules.module):
        if table.startswith("_global_") and table.endswith("hooks"):
            facts[HookLeft][table] = tuple(getattr(torch.nn.modules.module, table).values())
    facts[RandomStateMoved] = {
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }
    if torch.cuda.is_initialized():
        facts[RandomStateMoved]["cuda"] = tuple(torch.cuda.get_rng_state_all())
    facts[TorchSettingLeft] = {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }
    return facts


def _note_module(facts: dict[type[LeftBehind], _Facts], name: str, module: nn.Module) -> None:
    facts[ModeLeft][name] = module.training
    for key, value in vars(module).items():
        if "_hook" in key:
            facts[HookLeft][f"{name}.{key}"] = tuple(value.values()) if isinstance(value, dict) else value
        elif key != "training":
            facts[AttributeLeft][f"{name}.{key}"] = _Same(value)
    for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
        _note_tensor(facts, f"{name}.{key}", parameter, ParameterChanged)
    for key, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
        _note_tensor(facts, f"{name}.{key}", buffer, BufferChanged)


def _note_tensor(facts: dict[type[LeftBehind], _Facts], name: str, tensor: Tensor, kind: type[LeftBehind]) -> None:
    facts[kind][name] = tensor.detach().clone()
    facts[FlagLeft][name] = tensor.requires_grad
    facts[HookLeft][name] = tensor_hooks(tensor)
    if tensor.is_leaf:
        facts[GradientLeft][name] = None if tensor.grad is None else tensor.grad.detach().clone()


class _Same:
    """Stands for an attribute: the same object, with the same members where it is a container."""

    def __init__(self, value: object) -> None:
        self.value = value
        self.members = list(value.items()) if isinstance(value, dict) else None
        if isinstance(value, (list, set)):
            self.members = [(None, member) for member in value]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same):
            return False
        plain = isinstance(self.value, (bool, int, float, str, tuple)) and type(self.value) is type(other.value)
        if not (self.value is other.value or (plain and self.value == other.value)):
            return False
        mine, others = self.members or [], other.members or []
        return len(mine) == len(others) and all(
            a == b and one is another for (a, one), (b, another) in zip(mine, others, strict=True)
        )

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return repr(self.value)


def _compare(before: dict[type[LeftBehind], _Facts], after: dict[type[LeftBehind], _Facts]) -> None:
    for kind, facts in before.items():
        now = after[kind]
        for name in [*facts, *(name for name in now if name not in facts)]:
            if name not in now:
                raise kind(f"{name}: gone")
            if name not in facts:
                raise kind(f"{name}: new, {_short(now[name])}")
            if not _equal(facts[name], now[name]):
                raise kind(f"{name}: was {_short(facts[name])}, is {_short(now[name])}")


def _equal(one: object, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same_kind = one.dtype == other.dtype and one.shape == other.shape
        return same_kind and bool(torch.equal(one.nan_to_num(0.5), other.nan_to_num(0.5)))
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    return type(one) is type(other) and bool(one == other)


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 80 else text[:77] + "..."
