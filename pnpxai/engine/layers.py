"""Looking into a model: values and gradients at some places in one forward pass, and the last layer of a kind."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pnpxai.engine.batching import Block, in_blocks, row_limit
from pnpxai.engine.score import Score
from pnpxai.engine.site import AtSites, Call, Place, Side, Site
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors, check_finite, map_tensors, own

__all__ = ["last_reached", "single_runs", "value_and_gradient"]


def value_and_gradient(score: Score, inputs: Tensors, places: Sequence[Place]) -> tuple[Tensors, Tensors]:
    """Return the values at ``places`` and the gradient of the score there.

    Nothing before the places is differentiated, so no graph is built for it.

    Raises:
        ArgumentError: a place has no influence on the score, or lies behind another one.
    """
    values: list[Tensors] = []
    gradients: list[Tensors] = []

    def visit(block: Block) -> None:
        part = tuple(own(x[block.examples.start : block.examples.stop]) for x in inputs)
        leaves, found = _one_pass(score.take(block.rows), part, places)
        values.append(tuple(own(leaf) for leaf in leaves))
        gradients.append(found)

    in_blocks(score.size, 1, row_limit(inputs, score.extra), visit)
    return _joined(values), _joined(gradients)


def _one_pass(score: Score, inputs: Tensors, places: Sequence[Place]) -> tuple[Tensors, Tensors]:
    leaves: list[Tensor] = []
    owners: list[int] = []

    def watch(k: int, tensor: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        leaf = own(tensor).requires_grad_()
        leaves.append(leaf)
        owners.append(k)
        return leaf.clone()

    at = AtSites(score.forward, places)
    with torch.no_grad():
        total = replace(score, forward=lambda *args: at.run(Call(args), watch))(inputs).sum()
    if not total.requires_grad:
        raise ArgumentError(f"layer: the score does not depend on {places[0]} through differentiable operations")
    # the members of one place may be unused (an LSTM's last state); a place as a whole may not
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    for k, place in enumerate(places):
        if all(g is None for g, owner in zip(found, owners, strict=True) if owner == k):
            raise ArgumentError(
                f"layer: {place} has no influence on the score, or only through another of the given layers"
            )
    given = tuple(torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True))
    check_finite("gradient", given)
    order = sorted(range(len(leaves)), key=lambda i: owners[i])
    return tuple(leaves[i] for i in order), tuple(given[i] for i in order)


def single_runs(model: nn.Module, call: Call, side: Side) -> tuple[Site, ...]:
    """Return the layers without sublayers that run exactly once and give numbers, in the order of execution."""
    seen: list[nn.Module] = []

    def note(module: nn.Module, args: object, output: object) -> None:
        seen.append(module)

    leaves = {m: name for name, m in model.named_modules() if not any(True for _ in m.children())}
    with contextlib.ExitStack() as stack, torch.no_grad():
        for module in leaves:
            stack.callback(module.register_forward_hook(note).remove)
        model(*map_tensors(own, call.args), **map_tensors(own, call.kwargs))
    return tuple(Site(m, side, leaves[m]) for m in seen if seen.count(m) == 1)


def _joined(parts: list[Tensors]) -> Tensors:
    return tuple(torch.cat(members) for members in zip(*parts, strict=True))


def last_reached(score: Score, inputs: Tensors, candidates: Sequence[tuple[str, nn.Module]]) -> Site | None:
    """Return the output of the last of some layers, in the order of execution, that the score depends on.

    Only layers that keep positions apart count: channels (dimension 1) and more than one position behind them. One
    row is run.
    """
    outputs: list[tuple[Site, Tensor]] = []

    def note(site: Site, value: object) -> None:
        if isinstance(value, Tensor) and value.ndim > 2 and value[0, 0].numel() > 1:
            outputs.append((site, value))

    first = tuple(own(x[:1]) for x in inputs)
    leaves = tuple(x.requires_grad_() if x.is_floating_point() else x for x in first)
    with contextlib.ExitStack() as stack:
        for name, module in candidates:
            site = Site(module, "output", name)
            hook = module.register_forward_hook(lambda module, args, output, site=site: note(site, output))
            stack.callback(hook.remove)
        total = score.take(torch.tensor([0]))(tuple(x.clone() for x in leaves)).sum()
    reached = [(site, value) for site, value in outputs if value.requires_grad]
    if not reached or not total.requires_grad:
        return None
    found = torch.autograd.grad(total, [value for _, value in reached], allow_unused=True)
    return next((site for (site, _), g in zip(reached[::-1], found[::-1], strict=True) if g is not None), None)
