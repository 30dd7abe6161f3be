"""A frame, ids, and small models with keyword arguments and mappings as output, as people have them."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn

TABLE = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1, 5, 3], "c": [0.5, 0.25, 1.0]})
IDS = torch.tensor([[5, 6, 7, 0], [6, 3, 3, 3], [1, 2, 3, 4]])


class Reader(nn.Module):
    """A classifier of ids with a mask by keyword, whose output is a mapping, as those of transformers are."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, input_ids, attention_mask=None):
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        tokens = self.embedding(input_ids) * seen[..., None]
        return {"loss": torch.zeros(()), "logits": self.head(tokens.sum(1) / seen.sum(1, keepdim=True))}


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(x)


class Words:
    """A tokenizer of single letters."""

    mask_token_id, pad_token_id = 8, 0

    def __call__(self, texts, return_tensors, padding, truncation):
        assert (return_tensors, padding, truncation) == ("pt", True, True)
        longest = max(map(len, texts))
        rows = [[ord(letter) - 96 for letter in text] + [0] * (longest - len(text)) for text in texts]
        ids = torch.tensor(rows)
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}

    def convert_ids_to_tokens(self, ids):
        return [chr(96 + k) if k else "[PAD]" for k in ids]
