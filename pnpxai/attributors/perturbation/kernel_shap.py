"""Shapley values as a weighted linear fit to the scores of coalitions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Baselines
from pnpxai.attributors.perturbation.coalitions import Plans, every_coalition
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["KernelShap"]

_RANK = 1e-10  # singular values below this share of the largest are rounding errors


class KernelShap(Attributor):
    """Shapley values by weighted least squares over coalitions of features. Lundberg and Lee, 2017 (arXiv:1705.07874).

    The values of an example's groups sum to F(x) - F(baseline). Where ``n_samples`` allows for all ``2**groups``
    coalitions, each runs once and the values are exact.
    """

    def cost(self, inputs: Any, feature_mask: Any = None, n_samples: int = 25, **settings: Any) -> int:
        """Return examples x n_samples, or x all coalitions where these are fewer."""
        size = max(Groups.of(feature_mask, as_tuple(inputs)).sizes)
        return super().cost(inputs) * min(n_samples, 2**size)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: Any = None,
        feature_mask: Tensor | Tensors | None = None,
        n_samples: int = 25,
        perturbations_per_eval: int = 1,
        return_input_shape: bool = True,
        show_progress: bool = False,
        *,
        paired: bool = False,
        seed: int | RandomStream = 0,
    ) -> Any:
        """Return Shapley values in the shape of ``inputs``; every element has its group's value.

        They have one row where the model gives one value for its batch.

        Args:
            baselines: what stands in for absent groups; anything that broadcasts to the inputs.
            feature_mask: an id for each element, as ``FeatureAblation`` takes it; by default every element is alone.
            n_samples: number of coalitions, the empty and the full one included.
            perturbations_per_eval: at most so many coalitions of each example in one pass; 1 leaves it to the device.
            return_input_shape: if False, return (examples, ids): one value for each id, ascending.
            paired: draw coalitions in pairs with their complements: about half the error once there are a few times as
                many samples as groups, a larger one below.
            seed: fixes the coalitions; draw k is the same for all examples of a batch with as many groups.
        """
        count, stream = whole_number("n_samples", n_samples, 2), RandomStream.of(seed)
        with borrowed(self.forward_func, gradients=False):
            game = Game.of(self.forward_func, inputs, baselines, target, additional_forward_args, feature_mask)
            plans = Plans.of(game.groups, lambda size, draws: _coalitions(size, count, draws, paired), stream)
            scores = game.play(plans, perturbations_per_eval, show_progress)
            return game.maps(inputs, plans.solve(scores, _fit).to(scores), return_input_shape)


def _coalitions(size: int, count: int, draws: RandomStream, paired: bool) -> Tensor:
    """Return (steps, groups) the empty coalition, the full one, and either all others or drawn ones."""
    if 2**size <= count:
        every = every_coalition(size)
        return torch.cat([every[:1], every[-1:], every[1:-1]])
    plan = torch.zeros(count, size, dtype=torch.bool)
    plan[1] = True
    sizes = torch.arange(1, size, dtype=torch.float64)
    chances = 1 / (sizes * (size - sizes))  # the Shapley kernel, summed over the coalitions of a size
    for k in range(count - 2):
        if paired and k % 2:
            plan[k + 2] = ~plan[k + 1]
            continue
        (source,) = draws.generators("coalition", k)
        members = 1 + int(torch.multinomial(chances, 1, generator=source))
        plan[k + 2, torch.randperm(size, generator=source)[:members]] = True
    return plan


def _fit(plan: Tensor, scores: Tensor) -> Tensor:
    """Return (examples, groups) the values that fit the scores best among those that sum to full minus empty."""
    size, inner = plan.shape[1], plan[2:].double()
    gaps = scores[:, 1:2] - scores[:, :1]
    shares = inner.mean(1, keepdim=True)
    roots = _weights(plan).sqrt()[:, None]
    # an equal share for all, and deviations from it; the shortest ones that fit best have the sum zero
    offsets = scores[:, 2 : len(plan)].T - scores[:, 0] - shares * gaps.T
    deviations = torch.linalg.lstsq(roots * (inner - shares), roots * offsets, rcond=_RANK, driver="gelsd").solution.T
    return gaps / size + deviations


def _weights(plan: Tensor) -> Tensor:
    """Return the weights of the inner coalitions: drawn ones are as frequent as they weigh, all of them need theirs."""
    size = plan.shape[1]
    if len(plan) < 2**size:
        return torch.ones(len(plan) - 2, dtype=torch.float64)
    members = plan[2:].sum(1).tolist()
    return torch.tensor([1 / (math.comb(size, m) * m * (size - m)) for m in members], dtype=torch.float64)
