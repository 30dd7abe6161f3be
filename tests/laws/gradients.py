"""Laws of explainers that differentiate: autograd itself, called once more in plain torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pnpxai.engine.running.seeds import RandomStream
from pnpxai.tensors import Tensors, as_tuple
from tests.laws.trial import Trial, deviation

__all__ = [
    "background",
    "complete",
    "complete_over_rows",
    "deconvolved",
    "expected_gradients",
    "gradient",
    "gradient_times_input",
    "guided",
    "guided_gradient",
    "mean_of_noisy",
    "path",
    "squares",
    "variance",
]


def gradient(trial: Trial) -> float:
    """The map is autograd's gradient."""
    return deviation(trial.maps, trial.gradient())


def gradient_times_input(trial: Trial) -> float:
    """The map is autograd's gradient times the input."""
    return deviation(trial.maps, tuple(g * v for g, v in zip(trial.gradient(), trial.values, strict=True)))


def mean_of_noisy(trial: Trial) -> float:
    """The map is the mean of autograd's gradients over the noisy copies."""
    return deviation(trial.maps, tuple(g.mean(0) for g in _noisy(trial)))


def squares(trial: Trial) -> float:
    """The map is the mean of their squares."""
    return deviation(trial.maps, tuple(g.square().mean(0) for g in _noisy(trial)))


def variance(trial: Trial) -> float:
    """The map is their variance; of a linear network that is zero, but for the rounding of squares."""
    noisy = _noisy(trial)
    rounding = [1e-24 * float(g.square().max()) for g in noisy]
    expected = (g.var(0, correction=0) for g in noisy)
    zeroed = [
        tuple(m.where(m.abs() > r, 0.0) for m, r in zip(of, rounding, strict=True)) for of in (trial.maps, expected)
    ]
    return deviation(*zeroed)


def path(trial: Trial) -> float:
    """The map is the Gauss-Legendre sum of autograd's gradients along the path, times the difference."""
    nodes, weights = np.polynomial.legendre.leggauss(trial.made.n_steps)  # type: ignore[attr-defined]
    sums: list[Any] = [0] * len(trial.values)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = tuple(b + float(node) * (v - b) for v, b in zip(trial.values, trial.baseline, strict=True))
        sums = [s + float(weight) * g for s, g in zip(sums, trial.gradient(point), strict=True)]
    expected = tuple(s * (v - b) for s, v, b in zip(sums, trial.values, trial.baseline, strict=True))
    return deviation(trial.maps, expected)


def complete(trial: Trial) -> float:
    """The map sums to what the score gains from the baseline to the input; as a fraction of the score."""
    total = sum(m.flatten(1).sum(1) for m in trial.maps)
    with torch.no_grad():
        size = trial.score(trial.values).abs()
    return float(((total - trial.difference).abs() / size).max())


def complete_over_rows(trial: Trial) -> float:
    """The map sums to what the score gains on average over some rows of background."""
    rows, maps = background(trial)
    total = sum(m.flatten(1).sum(1) for m in maps)
    with torch.no_grad():
        score = trial.score(trial.values)
        each = [tuple(r[k].expand_as(v) for r, v in zip(rows, trial.values, strict=True)) for k in range(3)]
        mean = torch.stack([trial.score(row) for row in each]).mean(0)
    return float(((total - (score - mean)).abs() / score.abs()).max())


def background(trial: Trial) -> tuple[Tensors, Tensors]:
    """Return three rows to compare with, and the maps with this background."""
    draws = torch.Generator().manual_seed(1)
    rows: Any = tuple(torch.randn(3, *v.shape[1:], generator=draws, dtype=v.dtype) for v in trial.values)
    made = trial.made.replace(background_data=rows if len(rows) > 1 else rows[0])
    return rows, as_tuple(made.attribute(trial.case.inputs, trial.case.targets))


def expected_gradients(trial: Trial) -> float:
    """The map is the mean, over the same points, of autograd's gradient times noisy copy minus baseline."""
    made: Any = trial.made
    draws, sums = RandomStream(0).of_examples(trial.values).draws("blend"), [torch.zeros_like(v) for v in trial.values]
    for k in range(made.n_samples):
        shares = [draws.at(k).uniform().double().reshape(-1, *[1] * (b.ndim - 1)) for b in trial.baseline]
        ends = _noisy_copy(trial, made.noise_level, k)
        points = tuple(b + share * (e - b) for b, share, e in zip(trial.baseline, shares, ends, strict=True))
        parts = zip(sums, trial.gradient(points), ends, trial.baseline, strict=True)
        sums = [s + g * (e - b) / made.n_samples for s, g, e, b in parts]
    return deviation(trial.maps, tuple(sums))


def guided(trial: Trial) -> float:
    """The map is autograd's gradient where every ReLU lets only positive gradients back."""
    return deviation(trial.maps, guided_gradient(trial))


def guided_gradient(trial: Trial) -> Tensors:
    """Return autograd's gradient where every ReLU lets only positive gradients back."""
    with _ReLUs(_Guided):
        return trial.gradient()


def deconvolved(trial: Trial) -> float:
    """The map is autograd's gradient where every ReLU is applied to what comes back, and not to where it was."""
    with _ReLUs(_Deconvolved):
        return deviation(trial.maps, trial.gradient())


def _noisy(trial: Trial) -> Tensors:
    """Return the gradients (copies, examples, ...) of the noisy copies, the last of which has no noise."""
    level, count = trial.made.noise_level, trial.made.n_iter  # type: ignore[attr-defined]
    noisy = [_noisy_copy(trial, level, k) for k in range(count - 1)]
    gradients = [trial.gradient(copy) for copy in (*noisy, trial.values)]
    return tuple(torch.stack(member) for member in zip(*gradients, strict=True))


def _noisy_copy(trial: Trial, level: float, k: int) -> Tensors:
    copies, stream = [], RandomStream(0).of_examples(trial.values)
    for i, v in enumerate(trial.values):
        spread = v.flatten(1).amax(1) - v.flatten(1).amin(1)
        noise = stream.draws("noise", i).at(k).normal(v.shape[1:], v)
        copies.append(v + level * spread.reshape(-1, *[1] * (v.ndim - 1)) * noise)
    return tuple(copies)


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0].clamp(min=0) * (ctx.saved_tensors[0] > 0)


class _Deconvolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0].clamp(min=0)


class _ReLUs(TorchFunctionMode):
    """Replaces every ReLU that is called."""

    def __init__(self, replacement: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.replacement = replacement

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in ("relu", "relu_"):
            return func(*args, **(kwargs or {}))
        result = self.replacement.apply(args[0].clone())
        in_place = name == "relu_" or (kwargs or {}).get("inplace") or (len(args) > 1 and args[1])
        return args[0].copy_(result) if in_place else result
