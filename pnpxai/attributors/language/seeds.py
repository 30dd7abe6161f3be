"""Passes several scores of one forward pass back, each by itself: gradients, or relevance under rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

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
        values: (scores, ...) relevance of the input.
        scores: (scores,).
        sinks: (scores,) relevance that biases, stabilisers and rules that do not conserve kept.
    """

    values: Tensor
    scores: Tensor
    sinks: Tensor


def gradients_of(model: Model, function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return (scores, rows, ...) gradients of each score at its own row, and the (rows, scores) scores.

    Args:
        model: is lent for the time being.
        function: of x, with (rows, scores) values; rows do not depend on each other.
        x: (rows, ...).
    """
    with borrowed(model):
        leaf = own(x).requires_grad_()
        scores = function(leaf)
        _refuse_unconnected(scores)
        found = [
            torch.autograd.grad(scores[:, k].sum(), leaf, retain_graph=k + 1 < scores.shape[1])[0]
            for k in range(scores.shape[1])
        ]
    check_finite("gradient", found)
    return torch.stack(found), scores.detach()


def relevances_of(
    model: Model, function: Callable[[Tensor], Tensor], x: Tensor, *, epsilon: float = 1e-6
) -> Relevances:
    """Return the relevance of x (1, ...) for each of the scores (1, scores) of a function, from one forward pass.

    Rules are those of ``LRP``: softmax by its Taylor term, products by halves, norms and gates as scales (Achtibat et
    al., 2024, arXiv:2402.05602).

    Raises:
        RuleError: an operation has no rule.
    """
    rules = Rules(epsilon)
    rules.ledger = Ledger(1, again=True)
    with borrowed(model):
        leaf = own(x).requires_grad_()
        with Operations(rules.replace), refuse_transforms("LRP"):
            scores = function(leaf.clone())
        refuse_unseen("LRP", "the score", [scores])
        _refuse_unconnected(scores)
        values, sinks = [], []
        for k in range(scores.shape[1]):
            rules.ledger.clear()
            seed = torch.zeros_like(scores)
            seed[0, k] = scores[0, k].detach()
            last = k + 1 == scores.shape[1]
            rules.ledger.again = not last
            values.append(torch.autograd.grad(scores, leaf, seed, retain_graph=not last)[0].detach())
            ledger = rules.ledger
            sinks.append(sum(torch.as_tensor(s).sum().cpu() for s in (ledger.bias, ledger.epsilon, ledger.rest)))
    check_finite("relevance", values)
    return Relevances(torch.stack(values)[:, 0], scores[0].detach(), torch.stack([torch.as_tensor(s) for s in sinks]))


def _refuse_unconnected(scores: Tensor) -> None:
    if not scores.requires_grad:
        raise ArgumentError(
            "model: the scores do not depend on the prompt's embeddings through differentiable operations"
        )
