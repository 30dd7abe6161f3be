"""Integrates the gradient along a straight path from a baseline to the input."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, completeness_gap, prepared
from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block, row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import gradient_sum, perturbed_scores
from pnpxai.engine.running.score import Score, Target
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Model, ModelInputs
from pnpxai.tensors import Tensors, like

__all__ = ["IntegratedGradients", "Quadrature", "quadrature"]

Quadrature: TypeAlias = Literal["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]


def quadrature(method: str, n_steps: int) -> tuple[list[float], list[float]]:
    """Return the nodes a_k in [0, 1] and the weights w_k of a quadrature rule; the weights sum to one.

    Raises:
        ArgumentError: the method is unknown, or there are too few steps for it.
    """
    n_steps = whole_number("n_steps", n_steps)
    if method == "gausslegendre":
        nodes, weights = np.polynomial.legendre.leggauss(n_steps)
        return list(0.5 * (1 + nodes)), list(0.5 * weights)
    edges = np.arange(n_steps) / n_steps
    even = [1 / n_steps] * n_steps
    if method == "riemann_left":
        return list(edges), even
    if method == "riemann_right":
        return list(edges + 1 / n_steps), even
    if method == "riemann_middle":
        return list(edges + 0.5 / n_steps), even
    if method == "riemann_trapezoid":
        if n_steps < 2:
            raise ArgumentError("n_steps: riemann_trapezoid needs at least 2, got 1")
        ends = 0.5 / (n_steps - 1)
        return list(np.linspace(0, 1, n_steps)), [ends, *[2 * ends] * (n_steps - 2), ends]
    known = ", ".join(map(repr, Quadrature.__args__))
    raise ArgumentError(f"method: expected one of {known}, got {method!r}")


class IntegratedGradients(Attributor):
    """Computes (x - x') * sum_k w_k dF/dx(x' + a_k (x - x')). Sundararajan et al., 2017 (arXiv:1703.01365).

    The sum approximates the integral of the gradient of the score F along the straight line from the baseline x' to the
    input x, with the nodes a_k and weights w_k of a quadrature rule. The attributions sum to F(x) - F(x') up to the
    error of the quadrature. ``multiply_by_inputs=False`` leaves out the factor x - x'.
    """

    _has_convergence_delta = True

    def __init__(self, forward_func: Model, multiply_by_inputs: bool = True) -> None:
        super().__init__(forward_func)
        self._multiply_by_inputs = multiply_by_inputs

    def cost(
        self, inputs: ModelInputs, n_steps: int = 50, return_convergence_delta: bool = False, **settings: object
    ) -> int:
        """Return one row for each example and step, and two more for each example with a delta."""
        return super().cost(inputs) * (n_steps + 2 * return_convergence_delta)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        n_steps: int = 50,
        method: Quadrature = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``, and with ``return_convergence_delta`` a delta (examples,).

        Args:
            baselines: start of the path.
            n_steps: number of points on the path.
            method: the quadrature rule.
            internal_batch_size: at most so many rows in one pass; for None the device and the size of a row decide.
            return_convergence_delta: return sum(attributions) - (F(inputs) - F(baselines)) too.
        """
        nodes, weights = quadrature(method, n_steps)
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            starts = broadcast_baselines(baselines, tensors)
            points = partial(_points, starts, tensors, nodes)
            limit = row_limit(tensors, score.extra, at_most=internal_batch_size)
            gradients = gradient_sum(score, tensors, points, weights, limit, show_progress=show_progress)
            results = tuple(
                g * (x - b) if self.multiplies_by_inputs else g
                for g, x, b in zip(gradients, tensors, starts, strict=True)
            )
            results = tuple(r.detach() for r in results)
            if not return_convergence_delta:
                return like(inputs, results)
            attributions, delta = like(inputs, results), completeness_gap(results, *_end_scores(score, starts, tensors))
        return attributions, self.delta_of(attributions, delta, baselines, inputs, target, additional_forward_args)


def _points(starts: Tensors, ends: Tensors, nodes: list[float], block: Block) -> Tensors:
    part = slice(block.examples.start, block.examples.stop)
    return tuple(
        torch.cat([b[part] + nodes[step] * (x[part] - b[part]) for step in block.steps])
        for b, x in zip(starts, ends, strict=True)
    )


def _end_scores(score: Score, starts: Tensors, ends: Tensors) -> tuple[Tensor, Tensor]:
    values = perturbed_scores(score, partial(_points, starts, ends, [0.0, 1.0]), 2, ends, joint=True)
    return values[:, 0], values[:, 1]
