"""Tells whether row k of every layer's value belongs to example k; what reads maps inside a model relies on it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.row_independence import facts_of
from pnpxai.engine.running.score import Score
from pnpxai.errors import UnsuitableError
from pnpxai.tensors import Tensors, alike, flat, take_rows

__all__ = ["refuse_moved_rows"]


def refuse_moved_rows(score: Score, inputs: Tensors) -> None:
    """Refuse a model that changes the rows of its batch inside, such as one that sorts texts by their length.

    The first and the last example run alone once for each model and form of inputs, and the batch once.

    Raises:
        UnsuitableError: an example's values stand in another row of a layer, or a layer has rows of no example; the
            layer is named.
    """
    if score.size < 2:
        return
    facts = facts_of(score.forward, score.target)
    form = ("row order", score.size, *((x.shape, x.dtype) for x in inputs))
    if form not in facts:
        with torch.no_grad(), probing():
            facts[form] = _moved(score, inputs)
    if facts[form]:
        raise UnsuitableError(
            f"model: layer {facts[form]!r} holds other rows than the batch, or has them in another order; give the "
            "batch in that order, or explain one example at a time"
        )


def _moved(score: Score, inputs: Tensors) -> str:
    """Return the name of a layer that holds an example's values in another row, or other rows; "" if none does."""
    with _outputs(score) as (whole, calls):
        score.output(inputs)
    for example in (0, score.size - 1):
        rows = torch.tensor([example])
        part = score.take(rows)
        try:
            with _outputs(score) as (alone, calls_alone):
                part.output(take_rows(inputs, rows, score.size))
        except Exception:  # it takes no single example, so that nothing can be told  # noqa: BLE001
            return ""
        for name, count in calls.items():
            if count != calls_alone[name]:  # it gets the batch in parts
                return name
        for name, value in alone.items():
            batch = whole.get(name, value)
            if len(batch) not in (len(value), len(value) * score.size):  # rows of no example
                return name
            if len(batch) == score.size and len(value) == 1:
                others = [k for k in range(score.size) if k != example]
                if not alike(value[0], batch[example]) and any(alike(value[0], batch[k]) for k in others):
                    return name
    return ""


def _told_apart(value: Tensor) -> Tensor:
    """Return (rows, 2) numbers by which rows are told apart, since all values of all layers would fill the memory."""
    rows = value.reshape(len(value), -1).double()
    weights = torch.linspace(-1, 1, rows.shape[1], dtype=rows.dtype, device=rows.device)
    return torch.stack([rows @ weights, rows.abs().sum(1)], 1)


@contextlib.contextmanager
def _outputs(score: Score) -> Iterator[tuple[dict[str, Tensor], Counter[str]]]:
    """Note two numbers for each row of what modules return that run once, and how often each runs."""
    noted: dict[str, Tensor] = {}
    calls: Counter[str] = Counter()

    def note(name: str, output: object) -> None:
        values = flat(output)
        calls[name] += 1
        if len(values) == 1 and values[0].is_floating_point() and values[0].ndim > 0:
            noted[name] = _told_apart(values[0].detach())

    root = module_of(score.forward)
    with contextlib.ExitStack() as stack:
        for name, module in () if root is None else root.named_modules():
            if name and isinstance(module, nn.Module) and not isinstance(module, torch.jit.ScriptModule):
                hook = module.register_forward_hook(lambda m, args, output, name=name: note(name, output))
                stack.callback(hook.remove)
        yield noted, calls
    for name, count in calls.items():
        if count > 1:
            noted.pop(name, None)
