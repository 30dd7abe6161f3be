"""Shapley values of groups of elements: exact where all coalitions fit, else by the best estimator for the budget."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Outcome
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.padding import unseen
from pnpxai.attributors.perturbation.designs import Budget, Estimator, design_of
from pnpxai.attributors.perturbation.estimates import Estimate
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.attributors.perturbation.plays import Play, runs_of
from pnpxai.attributors.perturbation.stand_ins import Rows, StandIns
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, ModelInputs
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["KernelShap", "Samples", "ShapleyValueSampling", "ShapleyValues"]

Samples: TypeAlias = int | Literal["auto"]
"""A number of samples; "auto" goes by the number of features."""
_ESTIMATORS = ("auto", "exact", "permutation", "leverage", "odd")


@dataclass(frozen=True)
class _Played:
    """A game that was played.

    Attributes:
        play: the coalitions of each example.
        scores: (examples, coalitions) their scores.
        estimate: the values of the players.
    """

    play: Play
    scores: Tensor
    estimate: Estimate

    @property
    def game(self) -> Game:
        """The game."""
        return self.play.game

    def draws(self, of_orders: bool) -> Tensor:
        """Return (examples,) the number of coalitions, or of orders, that each example ran; 0 where all coalitions."""
        counts = [
            0 if method == "exact" else len(design.orders if of_orders else design.present)
            for design, method in self.play.designs
        ]
        return torch.tensor(counts)[self.play.which].expand(len(self.scores)).clone()

    def notes(self) -> tuple[str, ...]:
        """Return a sentence where the coalitions are too few for an error."""
        design, method = self.play.designs[-1]
        calls, size = len(design.present), design.n_players
        if method == "leverage" and calls < 2 * size:
            return (
                f"n_samples: {calls} coalitions of {size} features do not tell all features apart; values of features "
                f"that were not told apart are equal; {2 * size} coalitions are the least, "
                f"{2 * size + 4} have an error",
            )
        error = self.estimate.standard_error
        if error is None and method == "permutation":
            return (
                f"n_samples: the error of {calls:,} coalitions of {size:,} features is not known, as they are too few "
                f"orders; {6 * (size - 1) + 2:,} coalitions (6 orders) have one",
            )
        return ()


class _Shapley(Attributor):
    """What the attributors of Shapley values share."""

    _multiply_by_inputs = True
    _counts_orders: ClassVar[bool] = False
    """Whether ``n_samples`` is a number of orders."""

    def _budget(self, settings: Keywords, n_rows: int) -> Budget:
        """Return the budget that the arguments of ``attribute`` ask for."""
        n_samples: Samples = settings.get("n_samples", "auto")
        estimator: Estimator = settings.get("estimator", "auto")
        if estimator not in _ESTIMATORS:
            raise ArgumentError(f"estimator: expected one of {', '.join(_ESTIMATORS)}, got {estimator!r}")
        if n_samples != "auto":
            n_samples = whole_number("n_samples", n_samples, 2)
        return Budget(n_samples, estimator, n_rows)

    def cost(self, inputs: ModelInputs, **settings: Any) -> int:
        """Return the rows that run: as many for each example as for the one with the most coalitions."""
        tensors = as_tuple(inputs)
        hidden = unseen(self.forward_func, tensors, settings.get("additional_forward_args"))
        sizes = Groups.of(settings.get("feature_mask"), tensors, held=hidden).sizes
        n_rows = StandIns.of(settings.get("baselines"), tensors).n_rows
        budget = self._budget(settings, n_rows)
        designs = tuple(design_of(budget, size, 0)[0] for size in sorted(set(sizes)))
        runs = runs_of(designs, n_rows, 0)
        return len(tensors[0]) * (max(len(d.present) for d in designs) if runs is None else int(runs.sum()))

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the values with their standard errors, the score they start from, and each group's value once."""
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        with borrowed(self.forward_func, gradients=False):
            played = self._played(inputs, bound.arguments)
            game, scores, estimate = played.game, played.scores, played.estimate
            values = estimate.values.to(scores)
            error = estimate.standard_error
            mask = game.feature_mask(len(scores))
            return Outcome(
                game.maps(inputs, values),
                standard_error=None if error is None else game.maps(inputs, error.to(scores)),
                base_value=scores[:, 0].clone(),
                degrees_of_freedom=estimate.degrees_of_freedom,
                feature_mask=mask,
                group_values=None if mask is None else values,
                draws=played.draws(self._counts_orders),
                notes=played.notes(),
            )

    def _values(self, inputs: ModelInputs, in_input_shape: bool, settings: Keywords) -> Attributions:
        with borrowed(self.forward_func, gradients=False):
            played = self._played(inputs, settings)
            return played.game.maps(inputs, played.estimate.values.to(played.scores), in_input_shape)

    def _played(self, inputs: ModelInputs, settings: Keywords) -> _Played:
        stream = RandomStream.of(settings["seed"])
        self._budget(settings, 1)  # what is wrong with it is said before anything runs
        with borrowed(self.forward_func, gradients=False):
            game = Game.of(
                self.forward_func,
                inputs,
                settings["baselines"],
                settings["target"],
                settings["additional_forward_args"],
                settings["feature_mask"],
                settings["held"],
            )
            budget = self._budget(settings, game.stand_ins.n_rows)
            play, scores = Play.played(
                game, budget, stream, settings["perturbations_per_eval"], settings["show_progress"]
            )
            return _Played(play, scores, play.estimate(scores))


