"""The language model inside what a user gives."""

from __future__ import annotations

from typing import Any, TypeAlias

from pnpxai.engine.running.guard import adapted_module
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
    module = adapted_module(model)
    if module is None or not callable(getattr(module, "get_input_embeddings", None)):
        raise ArgumentError(
            f"model: expected a language model in the form of transformers (a torch.nn.Module that has "
            f"get_input_embeddings and returns logits), got {type(model).__name__}"
        )
    return module
