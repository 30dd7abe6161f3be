"""Rules of layers: the epsilon rule, and those that others define (zennit's, and those that change weights)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pnpxai.attributors.propagation.relevance.kept import Held
from pnpxai.attributors.propagation.relevance.kernels import Kernel
from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.linear import Affine, Linear
from pnpxai.engine.seeing.torch_private import give_own_parameters, plain_copy
from pnpxai.tensors import Tensors

if TYPE_CHECKING:
    from pnpxai.attributors.propagation.captum_rules import PropagationRule

__all__ = ["AlphaBeta", "OfModule", "OfZennit", "epsilon_rule"]


def epsilon_rule(kernel: Kernel, epsilon: float, ledger: Ledger) -> Affine | Linear:
    """Return the epsilon rule of a layer."""
    free = kernel.free()
    of_sum = Affine(free, epsilon, ledger, None if free.bias is None else free.of_zeros)
    return of_sum if free.slope is None else Linear(of_sum, Held.of(free.slope))


@dataclass(frozen=True)
class OfZennit:
    """A rule of zennit, read as data (its modifiers, gradient mapper and reducer), on one call of a module."""

    hook: Any  # a BasicHook, whose package states no types
    module: nn.Module
    forward: Callable[..., Tensor]
    ledger: Ledger = field(repr=False)
    own_places: Tensor | None = None

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the rule's reducer makes of the operand."""
        from zennit import rules
        from zennit.core import ParamMod

        (operand,) = operands
        hook, inputs, outputs, constants = self.hook, [], [], []
        by_sign = isinstance(hook, (rules.ZPlus, rules.AlphaBeta, rules.Gamma))
        fixed, own_places = self._fixed(operand), self.own_places
        # what a layer makes of zeros is the same for all rows
        batched = operand.ndim > 1 and operand.ndim != getattr(getattr(self.module, "weight", None), "ndim", 0) - 1
        modifiers = zip(hook.input_modifiers, hook.param_modifiers, hook.output_modifiers, strict=True)
        for of_input, of_parameters, of_output in modifiers:
            entry = of_input(operand.detach()).detach().requires_grad_()
            given = entry if fixed is None or own_places is None else torch.where(own_places, entry, fixed)
            with ParamMod.ensure(of_parameters)(self.module):
                with torch.no_grad():
                    of_zeros = getattr(self.module, "of_zeros", None)
                    nothing = torch.zeros_like(entry[:1] if batched else entry) if of_zeros is None else None
                    constants.append(self.forward(nothing) if of_zeros is None else of_zeros().detach())
                # after a ReLU, there are no negative parts
                empty = of_zeros is not None and by_sign and not entry.any()
                inputs.append(entry)
                outputs.append(constants[-1] if empty else of_output(self.forward(given)))
        mapped = hook.gradient_mapper(relevance, outputs)
        mapped = list(mapped) if isinstance(mapped, (tuple, list)) else [mapped]
        gradients = [torch.zeros_like(entry) for entry in inputs]
        used = [k for k, (o, m) in enumerate(zip(outputs, mapped, strict=True)) if o.requires_grad and m.any()]
        if used:
            of, at, seeds = ([part[k] for k in used] for part in (outputs, inputs, mapped))
            of_used = torch.autograd.grad(of, at, seeds)
            for k, gradient in zip(used, of_used, strict=True):
                gradients[k] = gradient
        with torch.no_grad():
            # the reducer is linear in value times gradient, so what it makes of the outputs is all that was shared
            ones = [torch.ones_like(m) for m in mapped]
            shared = hook.reducer(ones, [o * m for o, m in zip(outputs, mapped, strict=True)])
            kept = hook.reducer(ones, [c * m for c, m in zip(constants, mapped, strict=True)])
            left = relevance - shared
            # under the others, a neuron may have nothing that takes its relevance
            conserves = isinstance(hook, (rules.Epsilon, rules.Gamma))
            self.ledger.note(kept, left if conserves else None, None if conserves else left)
        return (hook.reducer(inputs, gradients).detach(),)

    def _fixed(self, operand: Tensor) -> Tensor | None:
        """Return what constants among the inputs count as under a rule of other numbers than these; None under others.

        A constant is its own smallest and largest value; the rules of weights alone know only the layer's own padding.
        """
        from zennit import rules

        if isinstance(self.hook, rules.ZBox):
            return operand.detach()
        return torch.zeros_like(operand) if isinstance(self.hook, (rules.Flat, rules.WSquare)) else None


_ROUNDINGS = 30
"""Roundings of all contributions together below which those of one sign count as none."""


@dataclass(frozen=True)
class AlphaBeta:
    """Positive and negative contributions on their own, weighted alpha and -beta, as zennit's rule of that name.

    Inputs and weights are split by sign, so that a sum of few small contributions is as exact as a large one; an input
    without negative values, as after a ReLU, takes half of the products. A sum that may be nothing but the rounding of
    a fast convolution is zero.
    """

    kernel: Kernel
    alpha: float
    stabilizer: float
    biases: bool
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the operand's share of both sums."""
        (x,) = (operand.detach() for operand in operands)
        weights = {1: self.kernel.weight.clamp(min=0), -1: self.kernel.weight.clamp(max=0)}
        signed = {1: x.clamp(min=0), -1: x.clamp(max=0)}
        sides = {sign: of_sign.requires_grad_() for sign, of_sign in signed.items() if sign == 1 or of_sign.any()}
        bias = self.kernel.of_zeros() if self.biases else relevance.new_zeros(())
        kept, left, shares = None, relevance.new_zeros(()), torch.zeros_like(x)
        totals = {
            sign: torch.stack([self.kernel.call(side, weights[sign * of], None) for of, side in sides.items()]).sum(0)
            for sign in (1, -1)
        }
        least = _ROUNDINGS * torch.finfo(x.dtype).eps * (totals[1] - totals[-1]).detach()
        for share, sign in ((self.alpha, 1), (1 - self.alpha, -1)):
            total, constant = totals[sign], (sign * bias).clamp(min=0)
            size = (sign * total.detach()).clamp(min=0)
            none = size <= least
            scale = share * relevance / (size.masked_fill_(none, 0.0) + constant + self.stabilizer)
            if bias.ndim:
                kept = constant * scale if kept is None else kept + constant * scale
            left = left + self.stabilizer * scale
            slopes = torch.autograd.grad(total, list(sides.values()), sign * scale.masked_fill(none, 0.0))
            for side, slope in zip(sides.values(), slopes, strict=True):
                shares.addcmul_(side.detach(), slope)
        self.ledger.note(bias=kept, rest=left)
        return (shares,)


@dataclass(frozen=True)
class OfModule:
    """A rule that changes a module's weights (see ``propagation``), with the epsilon rule on what they give."""

    rule: PropagationRule
    module: nn.Module
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the operand's share under the changed weights."""
        changed = plain_copy(self.module)
        vars(changed).pop("forward", None)
        give_own_parameters(changed)
        forward = type(changed).forward
        with torch.no_grad():
            output = forward(changed, *operands)
        self.rule._manipulate_weights(changed, tuple(x.detach() for x in operands), output)
        rule = Affine(lambda *x: forward(changed, *x), self.rule.STABILITY_FACTOR, self.ledger)
        return rule.share(operands, relevance)
