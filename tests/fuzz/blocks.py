"""What generated networks are made of: each block keeps the shape of what it is given, up to its number of channels.

Blocks on maps take (examples, channels, *positions) with one or two axes of positions; those on sequences take
(examples, steps, width).
"""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

from tests.small import Rectified

__all__ = ["ACTIVATIONS", "MAPS", "SEQUENCES", "TABLES", "Does"]


class Does(nn.Module):
    """A module that does what a function says with its parts.

    Args:
        does: a function of (this module, x).
        **parts: its submodules.
    """

    def __init__(self, does: Callable[..., Tensor], name: str, **parts: nn.Module) -> None:
        super().__init__()
        self.does, self.name = does, name
        for part, module in parts.items():
            setattr(self, part, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.does(self, x)

    def extra_repr(self) -> str:
        return self.name


class Doubled(torch.autograd.Function):
    """A linear function that autograd alone sees into."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    nn.ReLU, lambda: nn.ReLU(inplace=True), nn.GELU, lambda: nn.GELU("tanh"), nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU,
    lambda: nn.LeakyReLU(0.1), nn.Hardswish, nn.Softplus, nn.Mish, nn.PReLU, nn.SELU, nn.Softsign, nn.ReLU6,
    lambda: Does(lambda m, x: F.relu(x), "functional relu"),
    lambda: Does(lambda m, x: torch.where(x > 0, x, 0.2 * x), "where"),
    lambda: Does(lambda m, x: x.abs(), "abs"),
    lambda: Does(lambda m, x: x.clamp(-1, 1), "clamp"),
    lambda: Does(lambda m, x: x * torch.sigmoid(x), "own silu"),
    lambda: Does(lambda m, x: Rectified.apply(x), "autograd function"),
    lambda: Does(lambda m, x: x + x.square() / 4, "square"),
    lambda: Does(lambda m, x: torch.maximum(x, x / 3), "maximum"),
)  # fmt: skip


def activation(draw: random.Random) -> nn.Module:
    return draw.choice(ACTIVATIONS)()


def convolution(draw: random.Random, axes: int, given: int, wanted: int, **more) -> nn.Module:
    """Return a convolution of a random kind that keeps positions."""
    kind = (nn.Conv1d, nn.Conv2d)[axes - 1]
    size = draw.choice((1, 3, 5))
    dilation = draw.choice((1, 1, 2))
    mode = draw.choice(("zeros", "zeros", "circular", "reflect", "replicate"))
    groups = draw.choice([g for g in (1, 1, 2, given) if given % g == 0 and wanted % g == 0])
    padding = draw.choice(("same", size // 2 * dilation))
    made = kind(
        given, wanted, size, padding=padding, dilation=dilation, groups=groups, padding_mode=mode,
        bias=draw.random() < 0.7, **more,
    )  # fmt: skip
    how = draw.choice((None, None, None, weight_norm, spectral_norm, orthogonal))
    return made if how is None else how(made)


def transposed(draw: random.Random, axes: int, channels: int) -> nn.Module:
    kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d)
    return nn.Sequential((nn.AvgPool1d, nn.AvgPool2d)[axes - 1](2), kinds[axes - 1](channels, channels, 2, stride=2))


def norm(draw: random.Random, axes: int, channels: int) -> nn.Module:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)[axes - 1], (nn.InstanceNorm1d, nn.InstanceNorm2d)[axes - 1]

    def over_channels(m: nn.Module, x: Tensor) -> Tensor:
        return m.norm(x.movedim(1, -1)).movedim(-1, 1)

    made = draw.choice(
        (
            lambda: kinds[0](channels), lambda: nn.GroupNorm(2, channels), lambda: kinds[1](channels, affine=True),
            lambda: Does(over_channels, "channels last", norm=nn.LayerNorm(channels)),
            lambda: nn.LocalResponseNorm(2), lambda: Does(lambda m, x: F.normalize(x, dim=1), "unit norm"),
        )
    )  # fmt: skip
    return made()


def residual(draw: random.Random, axes: int, channels: int) -> nn.Module:
    inner = nn.Sequential(convolution(draw, axes, channels, channels), activation(draw))

    def added(m: nn.Module, x: Tensor) -> Tensor:
        out = m.inner(x)
        out += x
        return out

    ways = {
        "added": lambda m, x: x + m.inner(x),
        "added in place": added,
        "checkpointed": lambda m, x: x + checkpoint(m.inner, x, use_reentrant=False),
        "twice": lambda m, x: m.inner(m.inner(x)),
        "gated": lambda m, x: x * torch.sigmoid(m.inner(x)),
        "halves": lambda m, x: torch.cat([m.inner(x)[:, ::2], x[:, 1::2]], 1),
    }
    name = draw.choice(sorted(ways))
    if name in ("twice", "checkpointed"):  # in place would change what is needed again
        inner = nn.Sequential(convolution(draw, axes, channels, channels), draw.choice((nn.Tanh, nn.ReLU, nn.GELU))())
    return Does(ways[name], name, inner=inner)


def rearranged(draw: random.Random, axes: int, channels: int) -> nn.Module:
    def written(m: nn.Module, x: Tensor) -> Tensor:
        x = x.clone()
        x[:, 0] *= 0.5
        x[:, 1] = x[:, 0] + x[:, -1]
        return x

    def unfolded(m: nn.Module, x: Tensor) -> Tensor:
        return F.pad(x, (1, 1)).unfold(-1, 3, 1).mean(-1)

    ways = {
        "rolled": lambda m, x: x.roll(1, -1) + x,
        "flipped": lambda m, x: x.flip(-1) * 0.5 + x,
        "split": lambda m, x: torch.cat(x.split(channels // 2, 1)[::-1], 1),
        "chunked product": lambda m, x: torch.cat([a := x.chunk(2, 1)[0], a * x.chunk(2, 1)[1]], 1),
        "shuffled channels": lambda m, x: x.unflatten(1, (2, channels // 2)).transpose(1, 2).flatten(1, 2),
        "mixed by einsum": lambda m, x: torch.einsum("bc...,dc->bd...", x, m.mix.weight),
        "written in place": written,
        "unfolded": unfolded,
        "doubled": lambda m, x: Doubled.apply(x),
        "stacked": lambda m, x: torch.stack([x, x.tanh()], -1).sum(-1),
        "cumulated": lambda m, x: x.cumsum(-1) / x.shape[-1],
        "largest of two": lambda m, x: torch.stack([x, x.roll(1, 1)]).amax(0),
        "squeezed": lambda m, x: x * torch.sigmoid(m.mix(x.flatten(2).mean(2)))[(..., *[None] * axes)],
    }
    name = draw.choice(sorted(ways))
    return Does(ways[name], name, mix=nn.Linear(channels, channels, bias=False))


def pooled(draw: random.Random, axes: int, channels: int) -> nn.Module:
    maximum, average = (nn.MaxPool1d, nn.MaxPool2d)[axes - 1], (nn.AvgPool1d, nn.AvgPool2d)[axes - 1]

    def shrunk(m: nn.Module, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=0.5, mode=("linear", "bilinear")[axes - 1])

    return draw.choice(
        (
            lambda: maximum(2), lambda: average(2), lambda: maximum(3, stride=1, padding=1),
            lambda: (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[axes - 1](4),
            lambda: (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)[axes - 1](4),
            lambda: (nn.LPPool1d, nn.LPPool2d)[axes - 1](2, 2),
            lambda: Does(shrunk, "shrunk"),
            lambda: nn.Upsample(scale_factor=2, mode="nearest"),
        )
    )()  # fmt: skip


MAPS = (
    lambda draw, axes, channels: convolution(draw, axes, channels, channels),
    lambda draw, axes, channels: convolution(draw, axes, channels, channels),
    transposed, norm, residual, rearranged, pooled, lambda draw, axes, channels: activation(draw),
)  # fmt: skip
"""Blocks on maps: functions of (random numbers, axes of positions, channels)."""


def recurrent(draw: random.Random, width: int) -> nn.Module:
    both = draw.random() < 0.5
    kind = draw.choice((nn.LSTM, nn.GRU, nn.RNN))
    cells = kind(width, width // (2 if both else 1), draw.choice((1, 2)), bidirectional=both, batch_first=True)

    def packed(m: nn.Module, x: Tensor) -> Tensor:
        lengths = torch.full((len(x),), x.shape[1] - 1)
        states, _ = m.cells(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        return pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])[0]

    def stepped(m: nn.Module, x: Tensor) -> Tensor:
        return m.cells(x)[0]

    def with_state(m: nn.Module, x: Tensor) -> Tensor:
        states, last = m.cells(x)
        last = last[0] if isinstance(last, tuple) else last
        return states + last[-1].repeat(1, width // last.shape[-1])[:, None]

    ways = {"packed": packed, "plain": stepped, "with its last state": with_state}
    name = draw.choice(sorted(ways))
    return Does(ways[name], name, cells=cells)


def attention(draw: random.Random, width: int) -> nn.Module:
    heads = 2

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    def fused(m: nn.Module, x: Tensor) -> Tensor:
        q, k, v = m.qkv(x).chunk(3, -1)
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril() if m.causal else None
        out = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
        return x + m.out(out.transpose(1, 2).flatten(2))

    def written_out(m: nn.Module, x: Tensor) -> Tensor:
        q, k, v = m.qkv(x).chunk(3, -1)
        scores = split(q) @ split(k).transpose(-2, -1) / (width // heads) ** 0.5
        if m.causal:
            scores = scores.masked_fill(torch.ones(x.shape[1], x.shape[1]).triu(1).bool(), float("-inf"))
        return x + m.out((scores.softmax(-1) @ split(v)).transpose(1, 2).flatten(2))

    def einsum(m: nn.Module, x: Tensor) -> Tensor:
        q, k, v = m.qkv(x).chunk(3, -1)
        weights = torch.einsum("bqd,bkd->bqk", q, k).div(width**0.5).softmax(-1)
        return x + m.out(torch.einsum("bqk,bkd->bqd", weights, v))

    def multi_head(m: nn.Module, x: Tensor) -> Tensor:
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if m.causal else None
        return x + m.inner(x, x, x, attn_mask=mask, need_weights=False)[0]

    causal = draw.random() < 0.4
    name = draw.choice(("fused", "written out", "einsum", "multi-head", "encoder layer"))
    if name == "encoder layer":
        first, act = draw.random() < 0.5, draw.choice(("relu", "gelu"))
        return nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, act, batch_first=True, norm_first=first)
    ways = {"fused": fused, "written out": written_out, "einsum": einsum, "multi-head": multi_head}
    inner = nn.MultiheadAttention(width, heads, batch_first=True) if name == "multi-head" else nn.Identity()
    made = Does(ways[name], name, qkv=nn.Linear(width, 3 * width), out=nn.Linear(width, width), inner=inner)
    made.causal = causal
    return made


def feed_forward(draw: random.Random, width: int) -> nn.Module:
    inner = nn.Sequential(nn.Linear(width, 2 * width), activation(draw), nn.Linear(2 * width, width))
    ways = {
        "plain": lambda m, x: m.inner(x),
        "added": lambda m, x: x + m.inner(x),
        "gated": lambda m, x: F.glu(torch.cat([m.inner(x), x], -1), -1),
        "tied": lambda m, x: F.linear(torch.tanh(F.linear(x, m.inner[2].weight.t())), m.inner[2].weight),
        "softmax": lambda m, x: m.inner(x).softmax(-1) * x,
        "normed": lambda m, x: m.norm(m.inner(x)),
        "root mean square": lambda m, x: x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5),
        "product": lambda m, x: m.inner(x) * torch.tanh(x),
        "positions mixed": lambda m, x: x + x.flip(1) / 2 if x.ndim > 2 else x + x.flip(-1) / 2,
    }
    name = draw.choice(sorted(ways))
    return Does(ways[name], name, inner=inner, norm=nn.LayerNorm(width))


SEQUENCES = (recurrent, attention, attention, feed_forward)
"""Blocks on sequences: functions of (random numbers, width)."""
TABLES = (feed_forward, lambda draw, width: nn.Linear(width, width), lambda draw, width: activation(draw),
          lambda draw, width: nn.LayerNorm(width), lambda draw, width: nn.BatchNorm1d(width))  # fmt: skip
"""Blocks on rows of a table."""
