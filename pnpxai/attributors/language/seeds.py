"""Passes several scores of one forward pass back, each by itself: gradients, or relevance under rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.language.base_model import base_model
from pnpxai.attributors.language.recomputed_layers import recomputed_layers
from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.ruled_model import Rules
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.seeing.operations import Operations
from pnpxai.engine.seeing.unseen import refuse_transforms, refuse_unseen
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model
from pnpxai.tensors import check_finite, own

__all__ = ["Relevances", "gradients_of", "relevances_of"]


@dataclass(frozen=True)
class Relevances:
    """Relevance of several scores.

    Attributes:
        values: of each input, (scores, ...) relevance.
        scores: (scores,).
        sinks: (scores,) relevance that biases, stabilisers and rules that do not conserve kept.
    """

    values: tuple[Tensor, ...]
    scores: Tensor
    sinks: Tensor


def gradients_of(
    model: Model, function: Callable[..., Tensor], *inputs: Tensor, lean: bool = False
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return for each input (scores, rows, ...) gradients of each score at its own row, and the (rows, scores) scores.

    Args:
        model: is lent for the time being.
        function: of the inputs, with (rows, scores) values; rows do not depend on each other.
        *inputs: (rows, ...).
        lean: whether layers run again in each backward pass, so that what they compute is not kept.
    """
    _refuse_quantised(model)
    with borrowed(model):
        leaves = tuple(own(x).requires_grad_() for x in inputs)
        with recomputed_layers(_owner(model)) if lean else nullcontext():
            scores = function(*leaves)
        _refuse_unconnected(scores)
        found = [
            torch.autograd.grad(scores[:, k].sum(), leaves, retain_graph=k + 1 < scores.shape[1])
            for k in range(scores.shape[1])
        ]
    stacked = tuple(map(torch.stack, zip(*found, strict=True)))
    check_finite("gradient", stacked)
    return stacked, scores.detach()


def relevances_of(
    model: Model, function: Callable[..., Tensor], *inputs: Tensor, epsilon: float = 1e-6, lean: bool = False
) -> Relevances:
    """Return the relevance of inputs (1, ...) for each of the scores (1, scores) of a function, from one forward pass.

    Rules are those of ``LRP``: softmax by its Taylor term, products by halves, norms and gates as scales (Achtibat et
    al., 2024, arXiv:2402.05602). With ``lean``, layers run again in each backward pass, so that what they compute is
    not kept.

    Raises:
        RuleError: an operation has no rule.
    """
    rules = Rules(epsilon)
    rules.ledger = Ledger(1, again=True)
    with borrowed(model):
        leaves = tuple(own(x).requires_grad_() for x in inputs)
        again = recomputed_layers(_owner(model), lambda: Operations(rules.replace)) if lean else nullcontext()
        with again, Operations(rules.replace), refuse_transforms("LRP"):
            scores = function(*(leaf.clone() for leaf in leaves))
        refuse_unseen("LRP", "the score", [scores])
        _refuse_unconnected(scores)
        values, sinks = [], []
        for k in range(scores.shape[1]):
            rules.ledger.clear()
            seed = torch.zeros_like(scores)
            seed[0, k] = scores[0, k].detach()
            last = k + 1 == scores.shape[1]
            rules.ledger.again = not last
            values.append(torch.autograd.grad(scores, leaves, seed, retain_graph=not last))
            ledger = rules.ledger
            sinks.append(sum(torch.as_tensor(s).sum().cpu() for s in (ledger.bias, ledger.epsilon, ledger.rest)))
    stacked = tuple(torch.stack([v.detach()[0] for v in of]) for of in zip(*values, strict=True))
    check_finite("relevance", stacked)
    return Relevances(stacked, scores[0].detach(), torch.stack([torch.as_tensor(s) for s in sinks]))


def _owner(model: Model) -> object:
    """Return the model if its layers may run again: one that keeps keys and values would keep them twice."""
    module = base_model(model)
    return module if "use_cache" in inspect.signature(module.forward).parameters else None


def _refuse_quantised(model: Model) -> None:
    """Refuse layers whose results have no gradient, so that a part of it would be missing."""
    quantised = [name for name, m in base_model(model).named_modules() if "quantized" in type(m).__module__]
    if quantised:
        raise ArgumentError(
            f"model: {quantised[0]!r} and {len(quantised) - 1} other layers are quantised, and gradients do not pass "
            "them; use a method that removes text, or the model before it was quantised"
        )


def _refuse_unconnected(scores: Tensor) -> None:
    if not scores.requires_grad:
        raise ArgumentError(
            "model: the scores do not depend on the prompt's embeddings through differentiable operations"
        )
