"""Multiplies Grad-CAM by guided backpropagation, at a named layer or at the last feature map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.cam.feature_maps import pictured
from pnpxai.attributors.cam.grad_cam import LayerAttribution, LayerGradCam
from pnpxai.attributors.cam.maps import UpsampledGradCam
from pnpxai.attributors.gradient.backprop import GuidedBackprop
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.row_order import refuse_moved_rows
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["GuidedGradCam", "UpsampledGuidedGradCam"]


class GuidedGradCam(Attributor):
    """Computes guided backpropagation times max(Grad-CAM, 0) of a layer. Selvaraju et al., 2017 (arXiv:1610.02391)."""

    def __init__(self, model: Model, layer: Layer, device_ids: Sequence[int] | None = None) -> None:
        super().__init__(model)
        self.model = model
        self.layer = layer
        self.device_ids = device_ids

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return two rows for each example: one for each factor."""
        return 2 * super().cost(inputs)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        interpolate_mode: str = "nearest",
        attribute_to_layer_input: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``.

        An input whose dimensions are not those of the layer's map (a table beside a picture) gets an empty tensor.

        Args:
            interpolate_mode: mode of resizing the layer's map, as in ``torch.nn.functional.interpolate``.

        Raises:
            ArgumentError: the layer has several tensors, or no input has its dimensions.
        """
        with borrowed(self.model):
            arguments = (target, additional_forward_args)
            tensors, score = prepared(self.model, inputs, *arguments)
            refuse_moved_rows(score, tensors)
            cam = LayerGradCam(self.model, self.layer, self.device_ids)
            maps = cam.attribute(inputs, *arguments, attribute_to_layer_input, relu_attributions=True)
            if not isinstance(maps, Tensor):
                raise ArgumentError(f"layer: expected one with a single tensor, got {len(maps)} of them")
            guided = as_tuple(GuidedBackprop(self.model).attribute(inputs, *arguments))
            if maps.ndim < 3 or all(g.ndim != maps.ndim for g in guided):
                raise ArgumentError(
                    f"layer: expected a map with the dimensions of an input, {[tuple(g.shape) for g in guided]}, "
                    f"got {tuple(maps.shape)}"
                )
            results = [
                g * LayerAttribution.interpolate(maps, tuple(g.shape[2:]), interpolate_mode)
                if g.ndim == maps.ndim
                else g.new_empty(0)
                for g in guided
            ]
            return like(inputs, results)


class UpsampledGuidedGradCam(Attributor):
    """Computes guided backpropagation times max(``UpsampledGradCam``, 0). Selvaraju et al., 2017 (arXiv:1610.02391).

    It is ``GuidedGradCam`` at the layer of ``UpsampledGradCam``, by default the last feature map.
    """

    def __init__(self, forward_func: Model, layer: Layer = None, interpolate_mode: str = "nearest") -> None:
        super().__init__(forward_func)
        self.guided = GuidedBackprop(forward_func, needs_relu=True)
        self.cam = UpsampledGradCam(forward_func, layer, interpolate_mode, relu=True)

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return the rows of both factors."""
        return self.guided.cost(inputs) + self.cam.cost(inputs)

    def attribute(
        self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Tensor:
        """Return attributions in the shape of the first input that has positions.

        Raises:
            UnsuitableError: as ``UpsampledGradCam.attribute``, or no ReLU runs in the model.
        """
        with borrowed(self.forward_func):
            maps = self.cam.attribute(inputs, target, additional_forward_args)
            tensors = as_tuple(inputs)
            gradients = as_tuple(self.guided.attribute(tensors, target, additional_forward_args))
            return gradients[pictured(tensors)] * maps
