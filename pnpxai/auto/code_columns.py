"""Tells columns of category codes from texts by running the model: which embedding reads which ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.model_types import Model, Positional

__all__ = ["read_by_column"]


def read_by_column(model: Model, arguments: Arguments) -> list[int]:
    """Return the explained arguments (examples, columns) of ids whose columns the model reads as separate features.

    A text is read by one embedding, whole or step by step. Codes are read by an embedding for each column, or by one
    after each column was shifted to a range of its own.

    Args:
        model: the model.
        arguments: a batch of its arguments.
    """
    tables = [k for k, x in enumerate(arguments.explained) if x.ndim == 2 and not x.is_floating_point()]
    module = module_of(model)
    if not tables or module is None:
        return []
    reads: list[tuple[nn.Module, Tensor]] = []

    def note(embedding: nn.Module, inputs: Positional) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            reads.append((embedding, inputs[0].detach()))

    embeddings = [m for m in module.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    call = arguments.call()
    with borrowed(model, gradients=False):
        hooks = [embedding.register_forward_pre_hook(note) for embedding in embeddings]
        try:
            model(*call.args, **call.kwargs)
        finally:
            for hook in hooks:
                hook.remove()
    return [
        k for k in tables if _by_embeddings(arguments.explained[k], reads) or _shifted(arguments.explained[k], reads)
    ]


def _by_embeddings(ids: Tensor, reads: list[tuple[nn.Module, Tensor]]) -> bool:
    """Return whether columns are read one by one, each by an embedding of its own."""
    columns = [(module, read.reshape(-1)) for module, read in reads if read.numel() == len(ids)]
    readers = {id(module) for module, read in columns for column in ids.T if torch.equal(read, column.to(read.dtype))}
    return len(readers) >= min(2, ids.shape[1])


def _shifted(ids: Tensor, reads: list[tuple[nn.Module, Tensor]]) -> bool:
    """Return whether all columns are read together after each was shifted by a number of its own."""
    for _, read in reads:
        if read.shape == ids.shape and not read.is_floating_point():
            shift = read - ids
            if bool((shift == shift[0]).all()) and len(shift[0].unique()) > 1:
                return True
    return False
