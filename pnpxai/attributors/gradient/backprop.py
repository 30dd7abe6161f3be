"""Computes gradients through ReLUs that pass back only positive values: guided backpropagation, deconvolution."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.gradient.rectifiers import Rectifiers
from pnpxai.attributors.gradient.saliency import gradient_in_passes
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.score import Target
from pnpxai.engine.seeing.operations import Operation, Operations, operation_name
from pnpxai.engine.seeing.unseen import account_for, refuse_transforms, refuse_unseen
from pnpxai.errors import ConfinedError, UnsuitableError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, Model, ModelInputs, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat, like

__all__ = ["Deconvolution", "GuidedBackprop"]


class GuidedBackprop(Attributor):
    """Computes the gradient with ReLUs that pass back [x > 0] * max(g, 0). Springenberg et al., 2015 (arXiv:1412.6806).

    x is the input of the ReLU, and g the gradient that arrives at its output. A ReLU counts wherever it runs: as a
    module, a function, a tensor's method, or written by hand (``Rectifiers``).
    """

    def __init__(self, model: Model, *, needs_relu: bool = False) -> None:
        """Take a model; with ``needs_relu``, ``attribute`` refuses (UnsuitableError) a model in which no ReLU runs."""
        super().__init__(model)
        self.model = model
        self.needs_relu = needs_relu

    def attribute(
        self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Attributions:
        """Return the modified gradient in the shape of ``inputs``.

        Raises:
            ConfinedError: a part of the model is scripted, so that its ReLUs cannot be seen.
        """
        return _modified_gradient(self, inputs, target, additional_forward_args, guided=True)


class Deconvolution(Attributor):
    """Computes the gradient with ReLUs that pass back max(g, 0). Zeiler and Fergus, 2014 (arXiv:1311.2901).

    g is the gradient that arrives at the ReLU's output. A ReLU counts wherever it runs, as in ``GuidedBackprop``.
    """

    def __init__(self, model: Model, *, needs_relu: bool = False) -> None:
        """Take a model; with ``needs_relu``, ``attribute`` refuses (UnsuitableError) a model in which no ReLU runs."""
        super().__init__(model)
        self.model = model
        self.needs_relu = needs_relu

    def attribute(
        self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Attributions:
        """Return the modified gradient in the shape of ``inputs``; see ``GuidedBackprop.attribute``."""
        return _modified_gradient(self, inputs, target, additional_forward_args, guided=False)


class _Context(FunctionCtx):
    guided: bool
    saved_tensors: Tensors


class _ModifiedReLU(torch.autograd.Function):
    """Is a ReLU forward. Backward it passes the positive part of the gradient, with ``guided`` only where x > 0."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, guided: bool) -> Tensor:
        ctx.guided = guided
        ctx.save_for_backward(x > 0)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (is_open,) = ctx.saved_tensors
        positive = torch.relu(grad_outputs[0])
        return positive * is_open if ctx.guided else positive, None


def _modified_gradient(
    owner: GuidedBackprop | Deconvolution, inputs: ModelInputs, target: Target, extra: ForwardArgs, *, guided: bool
) -> Attributions:
    model = owner.model
    seen = Rectifiers(lambda x: _ModifiedReLU.apply(x, guided))

    method = type(owner).__name__

    def watched(function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        name = operation_name(function)
        if not torch.is_grad_enabled():  # conditions are made here too
            return seen(function, args, kwargs)
        if name != "get":
            refuse_unseen(method, name, [t for t in flat((args, kwargs)) if t.requires_grad])
        result = seen(function, args, kwargs)
        if name != "get":
            account_for(args[0] if name == "setitem" else result)
        return result

    module = module_of(model)
    if module is not None and any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        raise ConfinedError("model: the inside of a scripted model cannot be seen; pass the original Python model")
    with borrowed(model):
        tensors, score = prepared(model, inputs, target, extra)

        def ruled(*args: object) -> ModelOutput:
            with Operations(watched), refuse_transforms(method):
                output = score.forward(*args)
            seen.forget()
            refuse_unseen(method, "the score", [t for t in flat(output) if t.requires_grad])
            return output

        gradients = gradient_in_passes(replace(score, forward=ruled), tensors)
    if owner.needs_relu and not seen.count:
        name = type(owner).__name__
        raise UnsuitableError(f"{name}: no ReLU runs in the model, so this would be the plain gradient; use Gradient")
    return like(inputs, gradients)
