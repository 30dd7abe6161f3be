"""Laws of full gradients: the parts of the score, and the map that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.propagation.full_grad import FullGrad, FullGradients
from pnpxai.engine.running.site import AtSites, Call, find_places
from pnpxai.engine.seeing.module_kinds import BATCH_NORMS, CONVOLUTIONS
from tests.laws.cam import resized
from tests.laws.trial import Trial, deviation, worst

__all__ = ["hooked_biases", "left_out", "parts"]

MODULES = frozenset({"cnn", "skip_cnn", "series", "two_inputs", "siamese", "resnet18", "vgg"})
"""Where convolutions, batch normalisation and linear layers are all that adds constants."""


def hooked_biases(trial: Trial) -> float:
    """The map is made of gradient times input and, caught by hooks, gradient times the biases of modules."""
    held: list[tuple[Tensor, Tensor]] = []

    def keep(module: Any, args: Any, output: Tensor) -> Tensor:
        bias = torch.zeros(()) if module.bias is None else module.bias.detach()
        if isinstance(module, BATCH_NORMS):
            bias = bias - module.running_mean * module.weight / (module.running_var + module.eps).sqrt()  # type: ignore[operator]
        if bias.ndim:
            held.append((output, bias.reshape(1, -1, *[1] * (output.ndim - 2)).expand_as(output)))
        return output.clone()

    kinds = (*CONVOLUTIONS, *BATCH_NORMS)
    handles = [m.register_forward_hook(keep) for m in trial.case.model.modules() if isinstance(m, kinds)]
    try:
        leaves = tuple(v.clone().requires_grad_() for v in trial.values)
        score = trial.score(leaves)
    finally:
        for handle in handles:
            handle.remove()
    places, constants = zip(*zip(leaves, trial.values, strict=True), *held, strict=True)
    shares = [g * c.detach() for g, c in zip(torch.autograd.grad(score.sum(), places), constants, strict=True)]
    sizes = [_largest(share) for share in shares]
    return deviation(trial.maps, _maps(trial, shares[: len(leaves)], shares[len(leaves) :], sizes))


def parts(trial: Trial) -> float:
    """The parts sum to the score, and the map is made of them."""
    found = _decomposed(trial)
    score = trial.score(trial.values).detach()
    total = torch.stack([part.sum() for part in (*found.inputs, *found.biases)]).sum()
    gap = float((total - score.sum()).abs() / score.abs().sum())
    return worst((gap, deviation(trial.maps, _maps(trial, found.inputs, found.biases, found.sizes))))


def left_out(trial: Trial) -> float:
    """Return what share of all that biases contribute is at tokens, which no map of the input shows."""
    found = _decomposed(trial)
    sizes = [(float(b.abs().nansum()), b.ndim == trial.values[0].ndim > 2) for b in found.biases]
    return sum(size for size, shown in sizes if not shown) / sum(size for size, _ in sizes)


def _decomposed(trial: Trial) -> FullGradients:
    if trial.layer is None:
        return FullGrad(trial.case.model).decompose(trial.case.inputs, trial.case.targets)
    at = AtSites(trial.case.model, find_places(trial.case.model, trial.layer))
    read = at.read(Call(trial.case.tensors))
    return FullGrad(at).decompose(read.values, trial.case.targets, (read.call,))


def _maps(
    trial: Trial, inputs: Sequence[Tensor], biases: Sequence[Tensor], sizes: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Rescale absolute shares to 0 ... 1, resize them to each input that has as many axes, and add them up."""
    maps: list[Any] = []
    for share, size, value in zip(inputs, sizes, trial.values, strict=False):
        if value.ndim == 2:
            maps.append(_unit(share, size))
            continue
        alike = [(share, size), *((_channels_first(b), s) for b, s in zip(biases, sizes[len(inputs) :], strict=True))]
        shown = [_unit(a, s) for a, s in alike if a.ndim == value.ndim]
        maps.append(sum(resized(part, value).sum(1, keepdim=True) for part in shown))
    return tuple(maps)


def _channels_first(share: Tensor) -> Tensor:
    """Bring channels that come behind a square of positions before it."""
    if share.ndim == 4 and share.shape[1] == share.shape[2] != share.shape[3]:
        return share.permute(0, 3, 1, 2)
    return share


def _largest(share: Tensor) -> Tensor:
    return share.abs().reshape(len(share), -1).amax(1)


def _unit(share: Tensor, size: Tensor) -> Tensor:
    flat = share.abs().flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    span = torch.maximum(high - low, size[:, None] / 1000)
    return ((flat - low) / torch.where(span > 0, span, 1.0)).reshape(share.shape)