class KernelShap(_Shapley):
    """Shapley values by weighted least squares over coalitions of features. Lundberg and Lee, 2017 (arXiv:1705.07874).

    The values of an example's groups sum to F(x) - F(baseline). From two coalitions for each feature and two more on,
    every feature alone and every feature's absence are run first, then coalitions of all sizes, in pairs with their
    complements (arXiv:2410.01917), and interactions of odd order are fitted with the values (arXiv:2602.01399). With
    fewer, orders are walked forwards and backwards.
    """

    _multiply_by_inputs = False

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines | Rows = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        feature_mask: Tensor | Tensors | None = None,
        n_samples: Samples = "auto",
        perturbations_per_eval: int = 1,
        return_input_shape: bool = True,
        show_progress: bool = False,
        *,
        estimator: Estimator = "auto",
        held: Sequence[Tensor | None] | None = None,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return Shapley values in the shape of ``inputs``; every element has its group's value.

        They have one row where the model gives one value for its batch.

        Args:
            inputs: see ``Attributor``.
            baselines: what stands in for absent groups: anything that broadcasts to the inputs, or ``Rows``, over which
                the score is averaged (the values are then interventional).
            target: see ``Attributor``.
            additional_forward_args: see ``Attributor``.
            feature_mask: an id for each element, as ``FeatureAblation`` takes it; by default every element is alone.
            n_samples: at most so many coalitions, the empty and the full one included. "auto" runs all of them while
                coalitions x rows of baselines are at most 4,096, else 16 for each feature up to 512 in all, or eight
                for each feature; at most 4,096, at least two for each feature.
            perturbations_per_eval: at most so many coalitions of each example in one pass; 1 leaves it to the device.
            return_input_shape: if False, return (examples, ids): one value for each id, ascending.
            show_progress: see ``Attributor``.
            estimator: "exact" (all coalitions), "permutation", "leverage" or "odd"; "auto" chooses by the number of
                samples for each feature.
            held: for each input, true for elements that are always present and have no value.
            seed: fixes the coalitions; examples of different content have different ones.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "inputs")}
        return self._values(inputs, return_input_shape, settings)


class ShapleyValues(_Shapley):
    """Shapley values: exact where all coalitions fit, else estimated. Shapley, 1953."""

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines | Rows = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        feature_mask: Tensor | Tensors | None = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        n_samples: Samples = "auto",
        estimator: Estimator = "auto",
        held: Sequence[Tensor | None] | None = None,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return Shapley values in the shape of ``inputs``; arguments as for ``KernelShap``.

        Raises:
            ArgumentError: all coalitions are asked for, of more than 20 groups.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "inputs")}
        return self._values(inputs, True, settings)


class ShapleyValueSampling(_Shapley):
    """Mean gain of score when a group joins those before it in a random order. Strumbelj and Kononenko, 2010.

    The values of an example's groups sum to F(x) - F(baseline), for any number of orders. Every second order is the one
    before it, backwards. Where all coalitions are no more than the orders would run, the values are exact.
    """

    _counts_orders = True

    def _budget(self, settings: Keywords, n_rows: int) -> Budget:
        n_samples: Samples = settings.get("n_samples", "auto")
        n_orders = None if n_samples == "auto" else whole_number("n_samples", n_samples)
        return Budget("auto", "permutation", n_rows, n_orders)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines | Rows = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        feature_mask: Tensor | Tensors | None = None,
        n_samples: Samples = "auto",
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        held: Sequence[Tensor | None] | None = None,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return Shapley values in the shape of ``inputs``; arguments as for ``KernelShap``.

        Args:
            n_samples: number of orders, each of which runs a coalition for each group; "auto" takes as many as
                ``KernelShap`` runs coalitions.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "inputs")}
        return self._values(inputs, True, settings)
