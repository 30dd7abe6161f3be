"""Names the types of a user's model, its arguments and its outputs, of which nothing more can be known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["ForwardArgs", "Keywords", "Model", "ModelInputs", "ModelOutput"]

Model: TypeAlias = Callable[..., Any]
"""A user's model: a ``torch.nn.Module``, or a function of tensors."""

ModelInputs: TypeAlias = Any
"""Batch in the form that a user's model takes: a tensor, a tuple of tensors, a mapping of keyword arguments."""

ForwardArgs: TypeAlias = Any
"""Further arguments of a user's model, which are passed on and not explained."""

ModelOutput: TypeAlias = Any
"""Output of a user's model: a tensor, or a tuple, mapping or object that holds tensors."""

Keywords: TypeAlias = dict[str, Any]
"""Keyword arguments that are passed on to a user's model or to torch."""
