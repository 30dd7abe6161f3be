"""Finds the positions that the model does not see, such as padding, by what a mask among its arguments does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.keys import content_key
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.row_independence import facts_of
from pnpxai.engine.running.score import Score, select_output
from pnpxai.engine.running.site import Call, argument_names
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ForwardArgs, Model
from pnpxai.tensors import Tensors, flat, take_rows

__all__ = ["padding_masks"]

_SEEN_WHERE_ONE = ("attention_mask",)
_SEEN_WHERE_FALSE = ("key_padding_mask", "src_key_padding_mask")
_MOST_ROWS = 16  # that are run to find out what an argument says
_MOST_ANSWERS = 256  # that are kept with a model


def padding_masks(forward: Model, tensors: Tensors, extra: ForwardArgs) -> Iterator[Tensor]:
    """Yield (examples, positions) masks, true where one of the model's further arguments says that it does not look.

    Known by name are ``attention_mask`` (zero: not seen), ``key_padding_mask`` and ``src_key_padding_mask`` (true: not
    seen). What another argument of truth values (or of 0 and 1, or a length for each example) says is found out by
    running: other values at the positions that it leaves out must not change the output, whatever stands elsewhere.
    """
    for name, value in _arguments(forward, len(tensors), extra):
        if not isinstance(value, Tensor):
            continue
        if name in _SEEN_WHERE_ONE and value.ndim == 2:
            yield value == 0
        elif name in _SEEN_WHERE_FALSE and value.ndim == 2 and value.dtype == torch.bool:
            yield value
        elif (hidden := _found_by_running(forward, tensors, extra, value)) is not None:
            yield hidden


def _arguments(forward: Model, n_inputs: int, extra: ForwardArgs) -> Iterator[tuple[str, object]]:
    """Yield the model's further arguments by their names; those whose names are not known come under ""."""
    parts = extra if isinstance(extra, (tuple, list)) else (extra,)
    if len(parts) == 1 and isinstance(parts[0], Call):  # the values of a layer are explained
        yield from parts[0].kwargs.items()
        parts, n_inputs = parts[0].args, 0
    elif len(parts) == 1 and isinstance(parts[0], Mapping):  # the inputs are keyword arguments
        yield from parts[0].items()
        return
    if any(isinstance(part, Tensor) for part in parts):
        model = module_of(forward)
        names = argument_names(forward if model is None else model)[n_inputs:]
        yield from ((names[k] if k < len(names) else "", part) for k, part in enumerate(parts))


def _found_by_running(forward: Model, tensors: Tensors, extra: ForwardArgs, value: Tensor) -> Tensor | None:
    candidates = list(_candidates(value, tensors))
    if not candidates:
        return None
    answers = facts_of(forward).setdefault("padding", {})
    key = content_key(value, *tensors)
    if key not in answers:
        if len(answers) >= _MOST_ANSWERS:
            answers.clear()
        score = Score.of(forward, tensors, None, extra)
        with borrowed(forward, gradients=False), torch.no_grad(), probing():
            answers[key] = next((k for k, c in enumerate(candidates) if _is_blind(score, tensors, c)), None)
    return None if answers[key] is None else candidates[answers[key]]


def _candidates(value: Tensor, tensors: Tensors) -> Iterator[Tensor]:
    shapes = {x.shape[:2]: x for x in tensors if x.ndim > 1}
    if value.ndim == 2 and value.shape in shapes and bool(((value == 0) | (value == 1)).all()):
        if bool((value == 0).any()) and bool((value == 1).any()):
            yield value == 0
            yield value == 1
    elif value.ndim == 1 and not value.is_floating_point() and value.dtype != torch.bool:
        for (size, length), x in shapes.items():
            if len(value) == size and int(value.min()) > 0 and int(value.min()) < length and int(value.max()) <= length:
                yield torch.arange(length, device=x.device) >= value.to(x.device)[:, None]


def _is_blind(score: Score, tensors: Tensors, hidden: Tensor) -> bool:
    """Tell whether the output stays the same, to the bit, as the values at hidden positions change."""
    rows = hidden.any(1).nonzero().flatten()[:_MOST_ROWS].cpu()
    part, x, hidden = score.take(rows), take_rows(tensors, rows, score.size), hidden[rows.to(hidden.device)]
    fits = [t.shape[:2] == hidden.shape for t in x]
    least, most = (tuple(_extreme(t, up) if fit else t for t, fit in zip(x, fits, strict=True)) for up in (False, True))

    def outputs(there: Tensors, elsewhere: Tensors) -> list[Tensor]:
        mixed = tuple(
            torch.where(hidden.to(b.device).reshape(*hidden.shape, *[1] * (b.ndim - 2)), a, b) if fit else b
            for a, b, fit in zip(there, elsewhere, fits, strict=True)
        )
        output = part.output(mixed)
        try:
            values = (select_output(output),)
        except ArgumentError:
            values = flat(output)
        return [v[~hidden.to(v.device)] if v.shape[:2] == hidden.shape else v for v in values]

    try:
        pairs = ((x, most, x), (x, least, x), (most, least, least))
        return all(all(map(torch.equal, outputs(a, rest), outputs(b, rest))) for a, b, rest in pairs)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # noqa: BLE001  whatever a model raises where it takes no other values
        return False


def _extreme(x: Tensor, up: bool) -> Tensor:
    """Return the largest (or smallest) value of the batch in each place; numbers go beyond it, codes stay known."""
    if x.dtype == torch.bool:
        return torch.full_like(x, up)
    if not x.is_floating_point():
        return torch.full_like(x, int(x.max() if up else x.min()))
    reach = x.amax() - x.amin() + 1
    codes = (x == x.round()).flatten(0, 1).all(0)
    beyond = x + reach if up else x - reach
    lo, hi = x.flatten(0, 1).amin(0), x.flatten(0, 1).amax(0)
    return torch.where(codes, hi if up else lo, beyond)
