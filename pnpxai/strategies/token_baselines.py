"""Defines baselines of text: one id in the place of every token, or a mean embedding."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.baselines import Baseline, refuse_ids
from pnpxai.traits import Traits

__all__ = ["MeanEmbedding", "Pad", "Token"]


class OneToken(Baseline, abstract=True):
    """Puts the same token id everywhere."""

    token_id: Annotated[int, Ge(0)] = 0
    """Id of the token, as the model's tokenizer numbers it."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for token ids."""
        return traits.discrete

    def __call__(self, values: Tensor) -> Tensor:
        """Return the id in the place of every id (examples, tokens)."""
        if values.is_floating_point():
            raise ArgumentError(
                f"{type(self).__name__}: expected token ids, got {values.dtype}; "
                "of embeddings, take baseline_fn='mean_embedding' or 'zeros'"
            )
        return torch.full_like(values, self.token_id)


class Token(OneToken):
    """Puts the mask token everywhere (``tokenizer.mask_token_id``)."""

    name: ClassVar[str] = "token"


class Pad(OneToken):
    """Puts the padding token everywhere (``tokenizer.pad_token_id``). Attention still sees these tokens."""

    name: ClassVar[str] = "pad"


class MeanEmbedding(Baseline):
    """Puts a mean embedding in the place of every token, at an embedding layer (examples, tokens, features)."""

    name: ClassVar[str] = "mean_embedding"
    embeddings: Tensor | None = None
    """Embeddings of the vocabulary (ids, features), whose mean is taken; by default those of each example's tokens."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for embeddings of text."""
        return traits.modality == "text" and not traits.discrete

    def __call__(self, values: Tensor) -> Tensor:
        """Return the mean embedding for every token."""
        refuse_ids(self, values)
        if values.ndim < 2:
            return values.clone()
        if self.embeddings is None:
            return values.mean(1, keepdim=True).expand_as(values).contiguous()
        if self.embeddings.ndim != 2 or self.embeddings.shape[1] != values.shape[-1]:
            raise ShapeError(
                f"MeanEmbedding: embeddings: expected (ids, {values.shape[-1]}), got {tuple(self.embeddings.shape)}"
            )
        mean = self.embeddings.detach().to(torch.float64).mean(0).to(values.device, values.dtype)
        return mean.expand_as(values).contiguous()
