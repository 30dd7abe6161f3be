"""Positions that the model does not see, such as padding: they are no players, whatever is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.site import Call, argument_names
from pnpxai.model_types import ForwardArgs, Model
from pnpxai.tensors import Tensors

__all__ = ["unseen", "without"]

_SEEN_WHERE_ONE = ("attention_mask",)
_SEEN_WHERE_FALSE = ("key_padding_mask", "src_key_padding_mask")


def unseen(forward: Model, tensors: Tensors, extra: ForwardArgs) -> tuple[Tensor | None, ...]:
    """Return for each input (examples, positions) true where a mask among the model's arguments leaves it out.

    Masks are known by the names that Transformers and torch give them: ``attention_mask`` (zero: not seen),
    ``key_padding_mask`` and ``src_key_padding_mask`` (true: not seen), with one entry for each token. None where
    nothing is left out.
    """
    masks = [mask for mask in _masks(forward, len(tensors), extra) if bool(mask.any())]
    return tuple(next((m for m in masks if m.shape == x.shape[:2] and _of_tokens(x)), None) for x in tensors)


def without(values: Tensor, hidden: Tensor | None) -> Tensor:
    """Return a map with zeros where positions (examples, positions) are hidden."""
    if hidden is None or len(values) != len(hidden):
        return values
    shape = (*hidden.shape, *[1] * (values.ndim - hidden.ndim))
    return values.masked_fill(hidden.reshape(shape).to(values.device), 0)


def _of_tokens(x: Tensor) -> bool:
    return x.ndim == 3 or (x.ndim == 2 and not x.is_floating_point())


def _masks(forward: Model, n_inputs: int, extra: ForwardArgs) -> Iterator[Tensor]:
    for name, value in _arguments(forward, n_inputs, extra):
        if isinstance(value, Tensor) and value.ndim == 2:
            if name in _SEEN_WHERE_ONE:
                yield value == 0
            elif name in _SEEN_WHERE_FALSE and value.dtype == torch.bool:
                yield value


def _arguments(forward: Model, n_inputs: int, extra: ForwardArgs) -> Iterator[tuple[str, object]]:
    """Yield the model's further arguments by their names."""
    parts = extra if isinstance(extra, (tuple, list)) else (extra,)
    if len(parts) == 1 and isinstance(parts[0], Call):  # the values of a layer are explained
        yield from parts[0].kwargs.items()
        parts, n_inputs = parts[0].args, 0
    elif len(parts) == 1 and isinstance(parts[0], Mapping):  # the inputs are keyword arguments
        yield from parts[0].items()
        return
    if any(isinstance(part, Tensor) and part.ndim == 2 for part in parts):
        model = module_of(forward)
        names = argument_names(forward if model is None else model)
        yield from zip(names[n_inputs:], parts, strict=False)
