"""Masks that the values decide: ``where(x > 0, x, 0.1 * x)``, ``x * (x > 0)``, ``x[x < 0] = 0``.

Where a mask is the same in both passes, it is a constant. Where it is not, the difference of what it chose belongs to
the value that was compared, as the rescale rule has it for a rectifier that is written as a function.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from pnpxai.attributors.propagation.rescale.elementwise import rounding
from pnpxai.attributors.propagation.rescale.step import Reference
from pnpxai.engine.seeing.unseen import account_for
from pnpxai.errors import RuleError
from pnpxai.model_types import ModelOutput, Positional
from pnpxai.tensors import flat, own

__all__ = ["Compared", "Conditions", "mixed", "noted", "refuse_condition"]


@dataclass(frozen=True)
class Compared:
    """What a mask was made of.

    Attributes:
        mask: the mask itself; holding it keeps its identity its own.
        source: identity of the compared value; None for a value that no single comparison decides.
        difference: the compared value, less what it was compared with, in the graph.
    """

    mask: Tensor
    source: int | None = None
    difference: Tensor | None = None


@dataclass
class Conditions:
    """The masks of one pass, and what of them the reference pass had."""

    masks: dict[int, Compared] = field(default_factory=dict)

    def of(self, structure: object) -> list[Compared]:
        """Return the masks among the arguments of an operation."""
        return [self.masks[id(t)] for t in flat(structure) if id(t) in self.masks] if self.masks else []

    def note(self, name: str, args: Positional, operands: list[Tensor], result: ModelOutput) -> None:
        """Note what an operation decided by values that carry a difference, or by other masks."""
        masks = self.of(args)
        if name in _CONSTANTS or (not operands and not masks):
            return
        for tensor in flat(result):
            if tensor.requires_grad or id(tensor) in self.masks:
                continue
            compared = Compared(tensor)
            if operands and name in _COMPARISONS:
                with torch.enable_grad():
                    if len(operands) == 2:
                        difference = operands[0] - operands[1]
                        compared = Compared(tensor, id(difference), difference)
                    elif not masks:
                        compared = Compared(tensor, id(operands[0]), operands[0].clone())
                account_for(compared.difference)
            elif masks and (not operands or name in _CONVERSIONS) and len({m.source for m in masks}) == 1:
                compared = Compared(tensor, masks[0].source, masks[0].difference)
            self.masks[id(tensor)] = compared


_CONSTANTS = frozenset("zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full".split())
"""They take the shape of a value, and nothing else."""
_CONVERSIONS = frozenset({"type_as", "to"})
"""They take the dtype of another value, and nothing else."""
_COMPARISONS = frozenset("gt ge lt le eq ne greater less greater_equal less_equal not_equal signbit".split())


def refuse_condition(name: str) -> RuleError:
    """Return the error for a choice that differs between the passes and has no rule."""
    return RuleError(
        f"DeepLift: {name!r} follows a mask, index or condition that differs between the inputs and the baselines, and "
        "that is not one value compared place by place; use integrated gradients instead"
    )


class _Context(FunctionCtx):
    changed: Tensor
    multiplier: Tensor
    shape: torch.Size


class _Mixed(torch.autograd.Function):
    """Hands a value on. Backward, the gradient of what a changed mask chose goes to the value that was compared."""

    @staticmethod
    def forward(ctx: _Context, value: Tensor, compared: Tensor, changed: Tensor, multiplier: Tensor) -> Tensor:
        ctx.changed, ctx.multiplier, ctx.shape = changed, multiplier, compared.shape
        return value.clone()

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        of_compared = (grad * ctx.multiplier).sum_to_size(ctx.shape)
        return grad.masked_fill(ctx.changed, 0.0), of_compared, None, None


def noted(name: str, masks: list[Compared], result: Tensor) -> Reference:
    """Return what the other pass has to know of an operation under masks."""
    values = [own(m.mask) for m in masks]
    values += [own(m.difference) for m in masks if m.difference is not None]
    return Reference(name, tuple(values), own(result))


def mixed(name: str, masks: list[Compared], reference: Reference, result: Tensor) -> Tensor:
    """Return a result whose differences follow the masks.

    Raises:
        RuleError: a mask differs between the passes, and no value that was compared place by place explains it.
    """
    before, differences = reference.operands[: len(masks)], reference.operands[len(masks) :]
    changed = torch.zeros((), dtype=torch.bool, device=result.device)
    for compared, mask in zip(masks, before, strict=True):
        if compared.mask.shape != mask.shape:
            raise refuse_condition(name)
        other = compared.mask != mask
        if other.any():
            other = other.reshape(*other.shape, *[1] * (result.ndim - other.ndim)) if _leads(other, result) else other
            changed = changed | other
    if not changed.any():
        return result
    sources = {m.source if m.source is not None else -k for k, m in enumerate(masks, 1)}
    there = masks[0].difference
    if len(sources) > 1 or there is None or reference.output.shape != result.shape:
        raise refuse_condition(name)
    try:
        changed = changed.expand(result.shape)
        run = (there.detach() - differences[0]).expand(result.shape)
    except RuntimeError:
        raise refuse_condition(name) from None
    rise = result.detach() - reference.output
    small = rise.abs() <= rounding(result.detach(), reference.output)
    multiplier = torch.where(changed & ~small & (run != 0), rise / torch.where(run != 0, run, 1.0), 0.0)
    return _Mixed.apply(result, there, changed, multiplier)


def _leads(mask: Tensor, result: Tensor) -> bool:
    """Tell whether a mask stands for the first axes of a value, as an index does."""
    return mask.ndim < result.ndim and tuple(mask.shape) == tuple(result.shape[: mask.ndim])
