"""Replaces compound operations by elementary ones, so that rules on operations reach their inside."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pnpxai.engine.seeing.attention import ATTENTION_PARTS
from pnpxai.engine.seeing.cells import CELLS, Gate
from pnpxai.engine.seeing.losses import LOSS_PARTS
from pnpxai.engine.seeing.norms import NORM_PARTS
from pnpxai.engine.seeing.operations import Operation
from pnpxai.engine.seeing.reductions import REDUCTION_PARTS, needs_parts
from pnpxai.errors import RuleError
from pnpxai.model_types import Keywords, ModelOutput, Positional

__all__ = ["DECOMPOSED", "check_same", "decomposed", "is_compound"]


def decomposed(name: str, function: Operation, gate: Gate, *args: object, **kwargs: object) -> ModelOutput:
    """Run an operation of ``DECOMPOSED`` as elementary operations.

    Args:
        name: the operation's name.
        function: the operation, whose signature tells positional arguments apart.
        gate: what is done with gates.
        *args: its positional arguments.
        **kwargs: its keyword arguments.
    """
    return DECOMPOSED[name](gate, function, *args, **_first_by_position(kwargs))


def is_compound(name: str, operands: Sequence[Tensor]) -> bool:
    """Return whether a call is replaced by elementary operations, which depends on the operands that vary."""
    if name in ("abs", "absolute"):
        return any(operand.is_complex() for operand in operands)
    return name in DECOMPOSED and needs_parts(name, len(operands))


def check_same(name: str, whole: ModelOutput, parts: ModelOutput) -> None:
    """Refuse an operation whose elementary form gives another value (RuleError)."""
    for one, other in zip(_members(whole), _members(parts), strict=True):
        if one is None or other is None:
            continue
        size = one.detach().nan_to_num(0, 0, 0).abs().amax() if one.numel() else 0.0
        reach = torch.finfo(one.dtype).eps ** 0.5 * max(1.0, float(size))
        if not torch.allclose(one, other.detach().to(one.dtype), rtol=0, atol=reach, equal_nan=True):
            raise RuleError(f"no rule for {name!r} with these settings")


def _first_by_position(kwargs: Keywords) -> Keywords:
    """Return keyword arguments under the names that the elementary forms use."""
    return {_NAMES.get(name, name): value for name, value in kwargs.items()}


_NAMES = {
    **{"input": "x", "axis": "dim"},
    **dict.fromkeys(("mat1", "batch1", "mat", "vec1", "tensor1"), "one"),
    **dict.fromkeys(("mat2", "batch2", "vec", "vec2", "tensor2"), "other"),
}
"""What the elementary forms call torch's arguments."""


def _complex_size(gate: Gate, function: Operation, x: Tensor) -> Tensor:
    return torch.sqrt(torch.sum(torch.square(torch.view_as_real(x)), -1))


def _members(value: ModelOutput) -> Positional:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


DECOMPOSED: dict[str, Operation] = {**NORM_PARTS, **REDUCTION_PARTS, **LOSS_PARTS, **ATTENTION_PARTS, **CELLS}
DECOMPOSED["abs"] = DECOMPOSED["absolute"] = _complex_size
"""Compound operations by name."""
