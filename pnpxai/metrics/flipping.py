"""Features removed one after the other, most or least relevant first."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.engine.batching import Block
from pnpxai.engine.loops import perturbed_scores
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.features import Features
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.tensors import Tensors

__all__ = ["AbPC", "LeRF", "MoRF"]


def probability(output: Tensor) -> Tensor:
    """Return class probabilities; an output with a single class is left as it is."""
    return output.softmax(-1) if output.ndim > 1 and output.shape[-1] > 1 else output


class Flipping(Metric, abstract=True):
    """What the three share: the curve of the target's probability while features are removed in order."""

    channel_dim: int | None = 1
    """The axis of channels, whose values are removed together; None where there are none."""
    n_steps: Annotated[int, Ge(2)] = 10
    """Number of points of a curve, with the whole input and the empty one."""
    baseline_fn: Baseline = "zeros"  # type: ignore[assignment]
    """What stands where a feature was."""
    feature_mask_fn: FeatureMask = "positions"  # type: ignore[assignment]
    """What is removed at once."""

    category: ClassVar[Category] = "faithfulness"
    transform = staticmethod(probability)

    def _curves(self, sample: Sample, *, most: bool, least: bool) -> dict[str, Tensor]:
        """Return the wanted curves (examples, n_steps); both share their ends."""
        features = Features.of(sample, self.feature_mask_fn, self.baseline_fn, self.channel_dim)
        counts = [round(k * features.count / (self.n_steps - 1)) for k in range(self.n_steps)]
        ranks = {name: _ranks(features.values, descending=name == "morf") for name in ("morf", "lerf")}
        names = ["morf"] * most + ["lerf"] * least
        plan = [(names[0], counts[0]), (names[0], counts[-1])]
        plan += [(name, count) for name in names for count in counts[1:-1]]

        def points(block: Block) -> Tensors:
            part = slice(block.examples.start, block.examples.stop)
            removed = [ranks[plan[step][0]][part] < plan[step][1] for step in block.steps]
            return features.without(torch.cat(removed), block)

        scores = perturbed_scores(sample.score, points, len(plan), sample.tensors, label="flipping")
        inner = self.n_steps - 2
        return {
            name: torch.cat([scores[:, :1], scores[:, 2 + k * inner : 2 + (k + 1) * inner], scores[:, 1:2]], 1)
            for k, name in enumerate(names)
        }

    def _rows(self, inputs: Any, curves: int) -> int:
        return self.examples(inputs) * (2 + curves * (self.n_steps - 2))


class MoRF(Flipping):
    """Mean probability of the target while the most relevant features are removed first. Samek et al., 2017.

    arXiv:1509.06321. Range 0 to 1, lower is better. Not to be trusted alone: what is left after removal is
    unlike any real input.
    """

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean of the curve."""
        curves = self._curves(sample, most=True, least=False)
        return Measurement(curves["morf"].mean(1), (None,) * sample.score.size, curves)

    def cost(self, inputs: Any) -> int:
        """Return examples x n_steps."""
        return self._rows(inputs, 1)


class LeRF(Flipping):
    """Mean probability of the target while the least relevant features are removed first. Samek et al., 2017.

    arXiv:1509.06321. Range 0 to 1, higher is better. Not to be trusted alone, as MoRF.
    """

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean of the curve."""
        curves = self._curves(sample, most=False, least=True)
        return Measurement(curves["lerf"].mean(1), (None,) * sample.score.size, curves)

    def cost(self, inputs: Any) -> int:
        """Return examples x n_steps."""
        return self._rows(inputs, 1)


class AbPC(Flipping):
    """Area between the curves of LeRF and MoRF. Blücher et al., 2024 (arXiv:2401.06654), "symmetric relevance gain".

    Range -1 to 1, zero for a map without order, higher is better. The two curves share what removal does to any input,
    so their difference depends little on what stands in for a removed feature.
    """

    lb: float = -1.0
    """Differences below this count as this."""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean difference of the curves."""
        curves = self._curves(sample, most=True, least=True)
        gap = (curves["lerf"] - curves["morf"]).clamp(min=self.lb)
        return Measurement(gap.mean(1), (None,) * sample.score.size, curves)

    def cost(self, inputs: Any) -> int:
        """Return examples x (2 n_steps - 2)."""
        return self._rows(inputs, 2)


def _ranks(values: Tensor, *, descending: bool) -> Tensor:
    """Return (examples, features) the place of each feature in the order of removal; ties keep the order they have."""
    order = values.argsort(dim=1, descending=descending, stable=True)
    places = torch.arange(values.shape[1], device=values.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)
