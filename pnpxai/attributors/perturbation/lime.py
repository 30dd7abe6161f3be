"""A simple model that is fitted to the scores of perturbed inputs, and whose weights are the explanation."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Outcome
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.padding import unseen, without
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.lime_base import Function
from pnpxai.attributors.perturbation.lime_fits import fitted, weight_errors, without_penalty
from pnpxai.attributors.perturbation.similarity import ExponentialKernel, GroupProducts
from pnpxai.attributors.perturbation.stand_ins import Rows, StandIns
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target, WholeBatchOutput
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ShapeError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, Model, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["Lime"]


class Lime(Attributor):
    """Weights of a simple model that is fitted around each example. Ribeiro et al., 2016 (arXiv:1602.04938).

    Args:
        forward_func: the model.
        interpretable_model: what is fitted, a copy for each example: an estimator with ``fit(x, y, sample_weight=)``
            and ``coef_`` as scikit-learn's, one with ``fit(loader)`` and ``representation()`` as captum's, or this
            package's ``Ridge``. By default ``sklearn.linear_model.Lasso(alpha=0.01)``.
        similarity_func: gives the weight of a sample, called as ``similarity_func(original inputs, perturbed inputs,
            sample, baselines=, feature_mask=, num_interp_features=)`` with one example each. By default
            ``ExponentialKernel()``, of which all weights are computed at once.
        perturb_func: draws a sample (1, groups) of zeros and ones, or is a generator of them; called as
            ``perturb_func(original inputs, baselines=, feature_mask=, num_interp_features=)`` for each example. By
            default every group is present with probability one half.
    """

    def __init__(
        self,
        forward_func: Model,
        interpretable_model: Any = None,
        similarity_func: Function | None = None,
        perturb_func: Function | None = None,
    ) -> None:
        super().__init__(forward_func)
        self.interpretable_model = interpretable_model
        self.similarity_func = ExponentialKernel() if similarity_func is None else similarity_func
        self.perturb_func = perturb_func

    def cost(self, inputs: ModelInputs, n_samples: int = 25, **settings: Any) -> int:
        """Return examples x n_samples, for each row of baselines."""
        tensors = as_tuple(inputs)
        return len(tensors[0]) * n_samples * StandIns.of(settings.get("baselines"), tensors).n_rows

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines | Rows = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        feature_mask: Tensor | Tensors | None = None,
        n_samples: int = 25,
        perturbations_per_eval: int = 1,
        return_input_shape: bool = True,
        show_progress: bool = False,
        *,
        held: Sequence[Tensor | None] | None = None,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return the weights in the shape of ``inputs``; every element has its group's weight.

        They have one row where the model gives one value for its batch.

        Args:
            inputs: see ``Attributor``.
            baselines: what stands in for absent groups: anything that broadcasts to the inputs, or ``Rows``, over which
                the score is averaged.
            target: see ``Attributor``.
            additional_forward_args: see ``Attributor``.
            feature_mask: an id for each element, as ``FeatureAblation`` takes it; by default every element is alone.
            n_samples: number of samples.
            perturbations_per_eval: at most so many samples of each example in one pass; 1 leaves it to the device.
            return_input_shape: if False, return (examples, ids): one weight for each id, ascending.
            show_progress: see ``Attributor``.
            held: for each input, true for elements that are always present and have no weight.
            seed: fixes the samples, which are each example's own. It does not reach a ``perturb_func``.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "inputs")}
        with torch.inference_mode(False), torch.no_grad():
            game, values, _ = self._values(inputs, settings)
            return game.maps(inputs, values, return_input_shape)

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the weights, each group's weight once, and standard errors where the fit has no penalty."""
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        with torch.inference_mode(False), torch.no_grad():
            game, values, errors = self._values(inputs, bound.arguments)
            mask, count = game.feature_mask(len(values)), int(bound.arguments["n_samples"])
            return Outcome(
                game.maps(inputs, values),
                standard_error=None if errors is None else game.maps(inputs, errors),
                degrees_of_freedom=None if errors is None else count - max(game.groups.sizes) - 1,
                feature_mask=mask,
                group_values=None if mask is None else values,
                draws=torch.full((len(values),), count),
            )

    def _values(self, inputs: ModelInputs, settings: Keywords) -> tuple[Game, Tensor, Tensor | None]:
        """Return the game, (examples, groups) weights, and their standard errors where these are known."""
        count, stream = whole_number("n_samples", settings["n_samples"]), RandomStream.of(settings["seed"])
        game = Game.of(
            self.forward_func,
            inputs,
            settings["baselines"],
            settings["target"],
            settings["additional_forward_args"],
            settings["feature_mask"],
            settings["held"],
        )
        samples = self._samples(game, inputs, count, stream)  # a perturb_func may draw from the global random state
        with borrowed(self.forward_func, gradients=False):
            samples, scores = self._scores(game, samples, settings["perturbations_per_eval"], settings["show_progress"])
            values, errors = self._fits(game, inputs, samples, scores)
            return game, values.to(scores), None if bool(errors.isnan().any()) else errors.to(scores)

    def _samples(self, game: Game, inputs: ModelInputs, count: int, stream: RandomStream) -> list[Tensor]:
        """Return (samples, groups) zeros and ones for each example."""
        if self.perturb_func is None:
            own = RandomStream(stream.seed, game.keys(stream)).draws("samples").at(range(count))
            present = own.bits(max(game.groups.sizes)) < 0
            return [present[:, e, : game.groups.size_of(e)] for e in range(game.score.size)]
        each = []
        for e in range(game.score.size):
            call = _Call.of(game, inputs, range(e, e + 1))
            drawn = itertools.islice(_drawn(self.perturb_func, call), count)
            each.append(_stacked(list(drawn), game.groups.size_of(e)))
        return each

    def _scores(
        self, game: Game, samples: list[Tensor], perturbations_per_eval: int, show_progress: bool
    ) -> tuple[list[Tensor], Tensor]:
        """Return the samples and their scores; of a model with one value for its batch, the first example's for all."""
        try:
            return samples, _scores(game, samples, perturbations_per_eval, show_progress)
        except WholeBatchOutput:
            if len(samples) == 1 or not game.groups.shared:
                raise
        return samples[:1], _scores(game, samples[:1], perturbations_per_eval, show_progress)

    def _fits(self, game: Game, inputs: ModelInputs, samples: list[Tensor], scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return (1 or examples, groups) weights of a model fitted to each example or to all, and errors or NaN."""
        plain = self.perturb_func is None and without_penalty(self.interpretable_model)
        values = torch.zeros(len(scores), max(game.groups.sizes), dtype=torch.float64)
        errors = torch.zeros_like(values)
        for row, (value, error, own_scores) in enumerate(zip(values, errors, scores.double().cpu(), strict=True)):
            examples = range(row, row + 1) if len(scores) == game.score.size else range(game.score.size)
            own = samples[row % len(samples)]
            weights = self._weights(game, inputs, examples, own)
            of_samples = own.double(), own_scores[: len(own)], weights
            value[: own.shape[1]] = fitted(self.interpretable_model, *of_samples)
            error[: own.shape[1]] = weight_errors(*of_samples, value[: own.shape[1]]) if plain else math.nan
        return values, errors

    def _weights(self, game: Game, inputs: ModelInputs, examples: range, samples: Tensor) -> Tensor:
        """Return (samples,) how near each sample is to the original."""
        if isinstance(self.similarity_func, ExponentialKernel):
            binary = bool(((samples == 0) | (samples == 1)).all())
            rows = [_products(game, examples, row) for row in range(game.stand_ins.n_rows)] if binary else []
            if rows:
                return torch.stack([self.similarity_func.of_coalitions(samples, row) for row in rows]).mean(0)
        call = _Call.of(game, inputs, examples)
        device = game.tensors[0].device
        weights = []
        for sample in samples:
            perturbed = like(inputs, _perturbed(game, examples, sample))
            weights.append(
                float(self.similarity_func(call.original, perturbed, sample[None].to(device).long(), **call.facts))
            )
        return torch.tensor(weights, dtype=torch.float64)


@dataclass(frozen=True)
class _Call:
    """What the user's functions are called with.

    Attributes:
        original: some examples, as they came.
        facts: keyword arguments: what stands in, the groups, their number.
    """

    original: ModelInputs
    facts: Keywords

    @classmethod
    def of(cls, game: Game, inputs: ModelInputs, examples: range) -> _Call:
        part = slice(examples.start, examples.stop)
        masks = [game.groups.within(k, examples) for k in range(len(game.tensors))]
        first = torch.zeros(1, dtype=torch.long)
        blanks = [
            game.stand_ins.look_up(k, first, examples)[0].expand(len(examples), *x.shape[1:])
            for k, x in enumerate(game.tensors)
        ]
        return cls(
            like(inputs, [x[part] for x in game.tensors]),
            {
                "baselines": like(inputs, blanks),
                "feature_mask": like(inputs, masks),
                "num_interp_features": game.groups.size_of(examples.start),
            },
        )


def _scores(game: Game, samples: list[Tensor], perturbations_per_eval: int, show_progress: bool) -> Tensor:
    """Return (examples, samples) scores of what the samples leave of the inputs."""
    most = max(map(len, samples))
    table = torch.zeros(len(samples), most, max(game.groups.sizes), dtype=torch.bool)
    for row, own in zip(table, samples, strict=True):
        row[: own.shape[0], : own.shape[1]] = own != 0
    tables = [table.to(x.device) for x in game.tensors]
    alike = len(samples) == 1

    def present(k: int, examples: range, steps: Tensor) -> Tensor:
        own = tables[k] if alike else tables[k][examples.start : examples.stop]
        return game.groups.look_up(k, own[:, steps], examples)

    return game.scores(
        present,
        most,
        perturbations_per_eval=perturbations_per_eval,
        show_progress=show_progress,
        label="samples",
        alike=alike,
    )


def _perturbed(game: Game, examples: range, sample: Tensor) -> Tensors:
    """Return what a sample leaves of some examples."""
    first = torch.zeros(1, dtype=torch.long)
    part = slice(examples.start, examples.stop)
    return tuple(
        torch.where(
            game.groups.look_up(k, (sample != 0)[None, None].to(x.device), examples)[0],
            x[part],
            game.stand_ins.look_up(k, first, examples)[0],
        )
        for k, x in enumerate(game.tensors)
    )


def _products(game: Game, examples: range, row: int) -> GroupProducts:
    """Return dot products of some examples and what stands in for them, by group; what is not seen has no part."""
    size = game.groups.size_of(examples.start)
    own, mixed, other = (torch.zeros(1 + size, dtype=torch.float64) for _ in range(3))
    part = slice(examples.start, examples.stop)
    hidden = unseen(game.score.forward, game.tensors, game.score.extra)
    for k, (tensor, out) in enumerate(zip(game.tensors, hidden, strict=True)):
        x = without(tensor[part], None if out is None else out[part]).detach().cpu().double()
        b = game.stand_ins.look_up(k, torch.tensor([row]), examples)[0].detach().cpu().double().expand(x.shape)
        ids = (game.groups.within(k, examples).cpu() + 1).expand(x.shape).reshape(-1)  # held elements come first
        for total, product in ((own, x * x), (mixed, x * b), (other, b * b)):
            total.index_add_(0, ids, product.reshape(-1))
    return GroupProducts(own[1:], mixed[1:], other[1:], float(own[0]))


def _drawn(perturb: Function, call: _Call) -> Iterator[ModelInputs]:
    if inspect.isgeneratorfunction(perturb):
        yield from perturb(call.original, **call.facts)
        return
    while True:
        yield perturb(call.original, **call.facts)


def _stacked(samples: list[ModelInputs], size: int) -> Tensor:
    rows = [sample.detach().cpu().reshape(-1) for sample in samples if isinstance(sample, Tensor)]
    if not rows or len(rows) < len(samples) or any(row.shape != (size,) for row in rows):
        shapes = [tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__ for s in samples[:1]]
        raise ShapeError(f"perturb_func: expected samples of shape (1, {size}), got {shapes or 'none'}")
    return torch.stack(rows)
