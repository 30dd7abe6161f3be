"""Laws of results: their form, and that neither batch mates, memory layout nor the caller's modes change them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.engine.running.site import AtSites, Call, find_places
from pnpxai.errors import NonFiniteError
from pnpxai.testing.subject import Subject, attempt, close, require
from pnpxai.testing.zoo import Case

__all__ = [
    "check_alone_as_in_a_batch",
    "check_caller_modes",
    "check_detached",
    "check_dtypes",
    "check_form",
    "check_frozen_parameters",
    "check_layouts",
    "check_non_finite_inputs",
    "check_says_something",
    "check_target_forms",
]

TOLERANCE = 1e-10


def check_form(subject: Subject, case: Case) -> None:
    """Maps have the shape of what they explain (a map without channels has one), numbers are one per example."""
    results = subject.reference(case)
    if not subject.maps:
        shapes = [tuple(r.shape) for r in results]
        require(shapes == [(len(case),)], "form", f"expected one number for each of {len(case)} examples, got {shapes}")
        return
    explained = _explained(subject, case)
    one_map = getattr(subject.make(case.model), "layer_is_site", True) is False
    expected = explained[:1] if one_map else explained
    require(len(results) == len(expected), "form", f"expected {len(expected)} tensors, got {len(results)}")
    for result, value in zip(results, expected, strict=True):
        pooled = [one_channel(value, axis) for axis in (1, case.traits.channel_dim or 1)]
        fits = result.shape == value.shape or (value.ndim > 2 and tuple(result.shape) in pooled)
        require(fits, "form", f"expected a map of shape {tuple(value.shape)}, got {tuple(result.shape)}")


def one_channel(values: Tensor, axis: int) -> tuple[int, ...]:
    """Return the shape of values with a single entry on the axis of channels."""
    return tuple(1 if k == axis % values.ndim else n for k, n in enumerate(values.shape))


def check_alone_as_in_a_batch(subject: Subject, case: Case) -> None:
    """An example explained alone equals the same example in a batch, in any order."""
    together = subject.reference(case)
    for k in range(len(case)):
        alone = subject.run(case.take(slice(k, k + 1)))
        row = tuple(t[k : k + 1] for t in together)
        require(close(alone, row, TOLERANCE), "alone as in a batch", f"example {k}: {_off(alone, row)}")
    order = list(range(len(case)))[::-1]
    turned = replace(case.with_inputs(lambda t: t[order]), targets=[case.targets[k] for k in order])
    back = tuple(t[order] for t in subject.run(turned))
    require(close(back, together, TOLERANCE), "alone as in a batch", f"in another order: {_off(back, together)}")


def check_says_something(subject: Subject, case: Case) -> None:
    """A map is finite and not constant, and differs between inputs and (of a control: not) between targets."""
    results = subject.reference(case)
    others = subject.run(case, targets=case.other_targets)
    for result, other in zip(results, others, strict=True):
        require(torch.isfinite(result).all(), "says something", "a map holds NaN or infinity")
        for k in range(len(case)):
            constant = result[k].numel() > 1 and float(result[k].std()) < 1e-9
            require(not constant, "says something", f"the map of example {k} is constant")
            same = k > 0 and close((result[k],), (result[k - 1],), 1e-6)
            require(not same, "says something", f"examples {k - 1} and {k} have the same map")
            ignores = subject.of_target and close((result[k],), (other[k],), 1e-6)
            require(not ignores, "says something", f"the map of example {k} does not depend on the target")


def check_detached(subject: Subject, case: Case) -> None:
    """Results hold no graph, share no memory, and are of the dtype and device of what they explain."""
    results = subject.reference(case)
    storages = {t.untyped_storage().data_ptr() for t in _held(case)}
    of_ids = not case.tensors[0].is_floating_point()
    dtype = next(case.model.parameters()).dtype
    for result in results:
        require(not result.requires_grad, "detached", "a result requires a gradient")
        require(not result.is_inference(), "detached", "a result was made under inference mode")
        require(result.untyped_storage().data_ptr() not in storages, "detached", "a result shares the caller's memory")
        require(_dense(result), "detached", "a result's elements share memory")
        right = result.is_floating_point() if of_ids and subject.control else result.dtype == dtype
        require(right, "dtype", f"expected {dtype}, got {result.dtype}")
        require(result.device == case.tensors[0].device, "device", f"got {result.device}")


def check_dtypes(subject: Subject, case: Case) -> None:
    """Results follow the model's dtype and agree with float64, for the same draws, as far as the dtype allows."""
    draws = RandomStream(0, tuple(map(str, range(len(case)))))  # else they go by content, which the dtype changes
    exact = subject.run(case, draws)
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.bfloat16, None), (torch.float16, None)):
        cast = case.to(dtype)
        again = attempt("dtype", f"{dtype}", partial(subject.run, cast, draws))
        for result, truth in zip(again, exact, strict=True):
            of_ids = not case.tensors[0].is_floating_point()
            right = result.is_floating_point() if of_ids and subject.control else result.dtype == dtype
            require(right, "dtype", f"expected {dtype}, got {result.dtype}")
            require(torch.isfinite(result).all(), "dtype", f"NaN or infinity in {dtype}")
            if subject.control or not subject.maps:
                continue
            if tolerance is not None:
                require(close((result,), (truth,), tolerance), "dtype", f"{dtype}: {_off((result,), (truth,))}")
            alike = torch.cosine_similarity(result.double().flatten(), truth.flatten(), dim=0)
            require(alike > 0.9, "dtype", f"{dtype}: its cosine to the float64 map is {float(alike):.2f}")


