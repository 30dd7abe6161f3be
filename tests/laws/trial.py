"""One explainer on one model, with the model once more in plain torch: what oracles are computed with."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.engine.running.score import select_output
from pnpxai.explainers.base import Explainer
from pnpxai.tensors import Tensors, as_tuple
from pnpxai.testing.zoo import Case

__all__ = ["MEMBERS", "Trial", "deviation", "worst"]

MEMBERS = ("Occlusion", "RAP", "SmoothGrad")
"""Members of an ensemble that run few rows: one that perturbs, one with rules, one that draws."""
FEWER = {
    "n_iter": 3, "n_steps": 5, "n_samples": 20, "n_masks": 20, "window": 1 / 4, "stride": 1 / 4, "explainers": MEMBERS,
}  # fmt: skip
"""Settings that only cost time."""


@dataclass(frozen=True)
class Trial:
    """An explainer with some settings on a case; token ids are explained at their embedding if it differentiates.

    Attributes:
        explainer: the class.
        case: the model and the batch.
        changes: settings, besides those that only cost time.
    """

    explainer: type[Explainer]
    case: Case
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> str | None:
        """The layer whose values are explained."""
        return self.case.layer if self.explainer.needs_gradient else None

    @cached_property
    def made(self) -> Explainer:
        """The explainer, made for the model."""
        layer: dict[str, Any] = {} if self.layer is None else {"layer": self.layer}
        return self.explainer(self.case.model, **(layer | self.settings(self.explainer) | dict(self.changes)))

    @staticmethod
    def settings(explainer: type[Explainer]) -> dict[str, Any]:
        """Return the settings that only cost time, as small as they may be."""
        return {name: value for name, value in FEWER.items() if name in explainer._fields}

    @cached_property
    def maps(self) -> Tensors:
        """What it gives."""
        return as_tuple(self.made.attribute(self.case.inputs, self.case.targets))

    @cached_property
    def values(self) -> Tensors:
        """What it explains: the inputs, or the values at the layer."""
        if self.layer is None:
            return self.case.tensors
        found: list[Tensor] = []
        with torch.no_grad(), _watched(self.case.model.get_submodule(self.layer), found):
            self.case.model(*self.case.tensors)
        return (found[0],)

    def score(self, values: Tensors, targets: list[int] | None = None) -> Tensor:
        """Return (rows,) the explained outputs of such values; of k times as many, the examples come k times over."""
        targets = self.case.targets if targets is None else targets
        repeats = len(values[0]) // len(targets)
        return self.outputs(values)[range(len(values[0])), targets * repeats]

    def outputs(self, values: Tensors) -> Tensor:
        """Return (rows, outputs) of such values, with a graph."""
        model = self.case.model
        if self.layer is None:
            return select_output(model(*values))
        ids = self.case.tensors[0]
        with _replaced(model.get_submodule(self.layer), values[0]):
            return select_output(model(ids.repeat(len(values[0]) // len(ids), 1)))

    def gradient(self, values: Tensors | None = None) -> Tensors:
        """Return autograd's gradients of the explained outputs at such values, by default at those explained."""
        leaves = tuple(v.detach().clone().requires_grad_() for v in (self.values if values is None else values))
        return torch.autograd.grad(self.score(tuple(v.clone() for v in leaves)).sum(), leaves)

    @cached_property
    def baseline(self) -> Tensors:
        """What the explained values are compared with: the explainer's baseline, else zeros."""
        rule = getattr(self.made, "baseline_fn", None)
        return tuple(torch.zeros_like(v) if rule is None else rule(v) for v in self.values)

    @cached_property
    def difference(self) -> Tensor:
        """(examples,) how far the score is from the baseline's."""
        with torch.no_grad():
            return self.score(self.values) - self.score(self.baseline)

    def alone(self) -> Iterator[Trial]:
        """Yield a trial for each example."""
        for k in range(len(self.case)):
            yield Trial(self.explainer, self.case.take(slice(k, k + 1)), self.changes)


def deviation(found: Tensors, expected: Tensors) -> float:
    """Return how far maps are from what is expected, as a fraction of its largest absolute value; at worst infinite."""
    if len(found) != len(expected) or any(a.shape != b.shape for a, b in zip(found, expected, strict=True)):
        return float("inf")
    ratios = [0.0]
    for a, b in zip(found, expected, strict=True):
        scale, off = float(b.detach().abs().max()), float((a - b).detach().abs().max())
        ratios.append(off / scale if scale > 0 else 0.0 if off == 0 else float("inf"))
    return worst(ratios)


def worst(figures: Iterable[float]) -> float:
    """Return the largest figure; infinity if one is not a number."""
    given = list(figures)
    return max(given) if all(map(math.isfinite, given)) else float("inf")


@contextlib.contextmanager
def _watched(module: nn.Module, found: list[Tensor]) -> Iterator[None]:
    handle = module.register_forward_hook(lambda module, args, output: found.append(output.detach().clone()))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _replaced(module: nn.Module, value: Tensor) -> Iterator[None]:
    handle = module.register_forward_hook(lambda module, args, output: value)
    try:
        yield
    finally:
        handle.remove()
