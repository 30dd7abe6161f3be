"""Attention, recurrent cells and norms in elementary operations, so that rules on operations reach their inside."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["DECOMPOSED", "Gate", "decomposed"]

Gate: TypeAlias = Callable[[Callable[[], Tensor]], Tensor]
"""Computes what scales a signal (a cell's gates, a norm's scale): a rule may choose to take it for a constant."""


def decomposed(name: str, function: Callable[..., Any], gate: Gate, *args: Any, **kwargs: Any) -> Any:
    """Run an operation of ``DECOMPOSED`` as elementary operations.

    Args:
        name: the operation's name.
        function: the operation, whose signature tells positional arguments apart.
        gate: what is done with gates.
        *args: its positional arguments.
        **kwargs: its keyword arguments.
    """
    return DECOMPOSED[name](gate, function, *args, **kwargs)


def _attention(
    gate: Gate,
    function: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scores = torch.matmul(query, key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~allowed, float("-inf"))
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, float("-inf")) if masked else scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value)


def _multi_head(gate: Gate, function: Any, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    given = inspect.signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    a = given.arguments
    batched = a["query"].dim() == 3
    # (length, batch, width) -> (batch, length, width)
    query, key, value = ((a[n] if batched else a[n].unsqueeze(1)).transpose(0, 1) for n in ("query", "key", "value"))
    heads = a["num_heads"]
    if a["use_separate_proj_weight"]:
        weights = a["q_proj_weight"], a["k_proj_weight"], a["v_proj_weight"]
    else:
        weights = a["in_proj_weight"].chunk(3)
    biases = (None,) * 3 if a["in_proj_bias"] is None else a["in_proj_bias"].chunk(3)
    parts = [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]
    bias_rows = (a["bias_k"], a["bias_v"])
    for k, row in enumerate(bias_rows, start=1):
        if row is not None:
            parts[k] = torch.cat([parts[k], row.expand(parts[k].shape[0], 1, row.shape[-1])], 1)
    # -> (batch, heads, length, width / heads)
    q, k, v = (p.reshape(*p.shape[:2], heads, -1).transpose(1, 2) for p in parts)
    if a["add_zero_attn"]:
        k, v = (torch.cat([p, p.new_zeros(*p.shape[:2], 1, p.shape[3])], 2) for p in (k, v))
    scores = torch.matmul(q, k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]))
    mask = _mask(a, scores)
    if mask is not None:
        scores = scores + mask
    weights_of_heads = torch.softmax(scores, -1)
    joined = torch.matmul(weights_of_heads, v).transpose(1, 2).flatten(2)
    result = F.linear(joined, a["out_proj_weight"], a["out_proj_bias"]).transpose(0, 1)
    shown = None
    if a["need_weights"]:
        shown = weights_of_heads.mean(1) if a["average_attn_weights"] else weights_of_heads
        shown = shown if batched else shown.squeeze(0)
    return (result if batched else result.squeeze(1)), shown


def _mask(a: dict[str, Any], scores: Tensor) -> Tensor | None:
    """Return what is added to the scores: zero where a key may be looked at, minus infinity elsewhere."""

    def additive(mask: Tensor) -> Tensor:
        if mask.dtype != torch.bool:
            return mask
        return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(mask, float("-inf"))

    batch, heads, _, keys = scores.shape
    total = None
    if a["attn_mask"] is not None:
        mask = additive(a["attn_mask"])
        total = mask.reshape(batch, heads, *mask.shape[1:]) if mask.dim() == 3 else mask
    if a["key_padding_mask"] is not None:
        padding = additive(a["key_padding_mask"]).reshape(-1, 1, 1, a["key_padding_mask"].shape[-1])
        total = padding if total is None else total + padding
    if total is not None and total.shape[-1] < keys:  # rows of biases or zeros were added to the keys
        total = F.pad(total, (0, keys - total.shape[-1]))
    return total


def _lstm_step(gate: Gate, x: Tensor, state: tuple[Tensor, ...], w: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    hidden, cell = state[0], state[1]
    i, f, g, o = (F.linear(x, _of(w[0]), w[2]) + F.linear(hidden, _of(w[1]), w[3])).chunk(4, -1)
    cell = gate(lambda: torch.sigmoid(f)) * cell + gate(lambda: torch.sigmoid(i)) * torch.tanh(g)
    hidden = gate(lambda: torch.sigmoid(o)) * torch.tanh(cell)
    if len(w) > 4 and w[4] is not None:
        hidden = F.linear(hidden, w[4])
    return hidden, cell


def _gru_step(gate: Gate, x: Tensor, state: tuple[Tensor, ...], w: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    (hidden,) = state
    r_x, z_x, n_x = F.linear(x, _of(w[0]), w[2]).chunk(3, -1)
    r_h, z_h, n_h = F.linear(hidden, _of(w[1]), w[3]).chunk(3, -1)
    reset, update = gate(lambda: torch.sigmoid(r_x + r_h)), gate(lambda: torch.sigmoid(z_x + z_h))
    new = torch.tanh(n_x + reset * n_h)
    return ((1 - update) * new + update * hidden,)


def _rnn_step(activation: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    def step(gate: Gate, x: Tensor, state: tuple[Tensor, ...], w: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        return (activation(F.linear(x, _of(w[0]), w[2]) + F.linear(state[0], _of(w[1]), w[3])),)

    return step


def _of(weight: Tensor | None) -> Tensor:
    assert weight is not None  # noqa: S101
    return weight


def _recurrent(step: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """Return a network of layers and directions made of one cell; packed sequences included."""

    def run(gate: Gate, function: Any, *args: Any) -> tuple[Tensor, ...]:
        packed = isinstance(args[1], Tensor) and args[1].dtype == torch.int64 and not args[1].is_floating_point()
        if packed:
            data, sizes, start, weights, has_biases, layers, _, _, both = args
            batch_first = False
            steps = list(data.split(sizes.tolist()))
        else:
            data, start, weights, has_biases, layers, _, _, both, batch_first = args
            steps = list(data.unbind(1 if batch_first else 0))
        states = start if isinstance(start, (tuple, list)) else (start,)
        each = len(weights) // (layers * (2 if both else 1))
        last: list[tuple[Tensor, ...]] = []
        for layer in range(layers):
            outputs = []
            for direction in range(2 if both else 1):
                k = layer * (2 if both else 1) + direction
                w = _cell_weights(weights[k * each : (k + 1) * each], has_biases)
                first = tuple(s[k] for s in states)
                found, end = _unrolled(gate, step, steps, first, w, backwards=direction == 1)
                outputs.append(found)
                last.append(end)
            steps = [torch.cat(sides, -1) if len(sides) != 1 else sides[0] for sides in zip(*outputs, strict=True)]
        result = torch.cat(steps) if packed else torch.stack(steps, 1 if batch_first else 0)
        return (result, *(torch.stack(members) for members in zip(*last, strict=True)))

    return run


def _cell_weights(weights: Sequence[Tensor], has_biases: bool) -> list[Tensor | None]:
    """Return input weight, hidden weight, their biases (or None), and a projection if there is one."""
    if has_biases:
        return list(weights)
    return [weights[0], weights[1], None, None, *weights[2:]]


def _unrolled(
    gate: Gate,
    step: Callable[..., tuple[Tensor, ...]],
    steps: Sequence[Tensor],
    first: tuple[Tensor, ...],
    weights: Sequence[Tensor | None],
    *,
    backwards: bool,
) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Run a cell over the steps; of a packed batch, the sequences that are still (or already) running come first."""
    order = range(len(steps) - 1, -1, -1) if backwards else range(len(steps))
    outputs: list[Tensor | None] = [None] * len(steps)
    running: tuple[Tensor, ...] | None = None
    ended: list[tuple[Tensor, ...]] = []
    for t in order:
        size = steps[t].shape[0]
        if running is None:
            running = tuple(s[:size] for s in first)
        elif size < running[0].shape[0]:  # shorter sequences end here
            ended.append(tuple(s[size:] for s in running))
            running = tuple(s[:size] for s in running)
        elif size > running[0].shape[0]:  # seen from the end, they begin here
            begun = running[0].shape[0]
            running = tuple(torch.cat([s, f[begun:size]]) for s, f in zip(running, first, strict=True))
        running = step(gate, steps[t], running, weights)
        outputs[t] = running[0]
    assert running is not None  # noqa: S101
    parts = [running, *reversed(ended)]
    end = running if not ended else tuple(torch.cat(members) for members in zip(*parts, strict=True))
    return [o for o in outputs if o is not None], end


