"""Class activation maps from gradients at a layer, and resizing of layer maps to the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.layers import packed, places_of
from pnpxai.engine.guard import borrowed, module_of
from pnpxai.engine.layers import last_reached, value_and_gradient
from pnpxai.engine.score import Target
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["LayerAttribution", "LayerGradCam", "UpsampledGradCam"]


class LayerAttribution:
    """Helpers for maps of layers."""

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


class LayerGradCam(Attributor):
    """A layer's channels weighted by their mean gradient. Selvaraju et al., 2017 (arXiv:1610.02391).

    Signed unless ``relu_attributions=True``: the paper's ReLU hides evidence against the class.
    """

    def __init__(self, forward_func: Callable[..., Any], layer: Any, device_ids: Sequence[int] | None = None) -> None:
        super().__init__(forward_func)
        self.layer = layer
        self.device_ids = device_ids

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = False,
        attr_dim_summation: bool = True,
        grad_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Return a map (examples, 1, ...) with the layer's spatial sizes; a tuple where the layer has several tensors.

        Args:
            inputs: what the model is run on.
            target: which output.
            additional_forward_args: further arguments of the model.
            attribute_to_layer_input: look at what goes into the layer.
            relu_attributions: keep only positive values.
            attr_dim_summation: sum over the channels (dimension 1).
            grad_kwargs: passed on to ``torch.autograd.grad``.
        """
        places = places_of(self.forward_func, self.layer, attribute_to_layer_input)
        if len(places) != 1:
            raise ArgumentError(f"layer: expected one layer, got {len(places)}")
        (place,) = places
        with borrowed(self.forward_func, freeze=not grad_kwargs):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            found = value_and_gradient(score, tensors, [place], **(grad_kwargs or {}))
            maps = []
            for value, grad in zip(found.values, found.gradients, strict=True):
                if value.ndim < 2:
                    raise ArgumentError(f"layer: {place} has no channel dimension (its value is {tuple(value.shape)})")
                weights = grad.mean(dim=tuple(range(2, grad.ndim)), keepdim=True) if grad.ndim > 2 else grad
                weighted = weights * value
                cam = weighted.sum(1, keepdim=True) if attr_dim_summation else weighted
                maps.append(cam.relu() if relu_attributions else cam)
            return packed(place, found.members, maps)


class UpsampledGradCam(Attributor):
    """``LayerGradCam`` at the last convolution that keeps positions apart, resized to the input."""

    def __init__(self, forward_func: Callable[..., Any], layer: Any = None, interpolate_mode: str = "bilinear") -> None:
        super().__init__(forward_func)
        self.layer = layer
        self.interpolate_mode = interpolate_mode

    def cost(self, inputs: Any, **settings: Any) -> int:
        """Return the rows of ``LayerGradCam``, and one more to find the layer where none was given."""
        return super().cost(inputs, **settings) + (self.layer is None)

    def attribute(self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: Any = None) -> Tensor:
        """Return a signed map (examples, 1, ...) with the spatial sizes of the (first) input.

        Raises:
            UnsuitableError: no convolution lies on the way to the score, or the layer has no positions.
        """
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            layer = self.layer
            if layer is None:
                module = module_of(self.forward_func)
                named = [] if module is None else list(module.named_modules())
                convolutions = [(name, m) for name, m in named if isinstance(m, nn.modules.conv._ConvNd)]
                layer = last_reached(score, tensors, convolutions)
            if layer is None:
                raise UnsuitableError(
                    "GradCam: no convolution with several positions was seen on the way to the score; give layer=, "
                    "and for a scripted, exported or wrapped model the original torch.nn.Module"
                )
            coarse = as_tuple(LayerGradCam(self.forward_func, layer).attribute(inputs, target, additional_forward_args))
            sizes = tensors[0].shape[2:]
            if len(coarse) != 1 or coarse[0].ndim != tensors[0].ndim or not sizes:
                raise UnsuitableError(
                    f"GradCam: expected a layer with one map of {len(sizes)} spatial dimensions, "
                    f"got {[tuple(c.shape) for c in coarse]}"
                )
            modes = {1: "linear", 3: "trilinear"} if self.interpolate_mode in ("bilinear", "bicubic") else {}
            mode = modes.get(len(sizes), self.interpolate_mode)
            return LayerAttribution.interpolate(coarse[0], tuple(sizes), mode)
