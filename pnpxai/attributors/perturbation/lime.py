"""A simple model that is fitted to the scores of perturbed inputs, and whose weights are the explanation."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from pnpxai.attributors.base import Attributor, Baselines
from pnpxai.attributors.perturbation.coalitions import Plans
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.similarity import ExponentialKernel
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import Points
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.tensors import Tensors, like

__all__ = ["Lime"]


class Lime(Attributor):
    """Weights of a simple model that is fitted around each example. Ribeiro et al., 2016 (arXiv:1602.04938).

    Args:
        forward_func: the model.
        interpretable_model: what is fitted, a copy for each example: an estimator with ``fit(x, y, sample_weight=)``
            and ``coef_`` as scikit-learn's, or one with ``fit(loader)`` and ``representation()`` as captum's. By
            default ``sklearn.linear_model.Lasso(alpha=0.01)``.
        similarity_func: gives the weight of a sample, called as ``similarity_func(original inputs, perturbed inputs,
            sample, baselines=, feature_mask=, num_interp_features=)`` with one example each. By default
            ``ExponentialKernel()``.
        perturb_func: draws a sample (1, groups) of zeros and ones, or is a generator of them; called as
            ``perturb_func(original inputs, baselines=, feature_mask=, num_interp_features=)`` for each example. By
            default every group is present with probability one half.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        interpretable_model: Any = None,
        similarity_func: Callable[..., Any] | None = None,
        perturb_func: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(forward_func)
        self.interpretable_model = interpretable_model
        self.similarity_func = ExponentialKernel() if similarity_func is None else similarity_func
        self.perturb_func = perturb_func

    def cost(self, inputs: Any, n_samples: int = 25, **settings: Any) -> int:
        """Return examples x n_samples."""
        return super().cost(inputs) * n_samples

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
        seed: int | RandomStream = 0,
    ) -> Any:
        """Return the weights in the shape of ``inputs``; every element has its group's weight.

        They have one row where the model gives one value for its batch.

        Args:
            baselines: what stands in for absent groups; anything that broadcasts to the inputs.
            feature_mask: an id for each element, as ``FeatureAblation`` takes it; by default every element is alone.
            n_samples: number of samples.
            perturbations_per_eval: at most so many samples of each example in one pass; 1 leaves it to the device.
            return_input_shape: if False, return (examples, ids): one weight for each id, ascending.
            seed: fixes the samples; draw k is the same for all examples of a batch with as many groups. It does not
                reach a ``perturb_func``.
        """
        count, stream = whole_number("n_samples", n_samples), RandomStream.of(seed)
        with torch.inference_mode(False), torch.no_grad():
            game = Game.of(self.forward_func, inputs, baselines, target, additional_forward_args, feature_mask)
            plans = self._plans(game, inputs, count, stream)  # a perturb_func may draw from the global random state
            with borrowed(self.forward_func, gradients=False):
                scores = game.play(plans, perturbations_per_eval, show_progress)
                values = self._fits(game, inputs, plans, scores).to(scores)
            return game.maps(inputs, values, return_input_shape)

    def _fits(self, game: Game, inputs: Any, plans: Plans, scores: Tensor) -> Tensor:
        """Return (1 or examples, groups) the weights of a model fitted to each example, or to all of them."""
        values = torch.zeros(len(scores), max(game.groups.sizes), dtype=torch.float64)
        points = game.coalitions(plans.table() != 0)
        for row, (value, found) in enumerate(zip(values, scores.double().cpu(), strict=True)):
            examples = range(row, row + 1) if len(scores) == game.score.size else range(game.score.size)
            plan = plans.each[row % len(plans.each)]
            weights = self._weights(game, inputs, examples, plan, points)
            value[: plan.shape[1]] = _fitted(self.interpretable_model, plan.double(), found[: len(plan)], weights)
        return values

    def _plans(self, game: Game, inputs: Any, count: int, stream: RandomStream) -> Plans:
        if self.perturb_func is None:
            return Plans.of(game.groups, lambda size, draws: _halves(size, count, draws), stream)
        each = []
        for e in range(game.score.size):
            original, facts = _facts(game, inputs, range(e, e + 1))
            samples = itertools.islice(_samples(self.perturb_func, original, facts), count)
            each.append(_plan(list(samples), facts["num_interp_features"]))
        return Plans(tuple(each))

    def _weights(self, game: Game, inputs: Any, examples: range, plan: Tensor, points: Points) -> Tensor:
        """Return (steps,) how near each sample is to the original."""
        original, facts = _facts(game, inputs, examples)
        device = game.tensors[0].device
        weights = []
        for step, sample in enumerate(plan):
            perturbed = like(inputs, points(Block(examples, range(step, step + 1))))
            weights.append(float(self.similarity_func(original, perturbed, sample[None].to(device).long(), **facts)))
        return torch.tensor(weights, dtype=torch.float64)


def _halves(size: int, count: int, draws: RandomStream) -> Tensor:
    rows = [torch.randint(2, (size,), generator=g) for k in range(count) for g in draws.generators("coalition", k)]
    return torch.stack(rows) == 1


def _facts(game: Game, inputs: Any, examples: range) -> tuple[Any, dict[str, Any]]:
    """Return some examples as they came, and what the user's functions are told of them."""
    part = slice(examples.start, examples.stop)
    masks = [game.groups.within(k, examples) for k in range(len(game.tensors))]
    return like(inputs, [x[part] for x in game.tensors]), {
        "baselines": like(inputs, [blank[part] for blank in game.blanks]),
        "feature_mask": like(inputs, masks),
        "num_interp_features": game.groups.sizes[examples.start % len(game.groups.sizes)],
    }


def _samples(perturb: Callable[..., Any], original: Any, facts: dict[str, Any]) -> Iterator[Any]:
    if inspect.isgeneratorfunction(perturb):
        yield from perturb(original, **facts)
        return
    while True:
        yield perturb(original, **facts)


def _plan(samples: list[Any], size: int) -> Tensor:
    rows = [sample.detach().cpu().reshape(-1) for sample in samples if isinstance(sample, Tensor)]
    if not rows or len(rows) < len(samples) or any(row.shape != (size,) for row in rows):
        found = [tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__ for s in samples[:1]]
        raise ShapeError(f"perturb_func: expected samples of shape (1, {size}), got {found or 'none'}")
    return torch.stack(rows)


def _fitted(model: Any, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return (groups,) the weights of a copy of the model, fitted to samples x with scores y."""
    if model is None:
        from sklearn.linear_model import Lasso

        model = Lasso(alpha=0.01)
    model = copy.deepcopy(model)
    if hasattr(model, "representation"):
        data = TensorDataset(x.float(), y.float(), weights.float())
        model.fit(DataLoader(data, batch_size=len(data)))
        found = torch.as_tensor(model.representation())
    else:
        model.fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
        found = torch.as_tensor(model.coef_)
    if found.numel() != x.shape[1]:
        raise ArgumentError(
            f"interpretable_model: expected {x.shape[1]} weights of {type(model).__name__}, got {tuple(found.shape)}"
        )
    return found.detach().double().cpu().reshape(-1)
