"""Differentiates the score with respect to the inputs, and refuses inputs that cannot be differentiated at."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.engine.running.missing_gradients import (
    naming_missing_gradients,
    refuse_missing_gradients,
    where_gradients_end,
)
from pnpxai.engine.running.score import Score
from pnpxai.engine.speed.layout import in_fast_layout
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors, check_finite, own

__all__ = ["gradient", "refuse_integers"]


def gradient(
    score: Score, inputs: Tensors, *, seed_by_score: bool = False, **grad_kwargs: bool
) -> tuple[Tensors, Tensor]:
    """Return the gradient of the summed scores with respect to ``inputs``, and the scores.

    The inputs are not touched, also where the model edits them in place. An input that the score does not depend on
    has gradient zero.

    Args:
        score: what is differentiated.
        inputs: floating point tensors.
        seed_by_score: start the backward pass with the score itself instead of one (as relevance propagation does).
        **grad_kwargs: passed on to ``torch.autograd.grad``.

    Raises:
        ArgumentError: an input is of integers, or the score depends on no input in a differentiable way.
        NonFiniteError: a gradient is NaN or infinite.
    """
    refuse_integers(inputs)
    if grad_kwargs.get("create_graph"):
        # with the graph, a result can be differentiated with respect to what was given
        leaves = tuple(t if t.requires_grad else own(t).requires_grad_() for t in inputs)
        return _differentiated(score, leaves, seed_by_score, grad_kwargs)

    def run(rows: Tensors) -> tuple[Tensors, Tensor]:
        leaves = tuple(own(t).requires_grad_() for t in rows)
        gradients, values = _differentiated(score, leaves, seed_by_score, grad_kwargs)
        return tuple(g.detach().contiguous() for g in gradients), values.detach()

    return in_fast_layout(score, run, inputs)


def _differentiated(
    score: Score, leaves: Tensors, seed_by_score: bool, grad_kwargs: dict[str, bool]
) -> tuple[Tensors, Tensor]:
    values = score(leaves)
    if not values.requires_grad:
        raise ArgumentError(
            "model: the score does not depend on the inputs through differentiable operations "
            f"(is something detached, rounded or computed under no_grad?){where_gradients_end(score, leaves)}"
        )
    refuse_missing_gradients(score, values, leaves)
    seeds = values.detach() if seed_by_score else torch.ones_like(values)
    settings = {"allow_unused": True} | grad_kwargs
    with naming_missing_gradients():
        partials = torch.autograd.grad(values, leaves, grad_outputs=seeds, **settings)
    if all(partial is None for partial in partials):
        raise ArgumentError(
            "model: the score does not depend on the inputs, but on tensors that the model made to require gradients"
        )
    gradients = tuple(
        torch.zeros_like(leaf) if partial is None else partial for partial, leaf in zip(partials, leaves, strict=True)
    )
    check_finite("gradient", gradients)
    return gradients, values


def refuse_integers(inputs: Tensors) -> None:
    """Refuse tensors that cannot be differentiated at.

    Raises:
        ArgumentError: an input is of integers.
    """
    for tensor in inputs:
        if tensor.is_complex():
            raise ArgumentError(
                f"inputs: expected real numbers to differentiate, got {tensor.dtype}; explain "
                "torch.view_as_real(inputs) with lambda parts: model(torch.view_as_complex(parts)) as the model"
            )
        if not tensor.is_floating_point():
            raise ArgumentError(
                f"inputs: expected floating point numbers to differentiate, got {tensor.dtype}; "
                "for token ids, explain the embedding: layer='<name of the embedding>'"
            )
