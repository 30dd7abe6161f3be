"""Columns of numbers through which no gradient passes although the model reads them, such as codes that it casts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.score import select_output
from pnpxai.model_types import Model

__all__ = ["blind_columns"]


def blind_columns(model: Model, arguments: Arguments) -> list[tuple[int, int]]:
    """Return the (argument, column) pairs whose gradient is zero in all rows although other values change the output.

    A cast to whole numbers, a rounding or a comparison passes no gradient, so that a method that differentiates would
    say that the column does not matter. The model runs forwards and backwards once, and once more for each column
    whose gradient is zero.

    Args:
        model: the model.
        arguments: a batch of its arguments.
    """
    tables = [k for k, x in enumerate(arguments.explained) if x.ndim == 2 and x.is_floating_point()]
    if not tables or module_of(model) is None:
        return []
    size = len(arguments.explained[0])
    values = [x.detach().clone() for x in arguments.explained]

    def outputs(explained: list[Tensor]) -> Tensor:
        call = replace(arguments, explained=tuple(explained)).call()
        output = select_output(model(*call.args, **call.kwargs))
        return output.reshape(len(output), -1)

    with borrowed(model, gradients=True), torch.enable_grad():
        leaves = [x.requires_grad_() if k in tables else x for k, x in enumerate(values)]
        try:
            result = outputs(leaves)
        except Exception:  # noqa: BLE001  several outputs, it is not known of which; or the model fails on an example
            return []
        if not result.requires_grad:
            return []
        weights = torch.linspace(0.5, 1.5, result.shape[1], dtype=result.dtype, device=result.device)
        gradients = torch.autograd.grad((result * weights).sum(), [leaves[k] for k in tables], allow_unused=True)
        pairs = []
        with torch.no_grad():
            before, plain = result.detach(), [x.detach() for x in leaves]
            for k, gradient in zip(tables, gradients, strict=True):
                silent = torch.ones(plain[k].shape[1], dtype=torch.bool)
                if gradient is not None:
                    silent = (gradient == 0).all(0).cpu()
                for column in silent.nonzero().flatten().tolist():
                    changed = plain[k].clone()
                    changed[:, column] = changed[:, column].roll(1) if size > 1 else changed[:, column] + 1
                    try:
                        after = outputs([changed if j == k else x for j, x in enumerate(plain)])
                    except (IndexError, RuntimeError):  # no code of a single row is known but its own
                        continue
                    if not torch.equal(after, before):
                        pairs.append((k, column))
    return pairs
