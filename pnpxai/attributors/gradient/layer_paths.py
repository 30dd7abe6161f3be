"""Integrates the gradient of what comes after a layer along a path of the layer's values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from pnpxai.attributors.base import AtLayerWithFactor, prepared
from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.attributors.gradient.paths import Quadrature, quadrature
from pnpxai.attributors.layers import packed, places_of
from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.examples_axis import ExamplesFirst
from pnpxai.engine.running.gradients import gradient
from pnpxai.engine.running.guard import borrowed, eager
from pnpxai.engine.running.layer_blocks import Pace, in_parts, in_steps, stacked
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call, Site
from pnpxai.errors import ShapeError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, ModelInputs
from pnpxai.tensors import Tensors, sum_rows

__all__ = ["LayerIntegratedGradients", "WeightedSum", "between", "by_example", "examples_first", "gap"]


class LayerIntegratedGradients(AtLayerWithFactor):
    """Computes (y - y') * sum_k w_k dF/dy(y' + a_k (y - y')) for a layer's values y at the input, y' at the baseline.

    These are integrated gradients (Sundararajan et al., 2017, arXiv:1703.01365) of the part of the model after the
    layer. If nothing bypasses the layer, they sum to F(inputs) - F(baselines). Token ids are explained in this way at
    their embedding. The part of the model before the layer runs once, where that is exact (see ``AtSites.read``).
    """

    _has_convergence_delta = True

    def cost(
        self,
        inputs: ModelInputs,
        n_steps: int = 50,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        **settings: object,
    ) -> int:
        """Return one row for each example and step, two for the ends of the path, and three to verify the replay."""
        places = places_of(self.forward_func, self.layer, False)
        seen = isinstance(eager(self.forward_func), nn.Module) and all(isinstance(place, Site) for place in places)
        return super().cost(inputs) * (n_steps + 2 + 3 * seen)

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
        attribute_to_layer_input: bool = False,
        grad_kwargs: Keywords | None = None,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value, and with ``return_convergence_delta`` a delta.

        Args:
            baselines: inputs whose values at the layer are the start of the path.
            n_steps: number of points on the path.
            method: the quadrature rule.
            return_convergence_delta: return (examples,) sum(attributions) - (F(inputs) - F(baselines)) too, a single
                one for several layers.

        Raises:
            ArgumentError: one of several layers depends on another (unless ``grad_kwargs`` asks for unused gradients).
        """
        nodes, weights = quadrature(method, n_steps)
        kwargs = grad_kwargs or {}
        # with either argument, a layer whose value another layer replaces has gradient zero, as in captum
        alone = not (kwargs.get("materialize_grads") or kwargs.get("allow_unused"))
        with borrowed(self.forward_func, freeze=not grad_kwargs):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            starts = broadcast_baselines(baselines, tensors)
            at = AtSites(self.forward_func, places_of(self.forward_func, self.layer, attribute_to_layer_input))
            limit = score.size if grad_kwargs else row_limit(tensors, score.extra, at_most=internal_batch_size)

            def explain(part: Score, ends_and_starts: Tensors, pace: Pace) -> tuple[Tensor, tuple[Attributions, ...]]:
                graph = bool(kwargs.get("create_graph"))
                half = len(tensors)
                here, there = (Call((*x, *part.extra)) for x in (ends_and_starts[:half], ends_and_starts[half:]))
                # verifying a replay runs twice the rows
                replay = internal_batch_size is None or 2 * part.size <= internal_batch_size
                end = at.read(here, replay=replay, graph=graph, size=part.size, alone=alone)
                start = at.read(there, stop=not return_convergence_delta, graph=graph, alone=alone)
                rows = end.values if end.call.recording is not None else ends_and_starts
                along = replace(part, forward=at, extra=(end.call,))
                total = WeightedSum(weights)

                def visit(steps: range, examples: Tensor) -> Tensor:
                    points = between(start.values, end.values, [nodes[step] for step in steps])
                    gradients, scores = gradient(along.take(examples), points, **kwargs)
                    total.add(steps, gradients)
                    return scores

                at_most = row_limit(rows, part.extra, at_most=internal_batch_size)
                in_steps(part.size, n_steps, pace, at_most, visit, show_progress=show_progress, label="steps")
                shares = total.result
                if self.multiplies_by_inputs:
                    shares = tuple(g * (y - b) for g, y, b in zip(shares, end.values, start.values, strict=True))
                result, scores = packed(self.layer, end.members, shares), part.select(end.output)
                if not return_convergence_delta:
                    return scores, (result,)
                turn = None if not pace.together else partial(examples_first, at, here)
                return scores, (result, gap(shares, part.select(start.output), scores, turn))

            outcome = in_parts(score, tensors, at.places, limit, explain, n_steps=n_steps, beside=starts)
        if not return_convergence_delta:
            return outcome[0]
        return outcome[0], self.delta_of(outcome[0], outcome[1], baselines, inputs, target, additional_forward_args)


def between(starts: Tensors, ends: Tensors, nodes: Sequence[float]) -> Tensors:
    """Return the points x' + a (x - x') of straight lines for some nodes a, node after node."""
    return tuple(torch.cat([b + node * (x - b) for node in nodes]) for b, x in zip(starts, ends, strict=True))


class WeightedSum:
    """Adds up weighted gradients step by step, so that memory does not grow with the number of steps."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = torch.tensor(list(weights), dtype=torch.float64)
        self.result: Tensors = ()

    def add(self, steps: range, gradients: Tensors) -> None:
        """Add the gradients of some steps."""
        shares = []
        for g in gradients:
            weight = self._weights[steps.start : steps.stop].to(g.device, g.dtype)
            shares.append(torch.tensordot(weight, stacked(g, steps), dims=1))
        self.result = tuple(a + b for a, b in zip(self.result, shares, strict=True)) if self.result else tuple(shares)


def gap(shares: Tensors, start: Tensor, end: Tensor, turn: Callable[[Tensors, int], Tensors] | None = None) -> Tensor:
    """Return (examples,) how far shares at a layer are from summing to ``end - start``.

    Args:
        shares: what the values of the layer get.
        start: (examples,) scores.
        end: (examples,) scores.
        turn: puts the examples first, where the layer may have them elsewhere.
    """
    size = end.numel()
    if turn is not None and size > 1:
        shares = turn(shares, size)
    return (sum(sum_rows(share, size) for share in shares) - (end - start)).detach()


def by_example(share: Tensor, size: int) -> Tensor:
    """Return (size,) sums over all values that belong to each example."""
    axis = next((axis for axis, length in enumerate(share.shape) if length == size), None)
    if axis is None:  # several rows for each example, or one for all
        return sum_rows(share, size)
    return share.movedim(axis, 0).reshape(size, -1).sum(1)


def examples_first(at: AtSites, call: Call, shares: Tensors, size: int) -> Tensors:
    """Return shares of a layer's values with the examples first; where these cannot be told apart, even shares."""
    with probing():
        values = at.read(call, stop=True, alone=False).values
    try:
        return ExamplesFirst.of(at, call, values, size).there(shares)
    except ShapeError:
        return tuple(share.sum().expand(size) / size for share in shares)
