"""Writes settings and targets as plain values and as words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import encoded, setting_text
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.files import Json
from pnpxai.targets import TargetValue
from pnpxai.tensors import own

__all__ = ["described", "largest", "numbered_examples", "of_target", "plain_target", "short", "written"]


def described(explainer: Declared) -> dict[str, object]:
    """Return an explainer's settings as JSON values, without those that are None. Other objects are given by name."""
    return {n: _described(value, n, explainer) for n, value in explainer.settings().items() if value is not None}


def _described(value: object, name: str, owner: Declared) -> Json:
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return [_described(member, name, owner) for member in value]
    try:
        return encoded(value, name, owner)
    except ArgumentError:
        return setting_text(value, owner)


def plain_target(target: object) -> Any:
    """Return a copy of a target that no later change reaches: an own tensor, or plain whole numbers."""
    if isinstance(target, Tensor):
        return own(target)
    if isinstance(target, (tuple, list)):
        return type(target)(plain_target(member) for member in target)
    if hasattr(target, "__array__") and getattr(target, "shape", ()):
        return torch.tensor(target)
    return int(target) if isinstance(target, SupportsIndex) else target


def largest(values: Tensor) -> str:
    """Return the largest absolute value."""
    return f"{float(values.abs().max()):.2g}"


def numbered_examples(chosen: Tensor) -> str:
    """Return the examples for which a tensor (examples,) is true: "example 3", "examples 0, 2, 5 and 12 more"."""
    numbers = chosen.nonzero().flatten().tolist()
    first = ", ".join(map(str, numbers[:6]))
    more = f" and {len(numbers) - 6} more" if len(numbers) > 6 else ""
    return f"example{'s' if len(numbers) > 1 else ''} {first}{more}"


def of_target(targets: Target, classes: Sequence[str] = ()) -> str:
    """Return the words for the target of one example in a title: the class's name where it has one."""
    if isinstance(targets, Tensor):
        targets = targets.flatten().tolist()
    if isinstance(targets, list) and len(targets) == 1:
        targets = targets[0]
    if isinstance(targets, int) and 0 <= targets < len(classes):
        return f"{classes[targets]}  "
    if isinstance(targets, TargetValue):
        return f"{targets.caption(classes)}  "
    return "" if targets is None or callable(targets) else f"target {targets}  "


def short(value: object) -> str:
    """Return the first numbers of a tensor or list as text."""
    if isinstance(value, Tensor):
        numbers = value.flatten()[:6].tolist()
        text = ", ".join(f"{n:.3g}" if isinstance(n, float) else str(n) for n in numbers)
        return text + (", ..." if value.numel() > 6 else "")
    if isinstance(value, list) and len(value) > 6:
        return f"[{', '.join(map(str, value[:6]))}, ...]"
    return getattr(value, "__qualname__", None) or str(value)


def written(value: object) -> str:
    """Return a setting that is a JSON value in the way it is written in Python."""
    if isinstance(value, dict) and "type" in value:
        arguments = ", ".join(
            f"{name}={written(member)}" for name, member in value.items() if name != "type" and member is not None
        )
        return f"{value['type'].split(':')[-1]}({arguments})"
    if isinstance(value, dict) and "tensor" in value:
        return setting_text(torch.tensor(value["tensor"]), None)
    if isinstance(value, dict):
        return repr(next(iter(value.values()), ""))
    return f"[{', '.join(map(written, value))}]" if isinstance(value, list) else repr(value)
