"""The language model inside what a user gives."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import nn

from pnpxai.engine.running.guard import module_of
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model

__all__ = ["LanguageModel", "base_model"]

LanguageModel: TypeAlias = Any
"""A user's language model: a ``torch.nn.Module`` with the methods of those of transformers."""


def base_model(model: Model) -> LanguageModel:
    """Return the language model inside an adapter (peft) or a wrapper.

    Raises:
        ArgumentError: it is no module with embeddings of its input ids.
    """
    module = module_of(model)
    inner = getattr(module, "get_base_model", None)
    module = inner() if callable(inner) else module
    if not isinstance(module, nn.Module) or not callable(getattr(module, "get_input_embeddings", None)):
        raise ArgumentError(
            f"model: expected a language model in the form of transformers (a torch.nn.Module that has "
            f"get_input_embeddings and returns logits), got {type(model).__name__}"
        )
    return module
