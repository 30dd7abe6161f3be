"""Computes class activation maps: a layer's channels are weighted, summed and resized to the input."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.cam.feature_maps import FeatureMap, feature_maps, pictured
from pnpxai.attributors.cam.grad_cam import LayerAttribution
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.row_order import refuse_moved_rows
from pnpxai.engine.running.score import Score, Target
from pnpxai.model_types import ForwardArgs, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors, check_finite

__all__ = [
    "ActivationMap",
    "EigenCAM",
    "GradCamPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "UpsampledGradCam",
    "resized",
    "stretched",
]


class ActivationMap(Attributor):
    """Computes sum_c w_c A_c of a layer's channels A_c, resized to the input; subclasses define the weights w_c.

    The layer is by default the last feature map on the way to the score, see ``last_feature_map``. Layers of
    transformers, (examples, tokens, channels) or (examples, height, width, channels), are folded to the grid of patches
    without class tokens and other extra tokens. The result of several layers is the mean of their maps.

    Maps are signed: the ReLU that most papers put around the sum hides evidence against the class.
    """

    differentiates: ClassVar[bool] = True
    """True if the weights are computed from gradients at the layer."""

    def __init__(self, forward_func: Model, layer: Layer = None, interpolate_mode: str = "bilinear") -> None:
        super().__init__(forward_func)
        self.layer = layer
        self.interpolate_mode = interpolate_mode

    @abstractmethod
    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the map (examples, 1, ...) of one layer."""

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return one row for each example, and one more to find the layer where none was named."""
        return super().cost(inputs) + (self.layer is None)

    def attribute(
        self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Tensor:
        """Return a map (examples, 1, ...) with the sides of the first input that has positions.

        Raises:
            UnsuitableError: no input has positions, no layer holds a map of them, or a layer has another order of
                examples.
        """
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            sides = tuple(tensors[pictured(tensors)].shape[2:])
            refuse_moved_rows(score, tensors)
            layers = feature_maps(score, tensors, self.layer, differentiate=self.differentiates)
            maps = [resized(self.coarse(one, score, tensors), sides, self.interpolate_mode) for one in layers]
            check_finite("attributions", maps)
            return torch.stack(maps).mean(0) if len(maps) > 1 else maps[0]


def resized(maps: Tensor, sides: tuple[int, ...], mode: str) -> Tensor:
    """Return maps (examples, channels, ...) resized to ``sides``; modes of pictures are translated for other axes."""
    modes = {1: "linear", 3: "trilinear"} if mode in ("bilinear", "bicubic") else {}
    return LayerAttribution.interpolate(maps, sides, modes.get(len(sides), mode))


_LEAST_SPAN = 1e-3


def stretched(maps: Tensor, axes: tuple[int, ...], size: Tensor | None = None) -> Tensor:
    """Return maps rescaled to 0 ... 1 along some axes: (m - min m) / max(max m - min m, size / 1000).

    A map that hardly varies is not stretched to the full, since its rounding would be stretched too.

    Args:
        maps: what is rescaled.
        axes: what the smallest and largest values are taken over.
        size: what rounding goes by, in a shape that broadcasts; the largest absolute value by default.
    """
    low, high = maps.amin(axes, keepdim=True), maps.amax(axes, keepdim=True)
    span = torch.maximum(high - low, _LEAST_SPAN * (torch.maximum(high.abs(), low.abs()) if size is None else size))
    return (maps - low) / torch.where(span > 0, span, torch.ones_like(span))


def _summed(channels: Tensor) -> Tensor:
    return channels.sum(1, keepdim=True)


class UpsampledGradCam(ActivationMap):
    """Computes sum_c w_c A_c, w_c = mean over positions of dF/dA_c, resized. Selvaraju et al., 2017 (arXiv:1610.02391).

    ``relu`` sets negative values to zero before the map is resized.
    """

    def __init__(
        self,
        forward_func: Model,
        layer: Layer = None,
        interpolate_mode: str = "bilinear",
        relu: bool = False,
    ) -> None:
        super().__init__(forward_func, layer, interpolate_mode)
        self.relu = relu

    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the sum of mean gradients times values."""
        means = feature_map.gradients.mean(tuple(range(2, feature_map.gradients.ndim)), keepdim=True)
        summed = _summed(means * feature_map.values)
        return summed.relu() if self.relu else summed


class HiResCAM(ActivationMap):
    """Computes sum_c dF/dA_c * A_c, position by position. Draelos and Carin, 2020 (arXiv:2011.08891).

    If the score F is linear in the layer's values A, the layer's map sums to F without its bias.
    """

    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the sum of gradients times values."""
        return _summed(feature_map.gradients * feature_map.values)


class LayerCAM(ActivationMap):
    """Computes sum_c max(dF/dA_c, 0) * A_c, position by position. Jiang et al., 2021 (doi:10.1109/TIP.2021.3089943)."""

    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the sum of positive gradients times values."""
        return _summed(feature_map.gradients.relu() * feature_map.values)


class GradCamPlusPlus(ActivationMap):
    """Computes sum_c w_c A_c, w_c = sum over positions of a_c * max(g_c, 0). Chattopadhay et al., 2018.

    g_c = dF/dA_c are the gradients, and a_c = g_c^2 / (2 g_c^2 + g_c^3 sum A_c) the weights of positions, which follow
    from the derivatives of exp(F) for a score F that is linear near A (arXiv:1710.11063). The factor exp(F), which all
    weights share, is left out. The paper assumes A >= 0; a negative sum of A_c counts as zero.
    """

    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the sum of the weighted channels."""
        positive = feature_map.gradients.relu()
        axes = tuple(range(2, positive.ndim))
        # a = g^2 / (2 g^2 + g^3 sum A) = 1 / (2 + g sum A), which counts only where g > 0
        shares = 1 / (2 + positive * feature_map.values.sum(axes, keepdim=True).relu())
        return _summed((shares * positive).sum(axes, keepdim=True) * feature_map.values)


class EigenCAM(ActivationMap):
    """Computes A v_1, with v_1 the first right singular vector of A. Muhammad and Yeasin, 2020 (arXiv:2008.00299).

    A (positions, channels) holds the layer's values, with ``centred`` minus their mean over positions. The map does not
    depend on the target. Its sign is chosen so that its largest absolute value is positive.
    """

    differentiates: ClassVar[bool] = False

    def __init__(
        self,
        forward_func: Model,
        layer: Layer = None,
        interpolate_mode: str = "bilinear",
        centred: bool = True,
    ) -> None:
        super().__init__(forward_func, layer, interpolate_mode)
        self.centred = centred

    def coarse(self, feature_map: FeatureMap, score: Score, inputs: Tensors) -> Tensor:
        """Return the projection on the first right singular vector."""
        values = feature_map.values.flatten(2).transpose(1, 2)  # (examples, positions, channels)
        wide = values.to(torch.promote_types(values.dtype, torch.float32))
        if self.centred:
            wide = wide - wide.mean(1, keepdim=True)
        direction = torch.linalg.svd(wide, full_matrices=False).Vh[:, :1]
        projected = (wide * direction).sum(2)
        projected = projected * projected.gather(1, projected.abs().argmax(1, keepdim=True)).sign()
        return projected.to(values.dtype).unsqueeze(1).unflatten(2, feature_map.values.shape[2:])
