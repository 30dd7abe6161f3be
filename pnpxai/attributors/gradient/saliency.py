"""Computes the gradient of the score with respect to the inputs, and the gradient times the inputs."""

from __future__ import annotations

from torch import Tensor

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.engine.running.batching import Block, row_limit
from pnpxai.engine.running.gradients import gradient
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import gradient_sum
from pnpxai.engine.running.score import Score, Target
from pnpxai.model_types import Attributions, ForwardArgs, Keywords
from pnpxai.tensors import Tensors, like

__all__ = ["InputXGradient", "Saliency", "gradient_in_passes"]


class Saliency(Attributor):
    """Computes |dF/dx|, or dF/dx with ``abs=False``. Simonyan et al., 2014 (arXiv:1312.6034).

    F is the score and x the inputs.
    """

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        abs: bool = True,  # noqa: A002  (captum's name)
        additional_forward_args: ForwardArgs = None,
        grad_kwargs: Keywords | None = None,
    ) -> Attributions:
        """Return the gradient at ``inputs``, in their shape."""
        with borrowed(self.forward_func, freeze=not grad_kwargs):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            gradients = gradient_in_passes(score, tensors, grad_kwargs)
            return like(inputs, [g.abs() if abs else g for g in gradients])


class InputXGradient(Attributor):
    """Computes x * dF/dx, the input times the gradient of the score. Shrikumar et al., 2016 (arXiv:1605.01713)."""

    _multiply_by_inputs = True

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        grad_kwargs: Keywords | None = None,
    ) -> Attributions:
        """Return the input times the gradient, in the shape of ``inputs``."""
        with borrowed(self.forward_func, freeze=not grad_kwargs):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            gradients = gradient_in_passes(score, tensors, grad_kwargs)
            return like(inputs, [tensor.detach() * g for tensor, g in zip(tensors, gradients, strict=True)])


def gradient_in_passes(score: Score, inputs: Tensors, grad_kwargs: Keywords | None = None) -> Tensors:
    """Return the gradient at ``inputs``, computed a few rows at a time; with ``grad_kwargs`` all rows at once.

    A graph that ``grad_kwargs`` asks for connects all rows, so that they cannot be taken apart.
    """
    if grad_kwargs:
        return gradient(score, inputs, **grad_kwargs)[0]

    def rows(block: Block) -> Tensors:
        return tuple(tensor[block.examples.start : block.examples.stop] for tensor in inputs)

    return gradient_sum(score, inputs, rows, [1.0], row_limit(inputs, score.extra))
