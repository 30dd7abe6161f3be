"""Rules of layers that others define: zennit's, and those that change a module's weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.attributors.rules import Affine, Ledger
from pnpxai.tensors import Tensors, own

__all__ = ["OfModule", "OfZennit"]


@dataclass(frozen=True)
class OfZennit:
    """A rule of zennit, read as data (its modifiers, gradient mapper and reducer), on one call of a module."""

    hook: Any
    module: nn.Module
    forward: Callable[..., Tensor]
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the rule's reducer makes of the operand."""
        from zennit.core import ParamMod
        from zennit.rules import Epsilon, Gamma

        (operand,) = operands
        hook, inputs, outputs, constants = self.hook, [], [], []
        # what a layer makes of zeros is the same for all rows
        batched = operand.ndim > 1 and operand.ndim != getattr(getattr(self.module, "weight", None), "ndim", 0) - 1
        modifiers = zip(hook.input_modifiers, hook.param_modifiers, hook.output_modifiers, strict=True)
        for of_input, of_parameters, of_output in modifiers:
            entry = of_input(operand.detach()).detach().requires_grad_()
            with ParamMod.ensure(of_parameters)(self.module):
                inputs.append(entry)
                outputs.append(of_output(self.forward(entry)))
                with torch.no_grad():
                    constants.append(self.forward(torch.zeros_like(entry[:1] if batched else entry)))
        mapped = hook.gradient_mapper(relevance, outputs)
        mapped = list(mapped) if isinstance(mapped, (tuple, list)) else [mapped]
        gradients = torch.autograd.grad(outputs, inputs, mapped)
        with torch.no_grad():
            # the reducer is linear in value times gradient, so what it makes of the outputs is all that was shared
            ones = [torch.ones_like(m) for m in mapped]
            shared = hook.reducer(ones, [o * m for o, m in zip(outputs, mapped, strict=True)])
            kept = hook.reducer(ones, [c * m for c, m in zip(constants, mapped, strict=True)])
            left = relevance - shared
            # under the others, a neuron may have nothing that takes its relevance
            conserves = isinstance(hook, (Epsilon, Gamma))
            self.ledger.note(kept, left if conserves else None, None if conserves else left)
        return (hook.reducer(inputs, gradients).detach(),)


@dataclass(frozen=True)
class OfModule:
    """A rule that changes a module's weights (see ``propagation``), with the epsilon rule on what they give."""

    rule: Any
    module: nn.Module
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the operand's share under the changed weights."""
        changed = copy.copy(self.module)
        changed.__dict__ = {n: v for n, v in self.module.__dict__.items() if n != "forward"}
        changed.__dict__["_parameters"] = {
            n: None if p is None else nn.Parameter(own(p), requires_grad=False)
            for n, p in self.module._parameters.items()
        }
        forward = type(self.module).forward
        with torch.no_grad():
            output = forward(changed, *operands)
        self.rule._manipulate_weights(changed, tuple(x.detach() for x in operands), output)
        rule = Affine(lambda *x: forward(changed, *x), self.rule.STABILITY_FACTOR, self.ledger)
        return rule.share(operands, relevance)
