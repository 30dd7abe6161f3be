"""Shapley values as mean contributions to coalitions: over drawn orders, or over all coalitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Baselines
from pnpxai.attributors.perturbation.coalitions import Plans, every_coalition
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["ShapleyValueSampling", "ShapleyValues"]

_MOST_GROUPS = 20


class ShapleyValueSampling(Attributor):
    """Mean gain of score when a group joins those before it in a random order. Strumbelj and Kononenko, 2010.

    The values of an example's groups sum to F(x) - F(baseline), for any number of orders.
    """

    _multiply_by_inputs = True

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        super().__init__(forward_func)

    def cost(self, inputs: Any, feature_mask: Any = None, n_samples: int = 25, **settings: Any) -> int:
        """Return, for each example, both ends and what lies between them in each order."""
        size = max(Groups.of(feature_mask, as_tuple(inputs)).sizes)
        return super().cost(inputs) * (2 + n_samples * (size - 1))

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: Any = None,
        feature_mask: Tensor | Tensors | None = None,
        n_samples: int = 25,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        seed: int | RandomStream = 0,
    ) -> Any:
        """Return Shapley values in the shape of ``inputs``; every element has its group's value.

        They have one row where the model gives one value for its batch.

        Args:
            baselines: what stands in for absent groups; anything that broadcasts to the inputs.
            feature_mask: an id for each element, as ``FeatureAblation`` takes it; by default every element is alone.
            n_samples: number of orders.
            perturbations_per_eval: at most so many coalitions of each example in one pass; 1 leaves it to the device.
            seed: fixes the orders; order k is the same for all examples of a batch with as many groups.
        """
        count, stream = whole_number("n_samples", n_samples), RandomStream.of(seed)
        with borrowed(self.forward_func, gradients=False):
            game = Game.of(self.forward_func, inputs, baselines, target, additional_forward_args, feature_mask)
            ranks = Plans.of(game.groups, lambda size, draws: _ranks(size, count, draws), stream)
            table = ranks.table()
            between = table.shape[2] - 1  # steps of an order that are neither the empty nor the full coalition
            tables = [table.to(x.device) for x in game.tensors]

            def kept(k: int, block: Block) -> Tensor:
                steps = torch.tensor(block.steps, device=tables[k].device)
                orders = ((steps - 1) // max(between, 1)).clamp(0, count - 1)
                lengths = (steps - 1) % max(between, 1) + 1
                lengths[steps == 0] = 0
                lengths[steps == 1 + count * between] = between + 1
                found = game.groups.look_up(k, tables[k][:, orders], block.examples)
                return found < lengths.reshape(-1, *[1] * (found.ndim - 1))

            scores = game.scores(
                game.points(kept),
                2 + count * between,
                perturbations_per_eval=perturbations_per_eval,
                show_progress=show_progress,
                label="orders",
                alike=len(table) == 1,
            )
            ends = scores[:, :1, None], scores[:, -1:, None]
            inner = scores[:, 1:-1].reshape(len(scores), count, between)
            orders = torch.cat([ends[0].expand(-1, count, 1), inner, ends[1].expand(-1, count, 1)], 2)
            return game.maps(inputs, ranks.solve(orders.double().diff(dim=2), _mean_gain).to(scores))


def _ranks(size: int, count: int, draws: RandomStream) -> Tensor:
    """Return (orders, groups) the place of each group in each order."""
    rows = [torch.randperm(size, generator=g) for k in range(count) for g in draws.generators("order", k)]
    return torch.stack(rows)


def _mean_gain(ranks: Tensor, gains: Tensor) -> Tensor:
    return gains.gather(2, ranks.expand(len(gains), -1, -1)).mean(1)


class ShapleyValues(Attributor):
    """Exact Shapley values, from all ``2**groups`` coalitions. Shapley, 1953."""

    _multiply_by_inputs = True

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        super().__init__(forward_func)

    def cost(self, inputs: Any, feature_mask: Any = None, **settings: Any) -> int:
        """Return all coalitions, for each example."""
        return super().cost(inputs) * 2 ** max(Groups.of(feature_mask, as_tuple(inputs)).sizes)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: Any = None,
        feature_mask: Tensor | Tensors | None = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
    ) -> Any:
        """Return Shapley values in the shape of ``inputs``; arguments as for ``ShapleyValueSampling``.

        Raises:
            ArgumentError: there are more than 20 groups.
        """
        with borrowed(self.forward_func, gradients=False):
            game = Game.of(self.forward_func, inputs, baselines, target, additional_forward_args, feature_mask)
            if max(game.groups.sizes) > _MOST_GROUPS:
                raise ArgumentError(
                    f"feature_mask: expected at most {_MOST_GROUPS} groups, as all 2**groups coalitions run, got "
                    f"{max(game.groups.sizes)}; make fewer groups, or take ShapleyValueSampling or KernelShap"
                )
            plans = Plans.of(game.groups, lambda size, _: every_coalition(size))
            scores = game.play(plans, perturbations_per_eval, show_progress)
            return game.maps(inputs, plans.solve(scores, _weighted_gain).to(scores))


def _weighted_gain(plan: Tensor, scores: Tensor) -> Tensor:
    """Return (examples, groups) each group's gains over all coalitions without it, weighted by how often they occur."""
    size = plan.shape[1]
    chances = torch.tensor([1 / (size * math.comb(size - 1, members)) for members in range(size)], dtype=torch.float64)
    codes, members = torch.arange(len(plan)), plan.sum(1)
    values = scores.new_zeros(len(scores), size)
    for group in range(size):
        without = codes[~plan[:, group]]
        gains = scores[:, without + 2**group] - scores[:, without]
        values[:, group] = gains @ chances[members[without]]
    return values
