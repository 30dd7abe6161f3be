"""Names the types of what a user's model is, takes and returns. Nothing more can be said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["ForwardArgs", "Keywords", "Model", "ModelInputs", "ModelOutput"]

Model: TypeAlias = Callable[..., Any]
"""A user's model: a ``torch.nn.Module``, or a function of tensors."""

ModelInputs: TypeAlias = Any
"""A batch as a user's model takes it: a tensor, a tuple of them, a mapping of keyword arguments."""

ForwardArgs: TypeAlias = Any
"""Further arguments of a user's model, which are passed on and not explained."""

ModelOutput: TypeAlias = Any
"""What a user's model returns: a tensor, or a tuple, mapping or object that holds tensors."""

Keywords: TypeAlias = dict[str, Any]
"""Keyword arguments that are passed on to a user's model or to torch."""
