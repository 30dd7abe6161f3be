"""Writes recurrent networks and cells in elementary operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.engine.seeing.operations import Operation
from pnpxai.tensors import Tensors

__all__ = ["CELLS", "Gate"]

Gate: TypeAlias = Callable[[Callable[[], Tensor]], Tensor]
"""Function that computes the scale of a signal (a cell's gates, a norm's scale); a rule may hold it constant."""


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
    """Return a network of several layers and directions that runs one kind of cell, also on packed sequences."""

    def run(gate: Gate, function: Operation, *args: Any) -> tuple[Tensor, ...]:
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
                hidden_states, end = _unrolled(gate, step, steps, first, w, backwards=direction == 1)
                outputs.append(hidden_states)
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


def _cell(step: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Tensor | Tensors]:
    def run(
        gate: Gate, function: Operation, x: Tensor, state: Tensor | Sequence[Tensor], *weights: Tensor | None
    ) -> Tensor | Tensors:
        states = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        result = step(gate, x, states, list(weights) + [None] * (4 - len(weights)))
        return result if len(result) != 1 else result[0]

    return run


CELLS: dict[str, Callable[..., Tensor | Tensors]] = {
    "lstm": _recurrent(_lstm_step),
    "gru": _recurrent(_gru_step),
    "rnn_tanh": _recurrent(_rnn_step(torch.tanh)),
    "rnn_relu": _recurrent(_rnn_step(torch.relu)),
    "lstm_cell": _cell(_lstm_step),
    "gru_cell": _cell(_gru_step),
    "rnn_tanh_cell": _cell(_rnn_step(torch.tanh)),
    "rnn_relu_cell": _cell(_rnn_step(torch.relu)),
}
"""Recurrent operations by name."""
