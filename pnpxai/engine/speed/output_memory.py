"""Remembers a model's outputs by content, so that several targets of the same perturbed inputs run them once."""

from __future__ import annotations

import torch
from torch import nn

from pnpxai.engine.running.keys import content_key
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import flat, map_tensors

__all__ = ["OutputMemory"]


class OutputMemory(nn.Module):
    """The model, with the outputs that it gave without gradients.

    Args:
        model: the model.
        most: how many passes are remembered, the first ones.
    """

    def __init__(self, model: nn.Module, most: int = 256) -> None:
        super().__init__()
        self.model = model
        self._memory = _Memory(most)  # no attribute of the module's own, which are given back as they were

    def forward(self, *args: object, **kwargs: object) -> ModelOutput:
        """Return the model's output."""
        if torch.is_grad_enabled():
            return self.model(*args, **kwargs)
        key = content_key(*flat((args, kwargs)))
        known = self._memory.outputs.get(key)
        output = self.model(*args, **kwargs) if known is None else known
        if len(self._memory.outputs) < self._memory.most:
            self._memory.outputs[key] = output
        return map_tensors(torch.clone, output)


class _Memory:
    """Outputs by the content of what gave them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.outputs: dict[str, ModelOutput] = {}
