"""What the score loses when a group of the inputs' elements is replaced by a baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Baselines
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["FeatureAblation", "losses"]


class FeatureAblation(Attributor):
    """Loss of score, F(x) - F(x without the group), for each group of elements; all elements of a group share it."""

    _multiply_by_inputs = True

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        super().__init__(forward_func)

    def cost(self, inputs: Any, feature_mask: Any = None, **settings: Any) -> int:
        """Return one row for each group and one for the whole input, for each example."""
        return super().cost(inputs) * (1 + max(Groups.of(feature_mask, as_tuple(inputs)).sizes))

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
        """Return attributions in the shape of ``inputs``, of one row where the model gives one value for its batch.

        Args:
            baselines: what stands in for a group; anything that broadcasts to the inputs.
            feature_mask: an id for each element, in a tensor that broadcasts to the input, or a tuple of these for
                several inputs. Elements with the same id, also in different inputs, are replaced together. By default
                every element is alone.
            perturbations_per_eval: at most so many groups of each example in one pass; 1 leaves it to the device.

        Raises:
            ShapeError: a mask or a baseline does not fit its input.
        """
        with borrowed(self.forward_func, gradients=False):
            game = Game.of(self.forward_func, inputs, baselines, target, additional_forward_args, feature_mask)
            return like(inputs, losses(game, perturbations_per_eval, show_progress))


def losses(game: Game, perturbations_per_eval: int = 1, show_progress: bool = False) -> list[Tensor]:
    """Return maps of what the score loses without each group."""

    def kept(k: int, block: Block) -> Tensor:
        ids = game.groups.within(k, block.examples)
        removed = torch.tensor([step - 1 for step in block.steps], device=ids.device)  # step 0 is the whole input
        return ids != removed.reshape(-1, *[1] * ids.ndim)

    scores = game.scores(
        game.points(kept),
        1 + max(game.groups.sizes),
        perturbations_per_eval=perturbations_per_eval,
        show_progress=show_progress,
        label="groups",
    )
    return game.groups.spread(scores[:, :1] - scores[:, 1:], game.tensors)
