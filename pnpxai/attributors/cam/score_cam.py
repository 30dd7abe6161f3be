"""Computes Score-CAM: the weight of a channel is the score of the input times the channel."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.attributors.base import prepared
from pnpxai.attributors.cam.feature_maps import FeatureMap, feature_maps, pictured
from pnpxai.attributors.cam.maps import ActivationMap, resized, stretched
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.score import Score
from pnpxai.model_types import ForwardArgs, Layer, Model, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors, flat, is_member_each

__all__ = ["ScoreCAM"]


class ScoreCAM(ActivationMap):
    """Computes sum_c w_c A_c, w = softmax over channels of F(x * s(A_c)). Wang et al., 2020 (arXiv:1910.01279).

    F is the score and x the input; s(A_c) is the channel resized to x and scaled to [0, 1] for each example by
    ``stretched``. A constant channel becomes zero and hides the whole input.
    """

    differentiates: ClassVar[bool] = False

    def __init__(
        self,
        forward_func: Model,
        layer: Layer = None,
        interpolate_mode: str = "bilinear",
        n_channels: int | None = None,
        perturbations_per_eval: int | None = None,
    ) -> None:
        super().__init__(forward_func, layer, interpolate_mode)
        self.n_channels = None if n_channels is None else whole_number("n_channels", n_channels)
        self.perturbations_per_eval = perturbations_per_eval

    def cost(self, inputs: ModelInputs, additional_forward_args: ForwardArgs = None, **settings: object) -> int:
        """Return one row more for each example and channel; the model runs once to count the channels."""
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, _a_number_each, additional_forward_args)
            layers = feature_maps(score, tensors, self.layer, differentiate=False)
        return super().cost(inputs) + score.size * sum(self._channels(one) for one in layers)

    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the weighted sum of the ``n_channels`` channels with the largest spread (by default, of all)."""
        k, n = pictured(inputs), self._channels(feature_map)
        channels = feature_map.values
        if n < channels.shape[1]:
            chosen = channels.flatten(2).std(2, correction=0).topk(n).indices
            channels = channels[torch.arange(score.size, device=chosen.device)[:, None], chosen]

        def masked(block: Block) -> Tensors:
            some = channels[block.examples.start : block.examples.stop, block.steps.start : block.steps.stop]
            masks = resized(some, tuple(inputs[k].shape[2:]), self.interpolate_mode)
            masks = stretched(masks, tuple(range(2, masks.ndim)))
            # rows are ordered by step (channel), and within a step by example
            masks = masks.transpose(0, 1).flatten(0, 1).unsqueeze(1)
            rows = [x.index_select(0, block.rows.to(x.device)) for x in inputs]
            rows[k] = rows[k] * masks
            return tuple(rows)

        scores = perturbed_scores(score, masked, n, inputs, at_most=self.perturbations_per_eval)
        weights = scores.to(channels.device, channels.dtype).softmax(1)
        return (channels * weights.reshape(*weights.shape, *[1] * (channels.ndim - 2))).sum(1, keepdim=True)

    def _channels(self, feature_map: FeatureMap) -> int:
        available = feature_map.values.shape[1]
        return available if self.n_channels is None else min(self.n_channels, available)


def _a_number_each(output: ModelOutput) -> Tensor:
    """Return a number for each example of any output, since channels are counted whatever is explained."""
    if is_member_each(output):
        return torch.zeros(len(output))
    first = flat(output)[0]
    return first.reshape(len(first), -1)[:, 0] if first.ndim else first
