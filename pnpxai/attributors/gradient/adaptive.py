"""Adds steps or samples until each example's completeness gap, or standard error, is small enough."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pnpxai.attributors.base import Around, Attributor, Configured
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, Keywords, ModelInputs
from pnpxai.tensors import as_tuple, batch_size, flat, map_tensors, own, sum_rows, take_rows

__all__ = ["AdaptiveSamples", "AdaptiveSteps", "Reached"]


class Reached(NamedTuple):
    """Holds attributions that were refined until a tolerance was reached.

    Attributes:
        attributions: attributions as the wrapped attributor returns them.
        used: (examples,) number of steps or samples behind each example's attributions.
        error: (examples,) the remaining error, in the units of the tolerance; above it where the limit came first.
    """

    attributions: Attributions
    used: Tensor
    error: Tensor


class _Adaptive(Around):
    def _parameters(self) -> dict[str, object]:
        """Return the arguments of the wrapped ``attribute`` with their defaults."""
        inner = self.attribution_method
        configured = isinstance(inner, Configured)
        known = inspect.signature(inner.attributor.attribute if configured else inner.attribute).parameters
        return {name: p.default for name, p in known.items()} | (inner.settings if configured else {})

    def _parts(self, inputs: ModelInputs, target: Target, arguments: Keywords) -> Callable[[Tensor], Keywords]:
        """Return the arguments of the wrapped ``attribute`` for some of the examples."""
        tensors = as_tuple(inputs)
        size = batch_size(tensors)
        score = Score.of(self.forward_func, tensors, target)
        shared = self.attribution_method.shares_baselines or arguments.get("draw_baseline_from_distrib")
        rows_of_all = {"baselines": arguments["baselines"]} if shared and "baselines" in arguments else {}

        def part(rows: Tensor) -> Keywords:
            taken = take_rows({"inputs": inputs} | arguments, rows, size)
            return taken | rows_of_all | {"target": score.given_target(rows)}

        return part


class AdaptiveSteps(_Adaptive):
    """Doubles the steps of a path method for each example until |gap| / |F(x) - F(x')| is at most a tolerance.

    It wraps any method that takes ``n_steps`` and returns a convergence delta: ``IntegratedGradients``,
    ``LayerIntegratedGradients``, ``LayerConductance``.
    """

    def __init__(self, attribution_method: Attributor | Configured) -> None:
        super().__init__(attribution_method)
        if "n_steps" not in self._parameters() or not attribution_method.has_convergence_delta():
            raise ArgumentError(
                f"attribution_method: expected one with n_steps and a convergence delta, "
                f"got {type(attribution_method).__name__}"
            )

    def attribute(
        self,
        inputs: ModelInputs,
        tolerance: float = 0.01,
        n_steps: int = 8,
        most: int = 512,
        target: Target = None,
        **arguments: object,
    ) -> Reached:
        """Return attributions, and the number of steps that each example took.

        Args:
            tolerance: the largest gap, as a fraction of the difference of scores that is distributed.
            n_steps: number of steps to begin with.
            most: largest number of steps.
            **arguments: further arguments of the wrapped ``attribute``.

        Raises:
            ArgumentError: the tolerance is not positive, or the limit is below the number to begin with.
        """
        n_steps, most = _checked(tolerance, n_steps, most, "n_steps")
        with borrowed(self.forward_func):
            part = self._parts(inputs, target, arguments)
            results = _Results(batch_size(as_tuple(inputs)))
            while len(rows := results.open):
                attributions, delta = self.attribution_method.attribute(
                    **part(rows), n_steps=n_steps, return_convergence_delta=True
                )
                # the attributions sum to the difference of outputs plus the gap
                difference = sum(sum_rows(a, len(rows)) for a in flat(attributions)) - delta
                error = delta.abs() / difference.abs().clamp_min(torch.finfo(delta.dtype).tiny)
                error = torch.where(delta == 0, torch.zeros_like(error), error)
                last = n_steps >= most
                results.keep(rows, attributions, n_steps, error, (error <= tolerance) | last)
                n_steps = min(2 * n_steps, most)
            return results.reached()


class AdaptiveSamples(_Adaptive):
    """Repeats a method that draws samples for each example until the standard error of the mean is small enough.

    It wraps any method that takes a ``seed``: ``NoiseTunnel``, ``GradientShap``, ``ShapleyValueSampling``, ``RISE``,
    ... Rounds are independent results, so the standard error is that of their mean, whatever the method does inside a
    round. A bias of single rounds remains (``KernelShap`` with few samples).
    """

    def __init__(self, attribution_method: Attributor | Configured) -> None:
        super().__init__(attribution_method)
        if "seed" not in self._parameters():
            raise ArgumentError(
                "attribution_method: expected one that draws samples by a seed, "
                f"got {type(attribution_method).__name__}"
            )

    def attribute(
        self,
        inputs: ModelInputs,
        tolerance: float = 0.1,
        least: int = 4,
        most: int = 64,
        target: Target = None,
        seed: int | RandomStream = 0,
        **arguments: object,
    ) -> Reached:
        """Return mean attributions, and the number of samples of each example (of rounds, where samples have none).

        Args:
            tolerance: the largest standard error, as a fraction of the size of the attributions (both as the root of
                the sum of squares over an example).
            least: smallest number of rounds; a standard error of fewer says little.
            most: largest number of rounds.
            seed: seed of the draws.
            **arguments: further arguments of the wrapped ``attribute``, its number of samples in one round among them.

        Raises:
            ArgumentError: the tolerance is not positive, or there are less than two rounds.
        """
        least, most = _checked(tolerance, least, most, "least", 2)
        stream = RandomStream.of(seed)
        numbers = self._parameters() | arguments
        counts = [numbers[name] for name in ("nt_samples", "n_samples", "n_masks") if name in numbers]
        each = next((n for n in counts if isinstance(n, int)), 1)  # "auto" is no number: rounds are counted
        with borrowed(self.forward_func):
            part = self._parts(inputs, target, arguments)
            results = _Results(batch_size(as_tuple(inputs)))
            count = 0
            while len(rows := results.open):
                count += 1
                draws = stream.fork(f"round {count}").take(rows.tolist())
                attributions = self.attribution_method.attribute(**part(rows), seed=draws)
                error = results.average(rows, attributions, count)
                stop = (error <= tolerance) & (count >= least) | (count >= most)
                results.close(rows, each * count, error, stop)
            return results.reached()


class _Results:
    """Collects the attributions of all examples; an example whose error is small enough is not run again."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.open = torch.arange(size)
        self.used = torch.zeros(size, dtype=torch.long)
        self.error: Tensor | None = None
        self.packing: Attributions = None
        self.values: list[Tensor] = []
        self.squares: list[Tensor] = []

    def keep(self, rows: Tensor, attributions: Attributions, used: int, error: Tensor, done: Tensor) -> None:
        """Replace the attributions of some examples by better ones."""
        self._begin(attributions)
        for value, member in zip(self.values, flat(attributions), strict=True):
            value[rows.to(value.device)] = member.detach()
        self.close(rows, used, error, done)

    def average(self, rows: Tensor, attributions: Attributions, count: int) -> Tensor:
        """Add a result to the means (Welford), and return their relative standard error, by example."""
        self._begin(attributions)
        spread = size = torch.zeros(len(rows), dtype=torch.float64)
        for mean, square, member in zip(self.values, self.squares, flat(attributions), strict=True):
            at = rows.to(mean.device)
            shift = member.detach() - mean[at]
            mean[at] += shift / count
            square[at] += shift * (member.detach() - mean[at])
            spread = spread + sum_rows(square[at].double(), len(rows)).cpu()
            size = size + sum_rows(mean[at].double().square(), len(rows)).cpu()
        variance = spread / (count * max(count - 1, 1))
        return torch.where(variance == 0, variance, (variance / size).sqrt())

    def close(self, rows: Tensor, used: int, error: Tensor, done: Tensor) -> None:
        """Record the error of some examples, and leave out of later runs those that are done."""
        if self.error is None:
            self.error = error.new_full((self.size,), math.inf)
        self.error[rows.to(error.device)] = error
        self.used[rows] = used
        self.open = rows[~done.cpu()]

    def reached(self) -> Reached:
        """Return the results of all examples."""
        waiting = iter(self.values)
        assert self.error is not None  # noqa: S101  (a batch has examples)
        return Reached(map_tensors(lambda _: next(waiting), self.packing), self.used, self.error)

    def _begin(self, attributions: Attributions) -> None:
        if self.packing is None:
            self.packing = attributions
            self.values = [own(member).zero_() for member in flat(attributions)]
            self.squares = [torch.zeros_like(value) for value in self.values]


def _checked(tolerance: float, first: int, most: int, name: str, least: int = 1) -> tuple[int, int]:
    if isinstance(tolerance, bool) or not hasattr(tolerance, "__float__") or not 0 < float(tolerance) < math.inf:
        raise ArgumentError(f"tolerance: expected a number > 0, got {tolerance!r}")
    first, most = whole_number(name, first, least), whole_number("most", most, least)
    if most < first:
        raise ArgumentError(f"most: expected at least {name}={first}, got {most}")
    return first, most
