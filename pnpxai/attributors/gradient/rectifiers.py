"""Finds the ReLUs of a model by what operations compute: named ones, and those written by hand.

``max(x, 0)`` has many spellings: ``relu(x)``, ``x.clamp(min=0)``, ``torch.maximum(x, zeros)``, ``x * (x > 0)``,
``torch.where(x > 0, x, 0)``, ``x.masked_fill(x < 0, 0)``, ``x[x < 0] = 0``. Conditions are followed from the comparison
that makes them to the operation that uses them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.engine.seeing.operations import Operation, in_place, operation_name
from pnpxai.model_types import Keywords, ModelInputs, ModelOutput, Positional

__all__ = ["Rectifiers"]

_COMPARED = {"gt": True, "ge": True, "greater": True, "lt": False, "le": False, "less": False}
"""Comparisons with zero: True where the result is true for a positive operand, False where it is true for others."""
_UNCHANGED = {"float", "double", "half", "bfloat16", "to", "type", "type_as", "bool", "clone", "detach", "contiguous"}
"""Operations whose result is the same condition as their operand."""
_NEGATED = {"invert", "logical_not", "bitwise_not"}
"""Operations whose result is the opposite condition of their operand."""


@dataclass(frozen=True)
class _Condition:
    """Records a tensor that is true where an operand is positive, or with ``positive=False`` where it is not."""

    result: Tensor  # held, so that no other tensor gets its place in memory and is taken for it
    operand: Tensor
    positive: bool


class Rectifiers:
    """Is a rule for ``Operations`` that puts another function in the place of every ReLU.

    Attributes:
        count: number of ReLUs that ran.
    """

    def __init__(self, replacement: Callable[[Tensor], Tensor]) -> None:
        """Take the function that is called with a ReLU's operand."""
        self.count = 0
        self._replacement = replacement
        self._conditions: list[_Condition] = []

    def forget(self) -> None:
        """Forget the conditions of a pass that has ended."""
        self._conditions.clear()

    def __call__(self, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        """Return the operation's result, or for a ReLU the result of the replacement."""
        name = operation_name(function)
        operand = self._rectified(name, args, kwargs)
        if operand is not None and operand.requires_grad and torch.is_grad_enabled():
            self.count += 1
            # ``x[x < 0] = 0`` writes into its operand, as operations in place do
            if name == "setitem" or in_place(function, kwargs) or (name == "relu" and args[1:2] == (True,)):
                return operand.copy_(self._replacement(operand.clone()))
            return self._replacement(operand)
        result = function(*args, **kwargs)
        self._follow(name, args, kwargs, result)
        return result

    def _rectified(self, name: str, args: Positional, kwargs: Keywords) -> Tensor | None:
        """Return the operand if the operation is a ReLU, else None."""
        first = args[0] if args else kwargs.get("input")
        second = args[1] if len(args) > 1 else None
        if name == "relu":
            return first if isinstance(first, Tensor) else None
        if name in ("clamp", "clip"):
            low, high = kwargs.get("min", second), kwargs.get("max", args[2] if len(args) > 2 else None)
            return first if _is_zero(low) and high is None else None
        if name == "clamp_min":
            return first if _is_zero(kwargs.get("min", second)) else None
        if name == "threshold":
            limit, value = kwargs.get("threshold", second), kwargs.get("value", args[2] if len(args) > 2 else None)
            return first if _is_zero(limit) and _is_zero(value) else None
        if name == "hardtanh":
            low, high = kwargs.get("min_val", second), kwargs.get("max_val", args[2] if len(args) > 2 else None)
            return first if _is_zero(low) and high == math.inf else None
        if name in ("maximum", "max", "fmax"):
            other = kwargs.get("other", second)
            if isinstance(first, Tensor) and isinstance(other, Tensor):
                return first if _is_zero(other) else other if _is_zero(first) else None
            return None
        return self._conditioned(name, args, kwargs, first, second)

    def _conditioned(
        self, name: str, args: Positional, kwargs: Keywords, first: ModelInputs, second: ModelInputs
    ) -> Tensor | None:
        """Return the operand if the operation is a ReLU by means of a condition, such as ``x * (x > 0)``, else None."""
        third = args[2] if len(args) > 2 else None
        if name in ("mul", "multiply"):
            other = kwargs.get("other", second)
            return first if self._holds(other, first, True) else other if self._holds(first, other, True) else None
        if name == "where":
            condition, yes, no = kwargs.get("condition", first), kwargs.get("input", second), kwargs.get("other", third)
            if _is_zero(no) and self._holds(condition, yes, True):
                return yes
            return no if _is_zero(yes) and self._holds(condition, no, False) else None
        if name == "masked_fill":
            condition, value = kwargs.get("mask", second), kwargs.get("value", third)
            return first if _is_zero(value) and self._holds(condition, first, False) else None
        if name == "index_put":
            index = second[0] if isinstance(second, (tuple, list)) and len(second) == 1 else None
            return first if _is_zero(third) and self._holds(index, first, False) else None
        if name == "setitem":
            return first if _is_zero(third) and self._holds(second, first, False) else None
        return None

    def _holds(self, condition: object, operand: object, positive: bool) -> bool:
        """Return whether a tensor is the condition that an operand is positive (or with False, that it is not)."""
        return isinstance(operand, Tensor) and any(
            known.result is condition and known.operand is operand and known.positive == positive
            for known in self._conditions
        )

    def _follow(self, name: str, args: Positional, kwargs: Keywords, result: ModelOutput) -> None:
        """Record the condition that an operation makes, or makes out of another condition."""
        first = args[0] if args else None
        if not isinstance(result, Tensor) or not isinstance(first, Tensor):
            return
        if name in _COMPARED:
            other = args[1] if len(args) > 1 else kwargs.get("other")
            if _is_zero(other):
                self._conditions.append(_Condition(result, first, _COMPARED[name]))
            elif isinstance(other, Tensor) and _is_zero(first):  # 0 > x
                self._conditions.append(_Condition(result, other, not _COMPARED[name]))
        elif name in _UNCHANGED or name in _NEGATED:
            for known in [known for known in self._conditions if known.result is first]:
                self._conditions.append(_Condition(result, known.operand, known.positive != (name in _NEGATED)))


def _is_zero(value: object) -> bool:
    """Return whether a value is a constant that is zero everywhere."""
    if isinstance(value, Tensor):
        return not value.requires_grad and value.numel() > 0 and not bool(value.any())
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0
