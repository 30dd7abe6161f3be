"""Defines the target of encoders: the similarity of an example's embedding e with another embedding v."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.errors import ShapeError
from pnpxai.model_types import ModelOutput
from pnpxai.targets.base import TargetValue, output_of

__all__ = ["Similarity"]


def _detached(value: object) -> object:
    tensor = torch.as_tensor(value) if hasattr(value, "__array__") or isinstance(value, (list, tuple)) else value
    return tensor.detach() if isinstance(tensor, Tensor) else value


class Similarity(TargetValue):
    """Explains e v / (|e| |v|) or e v: the similarity with the embedding v of a text, a picture or a query."""

    embedding: Annotated[Tensor, BeforeValidator(_detached)]
    """The embedding v: (width,) for all examples, or (examples, width)."""
    measure: Literal["cosine", "product"] = "cosine"
    """Measure of similarity: "cosine" divides the product by the lengths."""
    pool: Literal["none", "mean", "first"] = "none"
    """Embedding e of an output (examples, tokens, width): the mean of the tokens, or the first (a class token)."""
    output: str | None = None
    """Name of the output that holds the embedding, such as "image_embeds" or "last_hidden_state"."""

    per_example: ClassVar[dict[str, int]] = {"embedding": 1}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the similarities."""
        values = output_of(output, self.output)
        if self.pool != "none":
            values = values.mean(1) if self.pool == "mean" else values[:, 0]
        if values.ndim != 2 or values.shape[1] != self.embedding.shape[-1]:
            raise ShapeError(
                f"target: Similarity: expected embeddings (examples, {self.embedding.shape[-1]}), got "
                f"{tuple(values.shape)}; pool='mean' or 'first' makes one of several tokens"
            )
        other = self.embedding.to(values).reshape(-1, values.shape[1]).expand_as(values)
        if self.measure == "cosine":
            return torch.nn.functional.cosine_similarity(values, other, dim=1)
        return (values * other).sum(1)
