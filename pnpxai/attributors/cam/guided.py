"""Multiplies Grad-CAM with guided backpropagation, at a layer that is searched for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pnpxai.attributors.base import Attributor
from pnpxai.attributors.cam.feature_maps import pictured
from pnpxai.attributors.cam.maps import UpsampledGradCam
from pnpxai.attributors.gradient.backprop import GuidedBackprop
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["UpsampledGuidedGradCam"]


class UpsampledGuidedGradCam(Attributor):
    """Guided backpropagation times the positive part of ``UpsampledGradCam``. Selvaraju et al., 2017.

    arXiv:1610.02391; ``GuidedGradCam`` for a layer that is found as there.
    """

    def __init__(self, forward_func: Callable[..., Any], layer: Any = None, interpolate_mode: str = "nearest") -> None:
        super().__init__(forward_func)
        self.guided = GuidedBackprop(forward_func, needs_relu=True)
        self.cam = UpsampledGradCam(forward_func, layer, interpolate_mode, relu=True)

    def cost(self, inputs: Any, **settings: Any) -> int:
        """Return the rows of both factors."""
        return self.guided.cost(inputs) + self.cam.cost(inputs)

    def attribute(self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: Any = None) -> Tensor:
        """Return attributions in the shape of the first input that has positions.

        Raises:
            UnsuitableError: as ``UpsampledGradCam.attribute``, or no ReLU runs in the model.
        """
        with borrowed(self.forward_func):
            maps = self.cam.attribute(inputs, target, additional_forward_args)
            tensors = as_tuple(inputs)
            gradients = as_tuple(self.guided.attribute(tensors, target, additional_forward_args))
            return gradients[pictured(tensors)] * maps
