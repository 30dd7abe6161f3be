"""How much a map moves when its input hardly does."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from pnpxai.attributors import RelativeNoise
from pnpxai.errors import UnsuitableError
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["Sensitivity"]


class Sensitivity(Metric):
    """Largest relative change of the map under small uniform noise on the input. Yeh et al., 2019.

    arXiv:1901.09392, "max-sensitivity". Zero or more, lower is better. Says nothing of truth: a map
    that ignores the model may be perfectly stable.
    """

    n_iter: Annotated[int, Ge(1)] = 8
    """Number of noisy copies."""
    epsilon: Annotated[float, Gt(0)] = 0.2
    """Largest noise, as a fraction of each example's range (max - min)."""

    higher_is_better: ClassVar[bool] = False
    category: ClassVar[Category] = "robustness"
    needs_explainer: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return max_k |A(x + d_k) - A(x)| / |A(x)|; undefined for a map of zeros."""
        still = [x for x in sample.tensors if not x.is_floating_point()]
        if still:
            raise UnsuitableError(f"Sensitivity: ids cannot be disturbed a little; got inputs of {still[0].dtype}")
        length = _norm(sample.attributions)
        worst = torch.zeros_like(length)
        for k in range(self.n_iter):
            disturbed = replace(sample.arguments, explained=self._disturbed(sample, k))
            moved = as_tuple(self.explained(disturbed, sample.targets, sample.stream))
            worst = torch.maximum(worst, _norm(tuple(a - b for a, b in zip(moved, sample.attributions, strict=True))))
        reasons = tuple(None if n > 0 else "the map is zero everywhere" for n in length)
        return Measurement(worst / torch.where(length > 0, length, torch.ones_like(length)), reasons)

    def cost(self, inputs: Any) -> int:
        """Return n_iter times what the explainer costs."""
        if self.explainer is None:
            raise UnsuitableError("Sensitivity: explains again, so it needs explainer=")
        return self.n_iter * self.explainer.cost(inputs)

    def _disturbed(self, sample: Sample, k: int) -> Tensors:
        results = []
        for i, x in enumerate(sample.tensors):
            reach = RelativeNoise(self.epsilon)(x)
            results.append(x + reach * (2 * sample.stream.uniform(x, "disturbance", k, i) - 1))
        return tuple(results)


def _norm(maps: Tensors) -> Tensor:
    return torch.stack([m.flatten(1).square().sum(1) for m in maps]).sum(0).sqrt()
