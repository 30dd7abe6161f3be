"""Laws of lending: the model and the caller's tensors are given back as they were, whatever happens."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.model_types import ModelOutput
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.subject import Subject, close, counted, require
from pnpxai.testing.zoo import Case

__all__ = [
    "check_cost",
    "check_model_that_edits_its_input",
    "check_no_warning",
    "check_nothing_grows",
    "check_nothing_left",
    "check_nothing_left_after_failure",
    "check_threads",
]


def check_nothing_left(subject: Subject, case: Case) -> None:
    """After a call, the model, the caller's tensors and the random states are as before, in either mode."""
    for training in (False, True):
        lent = case.copy() if training else case.copy().with_inputs(_with_history)
        lent.model.train(training)
        with _prepared_to_notice(lent), audit(lent.model, *lent.tensors):
            result = subject.run(lent)
        plain = subject.reference(case)
        where = "in train mode" if training else "in eval mode"
        require(close(result, plain, 1e-10), "nothing left", f"{where} the result is another one")


def check_nothing_left_after_failure(subject: Subject, case: Case) -> None:
    """An exception in the model (an interrupt, too) comes through as it is, and nothing is left behind."""
    for error in (_Planted("planted"), KeyboardInterrupt("planted")):
        for call in (1, 2):
            lent = case.copy()
            with _failing(lent.model, error, call) as failed, audit(lent.model, *lent.tensors):
                came = _raised(subject, lent)
            if failed.is_set():
                require(came is error, "failure", f"{error!r} in the model came out as {came!r}")
            plain, again = subject.reference(case), subject.run(lent)
            require(close(again, plain, 1e-10), "failure", "after it, the result is another one")


def check_model_that_edits_its_input(subject: Subject, case: Case) -> None:
    """A model may edit its input in place: neither the caller's tensors nor the result notice."""
    if subject.control or not case.tensors[0].is_floating_point() or getattr(subject.make(case.model), "layer", None):
        return
    edited = replace(case.copy(), model=_Scaled(case.model, in_place=True).eval())
    with audit(edited.model, *edited.tensors):
        result = subject.run(edited)
    plain = subject.run(replace(case, model=_Scaled(case.model, in_place=False).eval()))
    require(close(result, plain, 1e-10), "in-place edit", "the result is not that of the same model without the edit")


def check_threads(subject: Subject, case: Case) -> None:
    """Two threads on one model get what one gets."""
    lent = case.copy()
    others = replace(lent.with_inputs(_different), targets=lent.other_targets)
    jobs = (lent, others)
    alone = [subject.run(job) for job in jobs]
    results: list[Any] = [None, None]
    started, meeting = threading.Barrier(2), threading.Barrier(2)

    def work(k: int) -> None:
        started.wait()
        try:
            results[k] = subject.run(jobs[k])
        except Exception as error:  # noqa: BLE001  (a thread's exception would be lost)
            results[k] = error

    with _meeting(lent.model, meeting), audit(lent.model):
        threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for got, expected in zip(results, alone, strict=True):
        require(not isinstance(got, Exception), "threads", f"{got!r}")
        require(close(got, expected, 1e-10), "threads", "a thread got another result than alone")


def check_nothing_grows(subject: Subject, case: Case) -> None:
    """Repeated calls of one object keep no tensors alive."""
    made = subject.make(case.model)
    check_growth(lambda: subject.call(made, case.inputs, case.targets, 0))


def check_no_warning(subject: Subject, case: Case) -> None:
    """A correct call warns of nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        subject.run(case)
    require(not caught, "no warning", *(f"{w.category.__name__}: {w.message}" for w in caught))


def check_cost(subject: Subject, case: Case) -> None:
    """``cost`` is the number of rows that are really run through the model."""
    if subject.cost is None:
        return
    for part in (case, case.take(slice(0, 1))):
        claimed = subject.cost(subject.make(part.model), part.inputs)
        with counted(part.model) as counter:
            subject.run(part)
        require(claimed == counter.rows, "cost", f"{claimed} rows claimed, {counter.rows} run")


class _Planted(Exception):
    """An exception that no library knows."""


class _Scaled(nn.Module):
    """A model on inputs that are scaled first, in place or not."""

    def __init__(self, model: nn.Module, *, in_place: bool) -> None:
        super().__init__()
        self.model = model
        self.in_place = in_place

    def forward(self, *inputs: Tensor) -> ModelOutput:
        return self.model(*(x.mul_(1.5) if self.in_place else x * 1.5 for x in inputs))


def _with_history(tensor: Tensor) -> Tensor:
    """Return a copy that the caller uses elsewhere: it requires a gradient and has one."""
    if not tensor.is_floating_point():
        return tensor.clone()
    copy = tensor.clone().requires_grad_()
    copy.grad = torch.ones_like(tensor)
    return copy


def _different(tensor: Tensor) -> Tensor:
    return 0.5 * tensor.flip(0) + 0.25 if tensor.is_floating_point() else tensor.flip(0, 1)


@contextlib.contextmanager
def _prepared_to_notice(case: Case) -> Iterator[None]:
    """Give the parameters gradients, one of them frozen, and the model a hook, so that losing them shows."""
    parameters = list(case.model.parameters())
    for parameter in parameters[1:]:
        parameter.requires_grad_(True)
        parameter.grad = torch.ones_like(parameter)
    parameters[0].requires_grad_(False)
    handle = case.model.register_forward_hook(lambda module, args, output: None)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _failing(model: nn.Module, error: BaseException, call: int) -> Iterator[threading.Event]:
    """Let a model's last leaf raise from its n-th call on; the event tells whether it came to that."""
    calls = [0]
    happened = threading.Event()

    def fail(module: nn.Module, args: object, output: object) -> None:
        calls[0] += 1
        if calls[0] >= call:
            happened.set()
            raise error

    leaf = [m for m in model.modules() if not list(m.children())][-1]
    handle = leaf.register_forward_hook(fail)
    try:
        yield happened
    finally:
        handle.remove()


def _raised(subject: Subject, case: Case) -> BaseException | None:
    try:
        subject.run(case)
    except BaseException as error:  # noqa: BLE001  (an interrupt, too, is compared with what was planned)
        return error
    return None


_MOMENT = 0.3
"""Seconds that a thread waits for the other, which a lock keeps from coming."""


@contextlib.contextmanager
def _meeting(model: nn.Module, meeting: threading.Barrier) -> Iterator[None]:
    """Let a thread's first forward pass wait a moment for the other thread's, so that they overlap if they can."""
    here = threading.local()

    def wait(module: nn.Module, args: object) -> None:
        if not getattr(here, "waited", False):
            here.waited = True
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(timeout=_MOMENT)

    handle = model.register_forward_pre_hook(wait)
    try:
        yield
    finally:
        handle.remove()
