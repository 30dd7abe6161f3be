"""What scores lose when a feature is exchanged among the examples of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayer, Attributor, Inputs
from pnpxai.attributors.layers import packed, places_of
from pnpxai.attributors.perturbation.games import perturbable
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors, like

__all__ = ["FeaturePermutation", "LayerFeaturePermutation"]

Permute: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Gets an input (examples, ...) and a mask (1, ...) of truth values, and returns the input with its masked elements
exchanged among the examples."""


class FeaturePermutation(Attributor):
    """Loss of score, F(x) - F(x with a group's values of other examples), for each group. Fisher et al., 2019.

    arXiv:1801.01489. An example's map depends on its batch, whose values take the place of its own.
    """

    def __init__(self, forward_func: Model, perm_func: Permute | None = None) -> None:
        """Take a model, and what exchanges values; by default a random permutation of the examples."""
        super().__init__(forward_func)
        self.perm_func = perm_func

    def cost(self, inputs: ModelInputs, feature_mask: Tensor | Tensors | None = None, **settings: object) -> int:
        """Return one row for each group and one for the whole input, for each example."""
        tensors = inputs if isinstance(inputs, tuple) else (inputs,)
        return super().cost(inputs) * (1 + max(Groups.of(feature_mask, tensors).sizes))

    def attribute(
        self,
        inputs: Inputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        feature_mask: Inputs | None = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        seed: int = 0,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``.

        Args:
            feature_mask: an id for each element, the same for all examples; see ``FeatureAblation``.
            perturbations_per_eval: accepted for compatibility: a group is exchanged in one pass over the batch.
            show_progress: accepted for compatibility.
            seed: fixes the permutations.
        """
        whole_number("perturbations_per_eval", perturbations_per_eval)
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, additional_forward_args)
            groups = Groups.of(feature_mask, tensors)
            return like(inputs, _losses(score, tensors, groups, self.perm_func or _random(seed)))


class LayerFeaturePermutation(AtLayer):
    """``FeaturePermutation`` of a layer's values."""

    def __init__(
        self,
        forward_func: Model,
        layer: Layer,
        device_ids: Sequence[int] | None = None,
        perm_func: Permute | None = None,
    ) -> None:
        super().__init__(forward_func, layer, device_ids)
        self.perm_func = perm_func

    def attribute(
        self,
        inputs: Inputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        layer_mask: Inputs | None = None,
        perturbations_per_eval: int = 1,
        *,
        seed: int = 0,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value; see ``FeaturePermutation.attribute``.

        Args:
            layer_mask: an id for each value of the layer, the same for all examples.
            perturbations_per_eval: accepted for compatibility.
            seed: fixes the permutations.
        """
        whole_number("perturbations_per_eval", perturbations_per_eval)
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, additional_forward_args)
            places = places_of(self.forward_func, self.layer, False)
            if len(places) != 1:
                raise ArgumentError(f"layer: expected one layer, got {len(places)}")
            at = AtSites(self.forward_func, places)
            read = at.read(Call((*tensors, *score.extra)), size=score.size)
            groups = Groups.of(layer_mask, read.values, "layer_mask")
            behind = replace(score, forward=at, extra=(read.call,))
            return packed(
                self.layer, read.members, _losses(behind, read.values, groups, self.perm_func or _random(seed))
            )


def _losses(score: Score, tensors: Tensors, groups: Groups, permute: Permute) -> list[Tensor]:
    if any(len(ids) > 1 for ids in groups.ids):
        raise ArgumentError("feature_mask: expected one mask for all examples, whose values are to be exchanged")
    whole = perturbed_scores(score, partial(_rows, tensors), 1, tensors)
    losses = []
    for group in range(max(groups.sizes)):
        exchanged = tuple(
            permute(x, (ids == group)) if bool((ids == group).any()) else x
            for x, ids in zip(tensors, groups.ids, strict=True)
        )
        losses.append(whole - perturbed_scores(score, partial(_rows, exchanged), 1, tensors))
    return groups.spread(torch.cat(losses, 1), tensors)


def _rows(tensors: Tensors, block: Block) -> Tensors:
    return tuple(x[block.examples.start : block.examples.stop] for x in tensors)


def _random(seed: int) -> Permute:
    draws = torch.Generator().manual_seed(seed)

    def permute(x: Tensor, mask: Tensor) -> Tensor:
        order = torch.arange(len(x))
        while len(x) > 1 and torch.equal(order, torch.arange(len(x))):
            order = torch.randperm(len(x), generator=draws)
        return torch.where(mask, x[order.to(x.device)], x)

    return permute
