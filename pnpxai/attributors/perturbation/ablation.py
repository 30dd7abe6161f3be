"""What the score loses when a group of the inputs' elements is replaced by a baseline."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Outcome
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.padding import unseen
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.attributors.perturbation.stand_ins import Rows, StandIns
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, ModelInputs
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["FeatureAblation", "losses"]


class FeatureAblation(Attributor):
    """Loss of score, F(x) - F(x without the group), for each group of elements; all elements of a group share it."""

    _multiply_by_inputs = True

    def cost(self, inputs: ModelInputs, **settings: Any) -> int:
        """Return one row for each group (and row of baselines) and one for the whole input, for each example."""
        tensors = as_tuple(inputs)
        hidden = unseen(self.forward_func, tensors, settings.get("additional_forward_args"))
        size = max(Groups.of(settings.get("feature_mask"), tensors, held=hidden).sizes)
        return len(tensors[0]) * (1 + size * StandIns.of(settings.get("baselines"), tensors).n_rows)

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
        held: Sequence[Tensor | None] | None = None,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``, of one row where the model gives one value for its batch.

        Args:
            baselines: what stands in for a group: anything that broadcasts to the inputs, or ``Rows``, over which the
                score is averaged.
            feature_mask: an id for each element, in a tensor that broadcasts to the input, or a tuple of these for
                several inputs. Elements with the same id, also in different inputs, are replaced together. By default
                every element is alone.
            perturbations_per_eval: at most so many groups of each example in one pass; 1 leaves it to the device.
            held: for each input, true for elements that are in no group, such as special tokens.

        Raises:
            ShapeError: a mask or a baseline does not fit its input.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "inputs")}
        with borrowed(self.forward_func, gradients=False):
            game, values = self._values(inputs, settings)
            return game.maps(inputs, values)

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the losses, and each group's loss once."""
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        with borrowed(self.forward_func, gradients=False):
            game, values = self._values(inputs, bound.arguments)
            mask = game.feature_mask(len(values))
            return Outcome(game.maps(inputs, values), feature_mask=mask, group_values=None if mask is None else values)

    def _values(self, inputs: ModelInputs, settings: Keywords) -> tuple[Game, Tensor]:
        game = Game.of(
            self.forward_func,
            inputs,
            settings["baselines"],
            settings["target"],
            settings["additional_forward_args"],
            settings["feature_mask"],
            settings["held"],
        )
        return game, losses(game, settings["perturbations_per_eval"], settings["show_progress"])


def losses(game: Game, perturbations_per_eval: int = 1, show_progress: bool = False) -> Tensor:
    """Return (examples, groups) what the score loses without each group."""

    def present(k: int, examples: range, steps: Tensor) -> Tensor:
        ids = game.groups.within(k, examples)
        absent = steps.where(steps > 0, -1).to(ids.device) - 1  # at step 0 no group is absent, at step k group k - 1
        return ids != absent.reshape(-1, *[1] * ids.ndim)

    most = max(game.groups.sizes)
    runs = torch.ones(1 + most, game.stand_ins.n_rows, dtype=torch.bool)
    runs[0, 1:] = False
    scores = game.scores(
        present,
        1 + most,
        runs=runs,
        perturbations_per_eval=perturbations_per_eval,
        show_progress=show_progress,
        label="groups",
    )
    return scores[:, :1] - scores[:, 1:]