def _cell(step: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Any]:
    def run(gate: Gate, function: Any, x: Tensor, state: Any, *weights: Tensor | None) -> Any:
        states = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        result = step(gate, x, states, list(weights) + [None] * (4 - len(weights)))
        return result if len(result) != 1 else result[0]

    return run


def _layer_norm(
    gate: Gate, function: Any, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_normed(gate, x - x.mean(axes, keepdim=True), axes, eps), weight, bias)


def _rms_norm(
    gate: Gate, function: Any, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_normed(gate, x, axes, torch.finfo(x.dtype).eps if eps is None else eps), weight, None)


def _group_norm(
    gate: Gate, function: Any, x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    groups = x.reshape(x.shape[0], num_groups, -1)
    normed = _normed(gate, groups - groups.mean(-1, keepdim=True), (-1,), eps).reshape(x.shape)
    shape = (1, -1, *[1] * (x.dim() - 2))
    return _affine(normed, *(None if p is None else p.reshape(shape) for p in (weight, bias)))


def _instance_norm(
    gate: Gate, function: Any, x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    if not use_input_stats:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _group_norm(gate, function, x, x.shape[1], weight, bias, eps)


def _normed(gate: Gate, centred: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    return centred * gate(lambda: torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps))


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


DECOMPOSED: dict[str, Callable[..., Any]] = {
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
    "lstm": _recurrent(_lstm_step),
    "gru": _recurrent(_gru_step),
    "rnn_tanh": _recurrent(_rnn_step(torch.tanh)),
    "rnn_relu": _recurrent(_rnn_step(torch.relu)),
    "lstm_cell": _cell(_lstm_step),
    "gru_cell": _cell(_gru_step),
    "rnn_tanh_cell": _cell(_rnn_step(torch.tanh)),
    "rnn_relu_cell": _cell(_rnn_step(torch.relu)),
}
"""Compound operations by name."""
