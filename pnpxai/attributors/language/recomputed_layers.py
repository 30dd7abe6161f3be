"""Runs layers once more in the backward pass instead of keeping what they compute, so that long texts fit in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.seeing.torch_private import from_leaves, to_leaves
from pnpxai.engine.seeing.unseen import account_for
from pnpxai.model_types import ModelOutput, Positional

__all__ = ["recomputed_layers"]

Context: TypeAlias = Callable[[], contextlib.AbstractContextManager[object]]
_Run: TypeAlias = Callable[..., tuple[Tensor, ...]]


@contextlib.contextmanager
def recomputed_layers(model: object, context: Context = contextlib.nullcontext) -> Iterator[None]:
    """Let the layers of a borrowed model keep their inputs alone, within a ``with`` block around the forward pass.

    The backward pass runs each layer again. The values of gradients, and of relevance, are the same; the time is that
    of one more forward pass for each backward pass.

    Args:
        model: the model; its layers are the members of its lists of modules of one class.
        context: what each layer is run again in, such as rules for its operations.
    """
    layers = _layers(model)
    for layer in layers:
        layer.forward = _lean(layer.forward, context)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _layers(model: object) -> list[nn.Module]:
    if not isinstance(model, nn.Module):
        return []
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1 and len({*map(type, m)}) == 1]
    inside = {id(inner) for outer in lists for layer in outer for inner in layer.modules()}
    return [layer for outer in lists if id(outer) not in inside for layer in outer if "forward" not in vars(layer)]


def _lean(forward: Callable[..., ModelOutput], context: Context) -> Callable[..., ModelOutput]:
    def run_lean(*args: object, **kwargs: object) -> ModelOutput:
        leaves, shape = to_leaves((args, kwargs))
        places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if not places or not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        found: dict[str, Any] = {}

        def run(*tensors: Tensor) -> tuple[Tensor, ...]:
            given = list(leaves)
            for k, tensor in zip(places, tensors, strict=True):
                given[k] = tensor
            new_args, new_kwargs = from_leaves(given, shape)
            found["leaves"], found["shape"] = to_leaves(forward(*new_args, **new_kwargs))
            found["places"] = [k for k, leaf in enumerate(found["leaves"]) if isinstance(leaf, Tensor)]
            return tuple(found["leaves"][k] for k in found["places"])

        results = _Again.apply(run, context, *(leaves[k] for k in places))
        for k, result in zip(found["places"], results, strict=True):
            found["leaves"][k] = result
        account_for(results)
        return from_leaves(found["leaves"], found["shape"])

    return run_lean


class _Again(torch.autograd.Function):
    """A layer that keeps its inputs."""

    @staticmethod
    def forward(ctx: Any, run: _Run, context: Context, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.run, ctx.context = run, context
        ctx.save_for_backward(*tensors)
        with torch.enable_grad():  # to see which results depend on the inputs, as a bias of positions does not
            results = run(*(t.detach().requires_grad_() for t in tensors))
        found = [r.detach() for r in results]
        ctx.mark_non_differentiable(*(f for f, r in zip(found, results, strict=True) if not r.requires_grad))
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Positional:
        tensors = [t.detach().requires_grad_() for t in ctx.saved_tensors]
        with torch.enable_grad(), ctx.context():
            results = ctx.run(*(t.view_as(t) for t in tensors))
        chosen = [(r, g) for r, g in zip(results, gradients, strict=True) if r.requires_grad and g is not None]
        outputs, seeds = zip(*chosen, strict=True)
        return None, None, *torch.autograd.grad(outputs, tensors, seeds, allow_unused=True)
