"""Computes gradients through ReLUs that pass back only positive values: guided backpropagation, deconvolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.cam.grad_cam import LayerAttribution, LayerGradCam
from pnpxai.attributors.gradient.saliency import gradient_in_passes
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.score import Target
from pnpxai.engine.seeing.operations import Operation, Operations
from pnpxai.errors import ArgumentError, ConfinedError, UnsuitableError
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["Deconvolution", "GuidedBackprop", "GuidedGradCam"]


class GuidedBackprop(Attributor):
    """The gradient, with ReLUs that pass back only what is positive. Springenberg et al., 2015 (arXiv:1412.6806).

    A ReLU counts wherever it runs: as a module, a function or a tensor's method.
    """

    def __init__(self, model: Callable[..., Any], *, needs_relu: bool = False) -> None:
        """Take a model; ``needs_relu`` refuses (UnsuitableError) one in which no ReLU runs."""
        super().__init__(model)
        self.model = model
        self.needs_relu = needs_relu

    def attribute(self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: Any = None) -> Any:
        """Return the modified gradient in the shape of ``inputs``.

        Raises:
            ConfinedError: a part of the model is scripted, so that its ReLUs cannot be seen.
        """
        return _modified_gradient(self, inputs, target, additional_forward_args, guided=True)


class Deconvolution(Attributor):
    """The gradient, with ReLUs applied to what comes back instead of gating it. Zeiler and Fergus, 2014.

    A ReLU counts wherever it runs, as in ``GuidedBackprop`` (arXiv:1311.2901).
    """

    def __init__(self, model: Callable[..., Any], *, needs_relu: bool = False) -> None:
        """Take a model; ``needs_relu`` refuses (UnsuitableError) one in which no ReLU runs."""
        super().__init__(model)
        self.model = model
        self.needs_relu = needs_relu

    def attribute(self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: Any = None) -> Any:
        """Return the modified gradient in the shape of ``inputs``; see ``GuidedBackprop.attribute``."""
        return _modified_gradient(self, inputs, target, additional_forward_args, guided=False)


class GuidedGradCam(Attributor):
    """Guided backpropagation times the positive Grad-CAM of a layer. Selvaraju et al., 2017 (arXiv:1610.02391)."""

    def __init__(self, model: Callable[..., Any], layer: Any, device_ids: Sequence[int] | None = None) -> None:
        super().__init__(model)
        self.model = model
        self.layer = layer
        self.device_ids = device_ids

    def cost(self, inputs: Any, **settings: Any) -> int:
        """Return two rows for each example: one for each factor."""
        return 2 * super().cost(inputs)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: Any = None,
        interpolate_mode: str = "nearest",
        attribute_to_layer_input: bool = False,
    ) -> Any:
        """Return attributions in the shape of ``inputs``.

        An input whose dimensions are not those of the layer's map (a table beside a picture) gets an empty tensor.

        Args:
            interpolate_mode: how the layer's map is resized, as in ``torch.nn.functional.interpolate``.

        Raises:
            ArgumentError: the layer has several tensors, or no input has its dimensions.
        """
        with borrowed(self.model):
            given = (target, additional_forward_args)
            cam = LayerGradCam(self.model, self.layer, self.device_ids)
            maps = cam.attribute(inputs, *given, attribute_to_layer_input, relu_attributions=True)
            if not isinstance(maps, Tensor):
                raise ArgumentError(f"layer: expected one with a single tensor, got {len(maps)} of them")
            guided = as_tuple(GuidedBackprop(self.model).attribute(inputs, *given))
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


class _ModifiedReLU(torch.autograd.Function):
    """ReLU forward; backward the positive part of the gradient, with ``guided`` only where the ReLU was open."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool) -> Tensor:
        ctx.guided = guided
        ctx.save_for_backward(x > 0)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (is_open,) = ctx.saved_tensors
        positive = torch.relu(grad_outputs[0])
        return positive * is_open if ctx.guided else positive, None


def _modified_gradient(
    owner: GuidedBackprop | Deconvolution, inputs: Any, target: Target, extra: Any, *, guided: bool
) -> Any:
    model, seen = owner.model, [0]

    def rule(function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs.get("input")
        name = getattr(function, "__name__", "").split(".")[0]  # an exported program says relu.default
        if name.strip("_") != "relu" or not isinstance(x, Tensor) or not x.requires_grad or not torch.is_grad_enabled():
            return function(*args, **kwargs)
        seen[0] += 1
        changes = name.endswith("_") or any(flag is True for flag in (kwargs.get("inplace"), *args[1:]))
        return x.copy_(_apply(x.clone(), guided)) if changes else _apply(x, guided)

    module = module_of(model)
    if module is not None and any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        raise ConfinedError("model: the inside of a scripted model cannot be seen; pass the original Python model")
    with borrowed(model):
        tensors, score = prepared(model, inputs, target, extra)

        def ruled(*args: Any) -> Any:
            with Operations(rule):
                return score.forward(*args)

        found = gradient_in_passes(replace(score, forward=ruled), tensors)
    if owner.needs_relu and not seen[0]:
        name = type(owner).__name__
        raise UnsuitableError(f"{name}: no ReLU runs in the model, so this would be the plain gradient; use Gradient")
    return like(inputs, found)


def _apply(x: Tensor, guided: bool) -> Tensor:
    return _ModifiedReLU.apply(x, guided)  # type: ignore[no-any-return]
