"""Computes conductance and internal influence: gradients of a layer's units along a path of inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayer, prepared
from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.attributors.gradient.layer_paths import WeightedSum, between, examples_first, gap
from pnpxai.attributors.gradient.paths import Quadrature, quadrature
from pnpxai.attributors.layers import first_rows, packed, places_of
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.gradients import refuse_integers
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.layer_blocks import Explain, Pace, in_parts, in_steps, stacked
from pnpxai.engine.running.layers import Slopes, slopes
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call, Members, Place
from pnpxai.errors import ShapeError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, ModelInputs
from pnpxai.tensors import Tensors

R = TypeVar("R")

__all__ = ["InternalInfluence", "LayerConductance"]


class LayerConductance(AtLayer):
    """Computes sum_k dF/dy(x_k) * (y(x_k+1) - y(x_k)) for a layer's values y. Dhamdhere et al., 2018.

    The points x_k go straight from the baseline to the input. The result is the part of the input's integrated gradient
    that flows through each value of the layer (arXiv:1805.12233). If nothing bypasses the layer, attributions sum to
    F(inputs) - F(baselines) in the limit of many steps.
    """

    _multiply_by_inputs = True
    _has_convergence_delta = True

    def cost(self, inputs: ModelInputs, n_steps: int = 50, **settings: object) -> int:
        """Return one row for each example and point of the path."""
        return super().cost(inputs) * (n_steps + 1)

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
            baselines: inputs at the start of the path.
            n_steps: number of steps between points; both ends of the path are points, so there is one point more.
            method: the quadrature rule whose nodes are the points between the ends.
            return_convergence_delta: return (examples,) sum(attributions) - (F(inputs) - F(baselines)) too.
        """
        along = _Path(self, attribute_to_layer_input, with_ends(method, n_steps), internal_batch_size, grad_kwargs)

        def explain(part: Score, ends_and_starts: Tensors, pace: Pace) -> tuple[Tensor, tuple[Attributions, Tensor]]:
            flow = _Flow()
            scores, members = along.run(part, ends_and_starts, pace, flow.add, show_progress)
            result = packed(self.layer, members, flow.result)
            ends = Call((*ends_and_starts[: len(ends_and_starts) // 2], *part.extra))
            at = AtSites(self.forward_func, along.places)
            turn = None if not pace.together else partial(examples_first, at, ends)
            return scores[-1], (result, gap(flow.result, scores[0], scores[-1], turn))

        outcome = along.explained(inputs, baselines, target, additional_forward_args, explain)
        if not return_convergence_delta:
            return outcome[0]
        return outcome[0], self.delta_of(outcome[0], outcome[1], baselines, inputs, target, additional_forward_args)


class InternalInfluence(AtLayer):
    """Computes sum_k w_k dF/dy(x_k), the mean gradient at a layer along a path of inputs. Leino et al., 2018.

    The points x_k go straight from the baseline to the input; w_k are the weights of a quadrature rule. The result is
    the sensitivity of the score to each value y of the layer on the way (arXiv:1802.03788).
    """

    def cost(self, inputs: ModelInputs, n_steps: int = 50, **settings: object) -> int:
        """Return one row for each example and step."""
        return super().cost(inputs) * n_steps

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        n_steps: int = 50,
        method: Quadrature = "gausslegendre",
        internal_batch_size: int | None = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: Keywords | None = None,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value.

        Args:
            baselines: inputs at the start of the path.
            n_steps: number of points on the path.
            method: the quadrature rule.
        """
        nodes, weights = quadrature(method, n_steps)
        along = _Path(self, attribute_to_layer_input, nodes, internal_batch_size, grad_kwargs)

        def explain(part: Score, ends_and_starts: Tensors, pace: Pace) -> tuple[Tensor, Attributions]:
            total = WeightedSum(weights)
            scores, members = along.run(
                part,
                ends_and_starts,
                pace,
                lambda steps, at_points: total.add(steps, at_points.gradients),
                show_progress,
            )
            return scores[-1], packed(self.layer, members, total.result)

        return along.explained(inputs, baselines, target, additional_forward_args, explain)


@dataclass(frozen=True)
class _Path:
    """Reads the values and gradients of a layer along a straight path of inputs."""

    owner: AtLayer
    at_input: bool
    nodes: list[float]
    at_most: int | None
    grad_kwargs: Keywords | None

    @property
    def places(self) -> tuple[Place, ...]:
        return places_of(self.owner.forward_func, self.owner.layer, self.at_input)

    def explained(
        self, inputs: ModelInputs, baselines: Baselines, target: Target, extra: ForwardArgs, explain: Explain[R]
    ) -> R:
        """Return the results of ``explain(score, ends and starts, pace)`` for all examples, joined."""
        with borrowed(self.owner.forward_func, freeze=not self.grad_kwargs):
            ends, score = prepared(self.owner.forward_func, inputs, target, extra)
            refuse_integers(ends)
            starts = broadcast_baselines(baselines, ends)
            limit = row_limit(ends, score.extra, at_most=self.at_most)
            limit = score.size if self.grad_kwargs else limit
            return in_parts(score, ends, self.places, limit, explain, n_steps=len(self.nodes), beside=starts)

    def run(
        self,
        part: Score,
        ends_and_starts: Tensors,
        pace: Pace,
        add: Callable[[range, Slopes], None],
        show_progress: bool,
    ) -> tuple[list[Tensor], tuple[Members, ...]]:
        """Pass the slopes at every node to ``add``; return the scores at both ends, and the members of the places."""
        half = len(ends_and_starts) // 2
        ends, starts = ends_and_starts[:half], ends_and_starts[half:]
        scores: list[Tensor] = []
        members: list[tuple[Members, ...]] = []

        def visit(steps: range, rows: Tensor) -> Tensor:
            points = between(starts, ends, [self.nodes[step] for step in steps])
            at_points = slopes(part.take(rows), points, self.places, **(self.grad_kwargs or {}))
            if not pace.together and any(value.shape[:1] != rows.shape for value in at_points.values):
                raise ShapeError("layer: its rows are not the examples")
            add(steps, at_points)
            members[:] = [first_rows(at_points.members, part.size, rows.numel())]
            if at_points.scores.numel() == rows.numel():
                ends_here = ([0] if steps.start == 0 else []) + ([-1] if steps.stop == len(self.nodes) else [])
                scores.extend(stacked(at_points.scores, steps)[end] for end in ends_here)
            return at_points.scores

        limit = row_limit(ends, part.extra, at_most=self.at_most)
        in_steps(part.size, len(self.nodes), pace, limit, visit, show_progress=show_progress, label="steps")
        if not scores:  # the model returned one value for all steps
            with torch.no_grad():
                scores = [part(starts), part(ends)]
        return scores, members[0]


class _Flow:
    """Adds up (y(x_k+1) - y(x_k)) * dF/dy(x_k) block by block."""

    def __init__(self) -> None:
        self._last: list[tuple[Tensor, Tensor]] = []  # value and gradient at the last point so far
        self.result: Tensors = ()

    def add(self, steps: range, at_points: Slopes) -> None:
        points = [
            (stacked(v, steps), stacked(g, steps)) for v, g in zip(at_points.values, at_points.gradients, strict=True)
        ]
        last = [(v[-1:], g[-1:]) for v, g in points]
        if self._last:
            points = [
                (torch.cat([v0, v]), torch.cat([g0, g])) for (v0, g0), (v, g) in zip(self._last, points, strict=True)
            ]
        shares = tuple(((v[1:] - v[:-1]) * g[:-1]).sum(0) for v, g in points)
        self.result = tuple(a + b for a, b in zip(self.result, shares, strict=True)) if self.result else shares
        self._last = last


def with_ends(method: str, n_steps: int) -> list[float]:
    """Return ``n_steps + 1`` nodes of a quadrature rule from 0 to 1, both ends included.

    Raises:
        ArgumentError: the method is unknown, or there are no steps.
    """
    count = whole_number("n_steps", n_steps) + {"riemann_trapezoid": 1, "riemann_left": 0, "riemann_right": 0}.get(
        method, -1
    )
    nodes, _ = quadrature(method, max(count, 1))
    return [0.0, *(node for node in nodes[:count] if 1e-9 < node < 1 - 1e-9), 1.0]
