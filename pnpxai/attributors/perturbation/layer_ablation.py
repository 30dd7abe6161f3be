"""What the score loses when a group of a layer's values is replaced by a baseline."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from pnpxai.attributors.base import AtLayer
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.layers import packed, places_of
from pnpxai.attributors.perturbation.ablation import losses
from pnpxai.attributors.perturbation.games import Game, Numeric, perturbable
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.attributors.perturbation.stand_ins import StandIns
from pnpxai.engine.running.examples_axis import ExamplesFirst
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call, Site, ValuesAtPlaces
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, ModelInputs
from pnpxai.tensors import Tensors

__all__ = ["LayerFeatureAblation"]


class LayerFeatureAblation(AtLayer):
    """Loss of score for each group of a layer's values. What comes before the layer runs once, where that is exact."""

    _multiply_by_inputs = True

    def cost(
        self,
        inputs: ModelInputs,
        additional_forward_args: ForwardArgs = None,
        layer_mask: Tensor | Tensors | None = None,
        attribute_to_layer_input: bool = False,
        **settings: object,
    ) -> int:
        """Return a row for each group and for the whole layer, one to read it, and three to verify its replay."""
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, None, additional_forward_args)
            first, read = self._read(tensors, score, attribute_to_layer_input, stop=True)
            recorded = isinstance(first.model, nn.Module) and isinstance(first.at.places[0], Site)
            groups = Groups.of(first.setting_there(layer_mask), first.there(read.values), "layer_mask")
            return score.size * (1 + max(groups.sizes) + (4 if recorded else 1))

    def attribute(
        self,
        inputs: Tensor | Tensors,
        layer_baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        layer_mask: Tensor | Tensors | None = None,
        attribute_to_layer_input: bool = False,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value; a tuple where it has several tensors.

        In a tuple, None stays None, and what is no floating point number gets zero: it is not ablated.

        Args:
            layer_baselines: what stands in for a group of the layer's values; anything that broadcasts to them.
            layer_mask: an id for each value of the layer, as ``FeatureAblation`` takes it for inputs.
            perturbations_per_eval: at most so many groups of each example in one pass; 1 leaves it to the device.

        Raises:
            ShapeError: a mask or a baseline does not fit the layer, or the layer has no row for each example.
        """
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, additional_forward_args)
            first, read = self._read(tensors, score, attribute_to_layer_input, replay=True)
            values = first.there(read.values)
            game = Game(
                replace(score, forward=Numeric(first.at if first.still else first), extra=(read.call,)),
                values,
                StandIns.of(first.setting_there(layer_baselines), values, "layer_baselines"),
                Groups.of(first.setting_there(layer_mask), values, "layer_mask"),
            )
            maps = tuple(game.groups.spread(losses(game, perturbations_per_eval, show_progress), values))
            if not first.still:  # a model with one value for its whole batch has one row of losses for all examples
                maps = tuple(m.expand(v.shape) for m, v in zip(maps, values, strict=True))
            return packed(self.layer, read.members, first.back(maps))

    def _read(
        self, tensors: Tensors, score: Score, at_input: bool, **how: bool
    ) -> tuple[ExamplesFirst, ValuesAtPlaces]:
        places = places_of(self.forward_func, self.layer, at_input)
        if len(places) != 1:
            raise ArgumentError(f"layer: expected one layer, got {len(places)}")
        at = AtSites(self.forward_func, places)
        call = Call((*tensors, *score.extra))
        read = at.read(call, size=score.size, **how)
        return ExamplesFirst.of(at, call, read.values, score.size), read
