"""DeepLIFT on operations: a reference pass is noted, and each operation of the second pass is ruled against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pnpxai.attributors.propagation.rescale.conditions import Compared, Conditions, mixed, noted
from pnpxai.attributors.propagation.rescale.rules import rule_for
from pnpxai.attributors.propagation.rescale.selections import Selection
from pnpxai.attributors.propagation.rescale.step import Reference, Rule, of_operands, tied
from pnpxai.engine.running.missing_gradients import naming_missing_gradients
from pnpxai.engine.running.score import Score
from pnpxai.engine.seeing.decompositions import check_same, decomposed, is_compound
from pnpxai.engine.seeing.norms import by_batch_statistics
from pnpxai.engine.seeing.operation_kinds import AFFINE, ROUTES, SELECTIONS, SUMS
from pnpxai.engine.seeing.operations import (
    Operation,
    Operations,
    carries,
    divides,
    in_place,
    operation_name,
    out_of_place,
    with_operands,
)
from pnpxai.engine.seeing.unseen import account_for, drops_gradient, refuse_transforms, refuse_unseen
from pnpxai.errors import ArgumentError, RuleError
from pnpxai.model_types import Keywords, ModelOutput, Positional
from pnpxai.tensors import Tensors, check_finite, flat, map_tensors, own

__all__ = ["Multipliers", "multipliers"]


@dataclass(frozen=True)
class Multipliers:
    """What the differences of inputs are multiplied by.

    Attributes:
        values: one tensor for each input; their products with the differences sum to ``after - before``.
        after: (examples,) scores at the inputs.
        before: (examples,) scores at the baselines.
    """

    values: Tensors
    after: Tensor
    before: Tensor


def multipliers(score: Score, inputs: Tensors, reference: Score, baselines: Tensors, eps: float) -> Multipliers:
    """Return what each input's difference is multiplied by, and both scores; products sum to their difference.

    Args:
        score: the model's score at the inputs; its target runs under the rules too.
        inputs: (examples, ...) tensors.
        reference: the score at the baselines.
        baselines: tensors of the inputs' shapes.
        eps: differences below this count as none; the derivative stands in for the quotient there.

    Raises:
        RuleError: an operation has no rule, or the two passes run different operations.
    """
    rules = _Rescale(eps)
    for pass_score, values in ((reference, baselines), (score, inputs)):
        leaves = tuple(own(x).requires_grad_() for x in values)
        detached = replace(pass_score, extra=map_tensors(torch.Tensor.detach, pass_score.extra))
        rules.outputs.append(rules.run(detached, tuple(leaf.clone() for leaf in leaves)))
    before, after = rules.outputs
    rules.check_finished()
    if not after.requires_grad:
        raise ArgumentError("model: the score does not depend on the inputs through differentiable operations")
    with naming_missing_gradients():
        values = torch.autograd.grad(after.sum(), leaves, allow_unused=True, materialize_grads=True)
    check_finite("multipliers", values)
    if rules.moved is not None:
        rules.refuse_moved(values, inputs, baselines)
    return Multipliers(tuple(m.detach() for m in values), after.detach(), before.detach())


@dataclass
class _Rescale:
    """Notes the operations of the reference pass, and rules those of the second pass by them, one after the other."""

    eps: float
    references: list[Reference] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    position: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    numbers: list[Tensor] = field(default_factory=list)
    moved: str | None = None

    def run(self, score: Score, inputs: Tensors) -> Tensor:
        self.position, self.conditions = 0, Conditions()
        with Operations(self.replace), refuse_transforms("DeepLift"):
            values = score(inputs)
        refuse_unseen("DeepLift", "the score", [values])
        return values

    def note_number(self, name: str, value: Tensor) -> None:
        """Note a value that leaves torch; what becomes of it is a constant of its pass."""
        if not self.outputs:
            self.numbers.append(own(value))
            return
        before = self.numbers.pop(0) if self.numbers else None
        if before is None or before.shape != value.shape or not torch.equal(before, value):
            self.moved = self.moved or name.strip("_")

    def refuse_moved(self, values: Tensors, inputs: Tensors, baselines: Tensors) -> None:
        """Refuse numbers that left torch and differ between the passes, if the sum misses what they did.

        Raises:
            RuleError: names how they left.
        """
        before, after = (output.detach() for output in self.outputs)
        parts = zip(values, inputs, baselines, strict=True)
        gap = sum((m * (x - b)).sum() for m, x, b in parts) - (after - before).sum()
        if gap.abs() > 1e-3 * torch.maximum(after.abs(), before.abs()).sum():
            raise RuleError(
                f"DeepLift: a number leaves torch by {self.moved!r} and differs between the inputs and the baselines, "
                "so that its part of the score is in no difference; keep it a tensor, or use integrated gradients"
            )

    def check_finished(self) -> None:
        if self.position != len(self.references):
            raise RuleError("DeepLift: the model runs other operations for the inputs than for the baselines")

    def replace(self, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        """Run an operation under its rule.

        Raises:
            RuleError: there is no rule for it, or something hid what it gets.
        """
        name = operation_name(function)
        operands, put = with_operands((args, kwargs), carries)
        masks = self.conditions.of((args, kwargs))
        if not operands and not masks:
            return function(*args, **kwargs)
        if not torch.is_grad_enabled():  # what is decided here is decided by values all the same
            result = function(*args, **kwargs)
            self.conditions.note(name, args, operands, result)
            return result
        if name != "get":
            refuse_unseen("DeepLift", name, operands)
        if name == "setitem":
            return self._written(function, args, masks)
        if in_place(function, kwargs) and (name not in ROUTES or masks):
            outside, rest, plain = out_of_place(function, args, kwargs)
            result = args[0].copy_(self.replace(outside, rest, plain))
            account_for(result)
            return result
        if name == "bool":
            return self._decided(function, args)
        if getattr(function, "__name__", "") in _NUMBERS:
            self.note_number(function.__name__, args[0])
            return function(args[0].detach(), *args[1:], **kwargs)
        result = self._ruled(name, function, (args, kwargs), operands, put)
        account_for(result)
        if isinstance(result, Tensor) and result.requires_grad:
            return self._under(name, masks, result) if masks and name not in _PLACED else result
        self.conditions.note(name, args, operands, result)
        return result

    def _ruled(
        self, name: str, function: Operation, call: tuple[Positional, Keywords], operands: list[Tensor], put: Operation
    ) -> ModelOutput:
        args, kwargs = call
        if name == "detach":  # differences reach what derivatives do not
            return args[0].clone()
        if name in _PLACED and len(operands) == 1 and self.conditions.of(call):
            return self._selected(name, function, call, operands[0])
        if name in ROUTES or not operands:
            return function(*args, **kwargs)
        if is_compound(name, operands):
            return self._decomposed(name, function, args, kwargs)
        if name in SELECTIONS or (name in ("max", "min") and _along_axis(args, kwargs)):
            return self._selected(name, function, call, operands[0])

        apply = of_operands(function, put, operands[0].dtype)
        if name == "batch_norm" and by_batch_statistics(*args, **kwargs):
            raise RuleError(
                "DeepLift: no rule for batch normalisation by the batch's own statistics; use a gradient or "
                "perturbation method instead"
            )
        if name in SUMS or (name in AFFINE and len(operands) == 1 and not divides(function, args)):
            return function(*args, **kwargs)
        rule = rule_for(name, function, apply, operands, (args, kwargs), self.eps)
        if rule is not None:
            return self._step(name, rule, apply, operands)
        result = function(*args, **kwargs)
        hides = drops_gradient(name, result)
        if not hides and not any(t.requires_grad for t in flat(result)):
            return result
        raise RuleError(f"DeepLift: no rule for the operation {name!r}; use integrated gradients instead")

    def _step(self, name: str, rule: Rule, apply: Callable[..., Tensor], operands: list[Tensor]) -> Tensor:
        reference = None if not self.outputs else self._next(name)
        if reference is not None and [o.shape for o in reference.operands] != [o.shape for o in operands]:
            raise RuleError(f"DeepLift: {name!r} gets other shapes for the inputs than for the baselines")
        value, here = tied(name, rule, apply, operands, reference)
        if reference is None:
            self.references.append(here)
        return value

    def _next(self, name: str) -> Reference:
        """Return what the reference pass had at this point."""
        if self.position >= len(self.references) or self.references[self.position].name != name:
            raise RuleError("DeepLift: the model runs other operations for the inputs than for the baselines")
        self.position += 1
        return self.references[self.position - 1]

    def _under(self, name: str, masks: list[Compared], result: Tensor) -> Tensor:
        """Return what an operation gave under masks that the values decide."""
        if not self.outputs:
            self.references.append(noted(name, masks, result))
            return result
        result = mixed(name, masks, self._next(name), result)
        account_for(result)
        return result

    def _written(self, function: Operation, args: Positional, masks: list[Compared]) -> None:
        """Write into a value at an index; at a mask that the values decide, on a copy that then takes its place."""
        target, *rest = args
        if not masks:
            function(*args)
            account_for(target)
            return
        written = target.clone()
        function(written, *rest)
        account_for(written)
        target.copy_(self._under("setitem", masks, written))
        account_for(target)

    def _decided(self, function: Operation, args: Positional) -> bool:
        """Return the truth of a value; both passes must take the same branch."""
        decision = function(*args)
        here = Reference("bool", (), torch.tensor(decision))
        if not self.outputs:
            self.references.append(here)
        elif bool(self._next("bool").output) != decision:
            raise RuleError(
                "DeepLift: the model runs other operations for the inputs than for the baselines: it branches on values"
            )
        return decision

    def _selected(
        self, name: str, function: Operation, call: tuple[Positional, Keywords], operand: Tensor
    ) -> ModelOutput:
        """Return values at places that the values themselves decide, and those places."""
        args, kwargs = call
        with torch.no_grad():
            whole = function(*args, **kwargs)
        second = args[1] if len(args) > 1 and name in ("gather", "max", "min") else None
        axis = kwargs.get("dim", second)
        if name in _PLACED:
            values, places = whole, kwargs.get("index", kwargs.get("indices", args[2] if len(args) > 2 else None))
            if name == "take_along_dim":
                axis = kwargs.get("dim", args[2] if len(args) > 2 else None)
                places = kwargs.get("indices", args[1] if len(args) > 1 else None)
        else:
            if isinstance(whole, Tensor):
                raise RuleError(f"DeepLift: no rule for the operation {name!r} without an axis")
            values, places = whole
            axis = _axis(name, args, kwargs) if axis is None else axis
        if axis is None or places is None:
            raise RuleError(f"DeepLift: no rule for the operation {name!r} without an axis")
        keepdim = places.ndim == operand.ndim
        rule = Selection(axis % operand.ndim, places, keepdim)
        value = self._step(name, rule, lambda _: values.detach().clone(), [operand])
        return value if name in _PLACED else type(whole)((value, places))

    def _decomposed(self, name: str, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        with torch.no_grad():
            whole = function(*args, **kwargs)
        with Operations(self.replace):
            parts = decomposed(name, function, lambda compute: compute(), *args, **kwargs)
        check_same(name, whole, parts)
        return parts


_NUMBERS = frozenset({"__float__", "__int__", "__index__", "__complex__", "item", "tolist", "numpy", "__array__"})
"""Conversions to plain numbers, which end the graph."""
_PLACED = frozenset({"gather", "take_along_dim"})


def _along_axis(args: Positional, kwargs: Keywords) -> bool:
    """Tell whether a call of ``max`` or ``min`` gives values and places along an axis."""
    return "dim" in kwargs or (len(args) > 1 and isinstance(args[1], int))


def _axis(name: str, args: Positional, kwargs: Keywords) -> int | None:
    """Return the axis of a selection."""
    position = 2 if name in ("topk", "kthvalue") else 1
    default = None if name in ("cummax", "cummin") else -1
    axis = kwargs.get("dim", args[position] if len(args) > position else default)
    return axis if isinstance(axis, int) and not isinstance(axis, bool) else default
