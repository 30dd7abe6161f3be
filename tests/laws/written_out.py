"""Attention, norms and recurrent cells as elementary operations in plain torch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "WRITTEN_OUT", "returned", "unrolled", "value_of"]

ACTIVATIONS = frozenset({"relu", "relu6", "hardtanh", "gelu", "silu", "tanh", "sigmoid", "pow"})
"""Functions of one number, by name."""


def softmax(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
    """Return ``F.softmax``."""
    powers = x.exp()
    return powers * powers.sum(dim, keepdim=True).reciprocal()


def layer_norm(x: Tensor, shape: Any, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Return ``F.layer_norm``."""
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt() * weight + bias


def attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """Return ``F.scaled_dot_product_attention``."""
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    logits = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril() if is_causal else attn_mask
    if mask is not None:
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    return F.softmax(logits, -1) @ v


def multi_head(*given: Any, **kwargs: Any) -> tuple[Tensor, None]:
    """Return ``F.multi_head_attention_forward`` of a sequence with itself, without a mask and without the weights."""
    query, _, _, width, heads, weight, bias = given[:7]
    parts = F.linear(query, weight, bias).chunk(3, -1)  # (tokens, examples, width) each
    q, k, v = (p.unflatten(-1, (heads, width // heads)).permute(1, 2, 0, 3) for p in parts)
    found = F.scaled_dot_product_attention(q, k, v)
    return F.linear(found.permute(2, 0, 1, 3).flatten(2), given[11], given[12]), None


def cosine_similarity(x: Tensor, y: Tensor, dim: int = 1, *_: Any) -> Tensor:
    """Return ``F.cosine_similarity`` of vectors that are not zero."""
    units = [v * v.square().sum(dim, keepdim=True).rsqrt() for v in (x, y)]
    return (units[0] * units[1]).sum(dim)


WRITTEN_OUT: dict[Any, Callable[..., Any]] = {
    F.softmax: softmax,
    F.layer_norm: layer_norm,
    F.cosine_similarity: cosine_similarity,
    F.scaled_dot_product_attention: attention,
    F.multi_head_attention_forward: multi_head,
}
"""What stands for torch's own functions."""


@contextlib.contextmanager
def unrolled(model: nn.Module, gate: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let an LSTM or GRU run as elementary operations, with something done to its gates."""

    def run(module: nn.Module, args: Any, output: Any) -> Any:
        return _states(module, args[0], gate), None

    handles = [m.register_forward_hook(run) for m in model.modules() if isinstance(m, nn.RNNBase)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def value_of(func: Callable[..., Any], x: Tensor, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Return what a function gives, without a graph and never in place."""
    with torch.no_grad():
        return func(x.clone(), *args, **{name: value for name, value in kwargs.items() if name != "inplace"})


def returned(func: Callable[..., Any], x: Tensor, kwargs: dict[str, Any], result: Tensor) -> Tensor:
    """Return the result of a function, written into its input if that is what it does."""
    return x.copy_(result) if func in (torch.relu_, Tensor.relu_) or kwargs.get("inplace") else result


_State = tuple[Tensor, Tensor]


def _states(cells: Any, x: Tensor, gate: Callable[[Tensor], Tensor]) -> Tensor:
    """Return (examples, steps, width)."""
    step = _lstm if isinstance(cells, nn.LSTM) else _gru
    for layer in range(cells.num_layers):
        found = []
        for end in ("", "_reverse")[: 1 + cells.bidirectional]:
            wx, wh, bx, bh = (
                getattr(cells, f"{kind}_l{layer}{end}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            state = x.new_zeros(len(x), cells.hidden_size), x.new_zeros(len(x), cells.hidden_size)
            states = []
            for entry in reversed(x.unbind(1)) if end else x.unbind(1):
                state = step(F.linear(entry, wx, bx), F.linear(state[0], wh, bh), state, gate)
                states.append(state[0])
            found.append(torch.stack(states[::-1] if end else states, 1))
        x = torch.cat(found, -1)
    return x


def _lstm(x: Tensor, h: Tensor, state: _State, gate: Callable[[Tensor], Tensor]) -> _State:
    i, f, g, o = (x + h).chunk(4, -1)
    c = gate(f.sigmoid()) * state[1] + gate(i.sigmoid()) * g.tanh()
    return gate(o.sigmoid()) * c.tanh(), c


def _gru(x: Tensor, h: Tensor, state: _State, gate: Callable[[Tensor], Tensor]) -> _State:
    (rx, zx, nx), (rh, zh, nh) = x.chunk(3, -1), h.chunk(3, -1)
    r, z = gate((rx + rh).sigmoid()), gate((zx + zh).sigmoid())
    n = (nx + r * nh).tanh()
    new = (1 - z) * n + z * state[0]
    return new, new
