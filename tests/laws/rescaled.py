"""DeepLIFT as a plain gradient, of a network whose operations have their slopes between baseline and input.

A function of one number has the slope (f(x) - f(b)) / (x - b), a product that of its mid-point, one with a scale s such
as 1/|x| that of a quotient; a softmax p has L_i (dx_i - sum_j w_j dx_j), L the logarithmic mean of both p, w its share.
A maximum has the mean of its gradients along the straight way. The rest is made of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pnpxai.engine.running.guard import borrowed
from pnpxai.tensors import Tensors
from tests.laws.gradients import background
from tests.laws.trial import Trial, deviation
from tests.laws.written_out import ACTIVATIONS, WRITTEN_OUT, returned, unrolled, value_of

__all__ = ["mean_rescaled", "rescaled"]


def rescaled(trial: Trial) -> float:
    """The map is gradient times difference of the network with slopes."""
    return deviation(trial.maps, _shares(trial, trial.baseline))


def mean_rescaled(trial: Trial) -> float:
    """The map over a background is the mean of those from each of its rows."""
    rows, maps = background(trial)
    each = [_shares(trial, tuple(r[k].expand_as(v) for r, v in zip(rows, trial.values, strict=True))) for k in range(3)]
    return deviation(maps, tuple(torch.stack(members).mean(0) for members in zip(*each, strict=True)))


def _shares(trial: Trial, baseline: Tensors) -> Tensors:
    values, slopes = trial.values, _Slopes()
    with borrowed(trial.case.model), unrolled(trial.case.model, lambda gate: gate):
        with torch.no_grad(), slopes:
            trial.score(baseline)
        slopes.at_baseline, slopes.calls = slopes.calls, []
        with slopes:
            gradients = trial.gradient()
    return tuple(g * (v - b) for g, v, b in zip(gradients, values, baseline, strict=True))


class _Slopes(TorchFunctionMode):
    """Notes what functions are given; a second time, gives each the slope between both."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, ...]] = []
        self.at_baseline: list[tuple[Tensor, ...]] = []
        self.scales: list[Tensor] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        if func is F.softmax:
            return self._softmax(args[0], kwargs.get("dim", args[1] if len(args) > 1 else -1))
        if func in WRITTEN_OUT:
            with self:
                return WRITTEN_OUT[func](*args, **kwargs)
        if name in ("mul", "matmul", "bmm") and all(isinstance(a, Tensor) for a in args):
            return self._product(func, *args)
        if name == "max_pool2d":
            return self._largest(*args, **kwargs)
        if name in ACTIVATIONS or name in ("exp", "square", "rsqrt", "reciprocal"):
            return self._function(func, args, kwargs)
        return func(*args, **kwargs)

    def _product(self, func: Callable[..., Any], left: Tensor, right: Tensor) -> Tensor:
        before, value = self._before(left, right), func(left, right)
        if before is None:
            return value
        scales = [any(factor is scale for scale in self.scales) for factor in (left, right)]
        if sum(scales) == 1:  # as - bt = 2st/(s + t) (a - b) + (as + bt)/(s + t) (s - t)
            s, a = (left, right) if scales[0] else (right, left)
            t, b = before if scales[0] else before[::-1]
            total, now = s.detach() + t, (s * a).detach()
            return _of_value(a * (2 * s.detach() * t / total) + s * ((now + b * t) / total), value)
        means = [(now.detach() + then) / 2 for now, then in zip((left, right), before, strict=True)]
        return _of_value(func(left, means[1]) + func(means[0], right), value)

    def _largest(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        settings = {name: value for name, value in kwargs.items() if name != "return_indices"}
        value = F.max_pool2d(x, *args, **settings)
        before = self._before(x)
        if before is None:
            return value
        # places of each window; -1 where it is padded
        numbers = torch.arange(1.0, 1 + x[0, 0].numel(), dtype=x.dtype).reshape(1, 1, *x.shape[2:])
        size, *rest = (settings.get(n, args[k] if len(args) > k else d) for k, (n, d) in enumerate(_POOL))
        stride, padding, dilation = rest
        unfolded = F.unfold(numbers, size, dilation, padding, stride or size)[0].T.long() - 1
        now, then = (t.detach().flatten(2)[..., unfolded.clamp(min=0)] for t in (x, before[0]))
        now, then = (t.masked_fill(unfolded < 0, -1e9) for t in (now, then))
        # wherever two values of a window may cross; between these, one of them is the largest
        gaps, runs = (t[..., :, None] - t[..., None, :] for t in (then, now - then))
        crossings = torch.where(runs == 0, 0.0, -gaps / torch.where(runs == 0, 1.0, runs)).clamp(0, 1).flatten(-2)
        ends = torch.cat([crossings, torch.ones_like(crossings[..., :1])], -1).sort(-1).values
        starts = torch.cat([torch.zeros_like(ends[..., :1]), ends[..., :-1]], -1)
        middles = (then[..., None, :] + (starts + ends)[..., None] / 2 * (now - then)[..., None, :]).argmax(-1)
        weights = torch.zeros_like(now).scatter_add(-1, middles, ends - starts)
        members = x.flatten(2)[..., unfolded.clamp(min=0)].masked_fill(unfolded < 0, 0.0)
        return _of_value((members * weights).sum(-1).reshape(value.shape), value)

    def _function(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Tensor:
        x = args[0].clone()
        value = value_of(func, x, args[1:], kwargs)
        before, result = self._before(x, value), value
        if before is not None:
            span = (x.detach() - before[0]).nan_to_num()  # what is masked out stays so
            slope = torch.where(span == 0, 0.0, (value - before[1]) / torch.where(span == 0, 1.0, span))
            result = _of_value(x.masked_fill(span == 0, 0) * slope, value)
        if getattr(func, "__name__", "").strip("_") in ("rsqrt", "reciprocal"):
            self.scales.append(result)
        return returned(func, args[0], kwargs, result)

    def _softmax(self, x: Tensor, dim: int) -> Tensor:
        value = x.detach().softmax(dim)
        before = self._before(x, value)
        if before is None:
            return value
        # where x is masked out, p is zero and stays so
        ratio = x.detach().log_softmax(dim) - before[0].log_softmax(dim)
        mean = torch.where(ratio.abs() > 1e-12, (value - before[1]) / ratio, value).nan_to_num()
        finite = x.masked_fill(torch.isinf(x), 0.0)
        weights = mean / mean.sum(dim, keepdim=True)
        return _of_value(mean * (finite - (weights * finite).sum(dim, keepdim=True)), value)

    def _before(self, *tensors: Tensor) -> tuple[Tensor, ...] | None:
        self.calls.append(tuple(t.detach() for t in tensors))
        return self.at_baseline[len(self.calls) - 1] if self.at_baseline else None


_POOL = (("kernel_size", None), ("stride", None), ("padding", 0), ("dilation", 1))


def _of_value(result: Tensor, value: Tensor) -> Tensor:
    """Return the value, with the gradient of the result."""
    return result + (value - result).detach()