def check_layouts(subject: Subject, case: Case) -> None:
    """Non-contiguous, channels-last and expanded inputs give what plain ones do."""
    plain = subject.reference(case)
    turned = case.with_inputs(lambda t: t.transpose(0, -1).contiguous().transpose(0, -1))
    last = case.with_inputs(lambda t: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t)
    for layout, other in (("non-contiguous", turned), ("channels-last", last)):
        again = attempt("layouts", f"{layout} inputs", partial(subject.run, other))
        require(close(again, plain, TOLERANCE), "layouts", f"{layout} inputs: {_off(again, plain)}")
    expanded = case.with_inputs(lambda t: t[:1].expand(len(case), *t.shape[1:]))
    again = attempt("layouts", "expanded inputs", partial(subject.run, expanded))
    copied = subject.run(expanded.with_inputs(lambda t: t.clone()))
    require(close(again, copied, TOLERANCE), "layouts", f"expanded inputs: {_off(again, copied)}")


def check_caller_modes(subject: Subject, case: Case) -> None:
    """The caller may be inside ``no_grad`` or ``inference_mode``, and have made the inputs there."""
    plain = subject.reference(case)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode():
            there = case.with_inputs(torch.Tensor.clone)
            again = attempt("caller's modes", f"under {mode.__name__}", partial(subject.run, there))
        require(close(again, plain, TOLERANCE), "caller's modes", f"under {mode.__name__}: {_off(again, plain)}")
        bound = any(t.is_inference() or t.requires_grad for t in again)
        require(not bound, "caller's modes", f"a result made under {mode.__name__} cannot be used further")


def check_frozen_parameters(subject: Subject, case: Case) -> None:
    """A model whose parameters need no gradient gives the same."""
    frozen = case.copy()
    frozen.model.requires_grad_(False)
    one, other = attempt("frozen parameters", "run", partial(subject.run, frozen)), subject.reference(case)
    require(close(one, other, TOLERANCE), "frozen parameters", _off(one, other))


def check_target_forms(subject: Subject, case: Case) -> None:
    """A target for each example as a list, tensor or array, and one for all as an int or a NumPy int, mean the same."""
    listed = subject.reference(case)
    for form in (torch.tensor(case.targets), np.array(case.targets), [(t,) for t in case.targets]):
        again = attempt("target forms", type(form).__name__, partial(subject.run, case, targets=form))
        require(close(again, listed, TOLERANCE), "target forms", f"{type(form).__name__}: {_off(again, listed)}")
    for_all = subject.run(case, targets=[1] * len(case))
    # a function sees the raw output, a metric that looks at probabilities does not
    functions = [lambda output: output[:, 1]] if subject.maps else []
    for one in (1, np.int64(1), torch.tensor(1), (1,), *functions):
        again = attempt("target forms", type(one).__name__, partial(subject.run, case, targets=one))
        require(close(again, for_all, TOLERANCE), "target forms", f"{type(one).__name__}: {_off(again, for_all)}")


def check_non_finite_inputs(subject: Subject, case: Case) -> None:
    """NaN and infinity among the inputs are refused, not explained."""
    for bad in (float("nan"), float("inf")):
        spoiled = case.with_inputs(torch.Tensor.clone)
        where = next((t for t in spoiled.tensors if t.is_floating_point()), None)
        if where is None:
            return
        where.view(-1)[1] = bad
        with contextlib.suppress(NonFiniteError):
            subject.run(spoiled)
            require(False, "non-finite inputs", f"{bad} was explained instead of refused")


def _explained(subject: Subject, case: Case) -> tuple[Tensor, ...]:
    layer = getattr(subject.make(case.model), "layer", None)
    if layer is None:
        return case.tensors
    with borrowed(case.model, gradients=False):
        return AtSites(case.model, find_places(case.model, layer)).read(Call(case.tensors))[0]


def _held(case: Case) -> list[Tensor]:
    modules: nn.Module = case.model
    return [*case.tensors, *modules.parameters(), *modules.buffers()]


def _dense(tensor: Tensor) -> bool:
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _off(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> str:
    shapes = [tuple(t.shape) for t in one], [tuple(t.shape) for t in other]
    if shapes[0] != shapes[1]:
        return f"shapes {shapes[0]}, not {shapes[1]}"
    gaps = [float((a.detach().double() - b.detach().double()).abs().max()) for a, b in zip(one, other, strict=True)]
    return f"off by up to {max(gaps):.3g}"
