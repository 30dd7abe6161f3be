"""One method in one situation: what comes, and what it leaves behind."""

from __future__ import annotations

import gc
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import pnpxai.attributors
from pnpxai import errors
from pnpxai.tensors import flat
from pnpxai.testing.audit import LeftBehind, audit, live_tensors
from tests.reliability.calls import Call, Method, plain_call

__all__ = ["OUTCOMES", "Outcome", "Planted", "Situation", "judge"]

OUTCOMES = ("right", "clear error", "obscure", "silently wrong", "leak")
OWN = tuple(e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception))
ON_PURPOSE = (AssertionError, ValueError, TypeError, NotImplementedError)
"""Errors by which another library says what is wrong with a call."""


class Planted(Exception):
    """An exception that a model raises, and no library knows."""


@dataclass(frozen=True)
class Situation:
    """Something odd about a call.

    Attributes:
        room: what is odd: the caller, the inputs, the model, its outputs, the target, the arguments, the settings.
        name: as the table has it.
        odd: makes the odd call of a plain one.
        plain: makes, of the same plain call, one that must give the same answer.
        refused: whether an answer would be wrong, whatever it is.
        suits: whether it can come about with a method.
        tolerance: of the comparison, as a share of the largest value.
        keeps_dtype: whether the answer has the dtype of the inputs.
    """

    room: str
    name: str
    odd: Callable[[Call, Method], Call]
    plain: Callable[[Call, Method], Call] = lambda call, method: call
    refused: bool = False
    suits: Callable[[Method], bool] = lambda method: True
    tolerance: float = 1e-5
    keeps_dtype: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came: one of ``OUTCOMES``, and more about it."""

    kind: str
    words: str = ""


def judge(
    method: Method, situation: Situation, library: Any = pnpxai.attributors, growth: bool = False
) -> Outcome | None:
    """Return how a method fares in a situation, or None where the situation cannot come about with its network.

    Args:
        method: what is called.
        situation: what is odd.
        library: whose method it is.
        growth: whether a second call is run to see what stays in memory.
    """
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            call = situation.odd(plain_call(method.case), method)
        except Exception:  # such as a network that torch cannot trace
            return None
        torch.manual_seed(0)
        plain = situation.plain(plain_call(method.case), method)
        lent = call.model if isinstance(call.model, nn.Module) else None
        held = [t for t in _tensors((call.inputs, call.extra, dict(call.given))) if _plain(t)]
        try:
            torch.manual_seed(1)
            with audit(lent, *held):
                found = method.ask(call, library)
        except LeftBehind as left:
            return Outcome("leak", f"{type(left).__name__}: {left}")
        except BaseException as error:  # noqa: BLE001  (an interrupt, too, is a result here)
            return _error(error, call, library)
        if situation.refused:
            return Outcome("silently wrong", "an answer where none can be right")
        torch.manual_seed(1)
        try:
            wanted = method.ask(plain, library)
        except Exception as error:
            return Outcome("obscure", f"the plain call fails: {error!r}")
        if words := _difference(_tensors(found), _tensors(wanted), situation, _tensors(call.inputs)):
            return Outcome("silently wrong", words)
        del found, wanted
        if growth and (more := _growth(method, call, library)):
            return Outcome("leak", f"MemoryGrew: {more} tensors")
        return Outcome("right")


def _error(error: BaseException, call: Call, library: Any) -> Outcome:
    """An error is clear if the library says it on purpose, or if it is what the model itself raises."""
    said = f"{type(error).__name__}: {error}"[:300]
    by_python = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)  # which it names
    if by_python or isinstance(error, Planted | KeyboardInterrupt | MemoryError):
        return Outcome("clear error", said)
    if library is pnpxai.attributors:
        clear = isinstance(error, OWN)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        clear = isinstance(error, ON_PURPOSE) and bool(str(error)) and "captum" in frames[-1].filename
    return Outcome("clear error" if clear or _own_error(error, call) else "obscure", said)


def _own_error(error: BaseException, call: Call) -> bool:
    """Tell whether the model, called with the same inputs, raises the same."""
    extra = () if call.extra is None else call.extra if isinstance(call.extra, tuple) else (call.extra,)
    try:
        with call.around():
            call.model(*(call.inputs if isinstance(call.inputs, tuple) else (call.inputs,)), *extra)
    except BaseException as own:  # noqa: BLE001
        return type(own) is type(error)
    return False


def _difference(found: list[Tensor], wanted: list[Tensor], situation: Situation, inputs: list[Tensor]) -> str:
    """Return what is wrong with an answer."""
    if [t.shape for t in found] != [t.shape for t in wanted]:
        return f"shapes {[tuple(t.shape) for t in found]}, expected {[tuple(t.shape) for t in wanted]}"
    if any(t.requires_grad for t in found):
        return "the answer is attached to a graph"
    storages = {t.untyped_storage().data_ptr() for t in inputs if t.layout is torch.strided and t.numel()}
    if any(t.untyped_storage().data_ptr() in storages for t in found if t.numel()):
        return "the answer shares the memory of an input"
    if situation.keeps_dtype and inputs and inputs[0].is_floating_point() and found[0].dtype != inputs[0].dtype:
        return f"the answer is of {found[0].dtype}"
    for one, other in zip(found, wanted, strict=True):
        one, other = one.detach().double(), other.detach().double()
        scale = max(float(other.abs().max()), 1e-9) if other.numel() else 1.0
        off = float((one - other).abs().max()) / scale if other.numel() else 0.0
        if not off <= situation.tolerance:
            return f"off by {off:.2g} of the largest"
    return ""


def _growth(method: Method, call: Call, library: Any) -> int:
    """Return how many tensors one more call leaves behind."""
    gc.collect()
    gc.freeze()
    method.ask(call, library)
    return live_tensors()


def _plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_meta


def _tensors(value: Any) -> list[Tensor]:
    return [t for t in flat(value) if isinstance(t, Tensor)]
