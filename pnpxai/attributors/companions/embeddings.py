"""Replaces an embedding layer, so that embeddings can be passed where a model expects ids."""

from __future__ import annotations

from torch import Tensor, nn

from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.model_types import ModelInputs

__all__ = [
    "InterpretableEmbeddingBase",
    "configure_interpretable_embedding_layer",
    "remove_interpretable_embedding_layer",
]


class InterpretableEmbeddingBase(nn.Module):
    """Returns its argument: embeddings that ``indices_to_embeddings`` computed before.

    Explainers and ``LayerIntegratedGradients`` do not need it: they explain ids at the embedding that reads them.
    """

    def __init__(self, embedding: nn.Module, full_name: str) -> None:
        super().__init__()
        self.num_embeddings = getattr(embedding, "num_embeddings", None)
        self.embedding_dim = getattr(embedding, "embedding_dim", None)
        self.embedding = embedding
        self.full_name = full_name

    def forward(self, *inputs: ModelInputs, **kwargs: ModelInputs) -> ModelInputs:
        """Return the only argument.

        Raises:
            ArgumentError: there are several arguments, or none.
        """
        arguments = [*inputs, *kwargs.values()]
        if len(arguments) != 1:
            raise ArgumentError(f"{self.full_name}: expected one argument, the embeddings, got {len(arguments)}")
        return arguments[0]

    def indices_to_embeddings(self, *inputs: object, **kwargs: object) -> Tensor:
        """Return the embeddings of ids."""
        return self.embedding(*inputs, **kwargs)


def configure_interpretable_embedding_layer(
    model: nn.Module, embedding_layer_name: str = "embedding"
) -> InterpretableEmbeddingBase:
    """Replace a model's embedding layer by an ``InterpretableEmbeddingBase``, and return the latter.

    Raises:
        ArgumentError: the model has no such layer, or the layer has been replaced before.
    """
    names = dict(model.named_modules())
    if embedding_layer_name not in names or not embedding_layer_name:
        hint = did_you_mean(embedding_layer_name, names)
        raise ArgumentError(f"embedding_layer_name: the model has no layer {embedding_layer_name!r}{hint}")
    layer = names[embedding_layer_name]
    if isinstance(layer, InterpretableEmbeddingBase):
        raise ArgumentError(f"embedding_layer_name: {embedding_layer_name!r} has a stand-in; remove that first")
    stand_in = InterpretableEmbeddingBase(layer, embedding_layer_name)
    _put(model, embedding_layer_name, stand_in)
    return stand_in


def remove_interpretable_embedding_layer(model: nn.Module, interpretable_emb: InterpretableEmbeddingBase) -> None:
    """Put the embedding layer back."""
    _put(model, interpretable_emb.full_name, interpretable_emb.embedding)


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    owner, _, own = name.rpartition(".")
    setattr(model.get_submodule(owner), own, layer)
