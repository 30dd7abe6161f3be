"""Computes Grad-CAM at a layer, and resizes layer maps to the input."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayer, prepared
from pnpxai.attributors.layers import packed, places_of
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.layers import value_and_gradient
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords
from pnpxai.tensors import Tensors

__all__ = ["LayerAttribution", "LayerGradCam"]


class LayerAttribution:
    """Offers captum's helper for maps of layers."""

    @staticmethod
    def interpolate(
        layer_attribution: Tensor, interpolate_dims: int | tuple[int, ...], interpolate_mode: str = "nearest"
    ) -> Tensor:
        """Resize a map (examples, channels, ...) to the spatial sizes ``interpolate_dims``.

        Args:
            layer_attribution: the map, with one to three spatial dimensions.
            interpolate_dims: the wanted sizes.
            interpolate_mode: as in ``torch.nn.functional.interpolate``.
        """
        align = False if interpolate_mode in ("linear", "bilinear", "bicubic", "trilinear") else None
        return torch.nn.functional.interpolate(
            layer_attribution, size=interpolate_dims, mode=interpolate_mode, align_corners=align
        )


class LayerGradCam(AtLayer):
    """Computes sum_c w_c A_c with w_c = mean over positions of dF/dA_c. Selvaraju et al., 2017 (arXiv:1610.02391).

    A_c are the channels of a layer and F the score. The map is signed unless ``relu_attributions=True``: the ReLU of
    the paper hides evidence against the class.
    """

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = False,
        attr_dim_summation: bool = True,
        grad_kwargs: Keywords | None = None,
    ) -> Attributions:
        """Return a map (examples, 1, ...) with the layer's spatial sizes; a tuple where the layer has several tensors.

        Args:
            relu_attributions: keep only positive values.
            attr_dim_summation: sum over the channels (dimension 1).
        """
        places = places_of(self.forward_func, self.layer, attribute_to_layer_input)
        if len(places) != 1:
            raise ArgumentError(f"layer: expected one layer, got {len(places)}")
        (place,) = places
        with borrowed(self.forward_func, freeze=not grad_kwargs):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            slopes = value_and_gradient(score, tensors, [place], **(grad_kwargs or {}))
            maps = []
            for value, grad in zip(slopes.values, slopes.gradients, strict=True):
                if value.ndim < 2:
                    raise ArgumentError(f"layer: {place} has no channel dimension (its value is {tuple(value.shape)})")
                weights = grad.mean(dim=tuple(range(2, grad.ndim)), keepdim=True) if grad.ndim > 2 else grad
                weighted = weights * value
                cam = weighted.sum(1, keepdim=True) if attr_dim_summation else weighted
                maps.append(cam.relu() if relu_attributions else cam)
            return packed(place, slopes.members, maps)
