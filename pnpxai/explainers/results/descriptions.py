"""Settings and targets as plain values, and as words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import encoded, shown
from pnpxai.errors import ArgumentError
from pnpxai.targets import TargetValue
from pnpxai.tensors import Tensors, own

__all__ = ["described", "largest", "missed", "of_gap", "of_target", "plain_target", "short", "written"]


_GAP = 0.1
"""From this share on, a gap is warned of."""


def described(explainer: Declared) -> dict[str, Any]:
    """Return an explainer's settings as JSON has them, without those that are None; what it cannot have by a name."""
    return {n: _described(value, n, explainer) for n, value in explainer.settings().items() if value is not None}


def _described(value: Any, name: str, owner: Declared) -> Any:
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return [_described(member, name, owner) for member in value]
    try:
        return encoded(value, name, owner)
    except ArgumentError:
        return shown(value, owner)


def plain_target(target: Any) -> Any:
    """Return a target as a value of its own: a tensor that nobody else holds, or plain whole numbers."""
    if isinstance(target, Tensor):
        return own(target)
    if isinstance(target, (tuple, list)):
        return type(target)(plain_target(member) for member in target)
    if hasattr(target, "__array__") and getattr(target, "shape", ()):
        return torch.tensor(target)
    return int(target) if hasattr(target, "__index__") else target


def largest(values: Tensor) -> str:
    """Return the largest absolute value."""
    return f"{float(values.abs().max()):.2g}"


def missed(gap: Tensor, attributions: Tensors) -> Tensor:
    """Return (examples,) the gap as a share of what attributions should add up to; 0 where it is mere rounding."""
    parts = [a.reshape(len(gap), -1) for a in attributions]
    total, size = sum(a.sum(1) for a in parts), sum(a.abs().sum(1) for a in parts)
    due = torch.maximum(torch.as_tensor(total).abs(), (total - gap).abs())
    return torch.where(gap.abs() > 1e-3 * size, gap.abs() / due, torch.zeros_like(gap))


def of_gap(gap: Tensor, attributions: Tensors, remedy: str) -> tuple[str, ...]:
    """Return what to warn of: attributions that cannot be read as shares of a score, and how to mend it."""
    if not bool((missed(gap, attributions) > _GAP).any()):
        return ()
    return (f"gap: some examples' attributions miss what they should add up to by more than {_GAP:.0%}{remedy}",)


def of_target(targets: Any, classes: Sequence[str] = ()) -> str:
    """Return a title's words on the target of one example, which may have a name."""
    if isinstance(targets, Tensor):
        targets = targets.flatten().tolist()
    if isinstance(targets, list) and len(targets) == 1:
        targets = targets[0]
    if isinstance(targets, int) and 0 <= targets < len(classes):
        return f"{classes[targets]}  "
    if isinstance(targets, TargetValue):
        return f"target {targets}  "
    return "" if targets is None or callable(targets) else f"target {targets}  "


def short(value: Any) -> str:
    """Return the first of some numbers."""
    if isinstance(value, Tensor):
        numbers = value.flatten()[:6].tolist()
        shown = ", ".join(f"{n:.3g}" if isinstance(n, float) else str(n) for n in numbers)
        return shown + (", ..." if value.numel() > 6 else "")
    if isinstance(value, list) and len(value) > 6:
        return f"[{', '.join(map(str, value[:6]))}, ...]"
    return getattr(value, "__qualname__", None) or str(value)


def written(value: Any) -> str:
    """Return a setting, as JSON has it, in the way it is written in Python."""
    if isinstance(value, dict) and "type" in value:
        given = ", ".join(
            f"{name}={written(member)}" for name, member in value.items() if name != "type" and member is not None
        )
        return f"{value['type'].split(':')[-1]}({given})"
    if isinstance(value, dict) and "tensor" in value:
        return shown(torch.tensor(value["tensor"]), None)
    if isinstance(value, dict):
        return repr(next(iter(value.values()), ""))
    return f"[{', '.join(map(written, value))}]" if isinstance(value, list) else repr(value)
