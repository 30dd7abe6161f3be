"""A small transformer whose attention is computed in several ways, and noted by itself."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attending", "Block"]

How = Literal["eager", "function", "module", "batched", "einsum"]


class Block(nn.Module):
    """Self-attention and a residual connection, norms and a layer behind it if wanted."""

    def __init__(self, width: int, heads: int, how: How, *, whole: bool = True) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.how, self.heads, self.whole = how, heads, whole
        self.norm = nn.LayerNorm(width) if whole else nn.Identity()
        self.after = nn.Linear(width, width)
        self.map: Tensor | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (examples, tokens, width); ``mask`` (examples, tokens) tells what may be looked at."""
        x = x + self.attend(self.norm(x), mask)
        return x + F.gelu(self.after(x)) if self.whole else x

    def attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        a = self.attention
        if self.how == "module":
            return a(x, x, x, key_padding_mask=None if mask is None else ~mask, need_weights=False)[0]
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in F.linear(x, a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
        )
        allowed = None if mask is None else mask[:, None, None, :]
        if self.how == "function":
            found = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            if allowed is not None:
                scores = scores.masked_fill(~allowed, float("-inf"))
            self.map = scores.softmax(-1)
            weights = F.dropout(self.map, 0.5, self.training)
            if self.how == "batched":
                found = torch.bmm(weights.flatten(0, 1), v.flatten(0, 1)).unflatten(0, (-1, self.heads))
            elif self.how == "einsum":
                found = torch.einsum("bhqk,bhkd->bhqd", weights, v)
            else:
                found = weights @ v
        return a.out_proj(found.transpose(1, 2).flatten(2))


class Attending(nn.Module):
    """Pictures (examples, 1, 6, 9) in patches of 3, a class token, blocks, and a linear layer on what is read."""

    def __init__(
        self,
        how: How = "eager",
        read: Literal["class", "mean", "last"] = "class",
        blocks: int = 3,
        *,
        token: bool = True,
        whole: bool = True,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 3, stride=3)
        self.token = nn.Parameter(torch.randn(1, int(token), 8))
        self.blocks = nn.ModuleList(Block(8, 2, how, whole=whole) for _ in range(blocks))
        self.head = nn.Linear(8, 4)
        self.read = read

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (examples, 4)."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x, mask)
        rows = {"class": x[:, 0], "mean": x.mean(1), "last": x[:, -1]}
        return self.head(rows[self.read])

    def like(self, how: How) -> Attending:
        """Return the same model with another way to compute attention."""
        other = Attending(how, self.read, len(self.blocks), token=self.token.shape[1] > 0, whole=self.blocks[0].whole)
        other.load_state_dict(self.state_dict())
        return other.eval()
