"""Names the types of a user's model, its arguments and its outputs, of which nothing more can be known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = [
    "Attributions",
    "ForwardArgs",
    "Keywords",
    "Layer",
    "Model",
    "ModelInputs",
    "ModelOutput",
    "Positional",
    "Tokenizer",
]

Model: TypeAlias = Callable[..., Any]
"""A user's model: a ``torch.nn.Module``, or a function of tensors."""

ModelInputs: TypeAlias = Any
"""Batch in the form that a user's model takes: a tensor, a tuple of tensors, a mapping of keyword arguments."""

ForwardArgs: TypeAlias = Any
"""Further arguments of a user's model, which are passed on and not explained."""

ModelOutput: TypeAlias = Any
"""Output of a user's model: a tensor, or a tuple, mapping or object that holds tensors."""

Positional: TypeAlias = tuple[Any, ...]
"""Positional arguments of a user's model, of one of its layers or of a torch operation that it runs."""

Keywords: TypeAlias = dict[str, Any]
"""Keyword arguments that are passed on to a user's model or to torch."""

Tokenizer: TypeAlias = Any
"""A user's tokenizer: one of transformers, or what has the same methods as far as they are needed."""

Layer: TypeAlias = Any
"""Layer of a user's model: a ``torch.nn.Module``, the name of one, a place, or a list of these."""

Attributions: TypeAlias = Any
"""Attributions in the form of what they explain: a tensor for a tensor, a tuple for a tuple, a list for several layers.

Which of these it is depends on the call, so that no narrower type serves every caller."""
