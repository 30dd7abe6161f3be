"""Whether a map's sums over random subsets of features go with what the score loses without them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from pnpxai.engine.batching import Block
from pnpxai.engine.keys import settings_key
from pnpxai.engine.loops import perturbed_scores
from pnpxai.engine.seeds import generator
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.features import Features
from pnpxai.statistics import pearson
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.tensors import Tensors

__all__ = ["FaithfulnessCorrelation"]


class FaithfulnessCorrelation(Metric):
    """Pearson correlation over random subsets of features: the map's sum with the loss of score. Bhatt et al., 2020.

    arXiv:2005.00631. Range -1 to 1, higher is better. The subsets do not depend on the map: one masked run serves every
    explainer. Its value changes with the size of the subsets and with what stands in for them; few runs make it noisy.
    """

    channel_dim: int | None = 1
    """The axis of channels, whose values are removed together; None where there are none."""
    n_runs: Annotated[int, Ge(3)] = 100
    """Number of subsets."""
    subset_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the features in a subset."""
    baseline_fn: Baseline = "zeros"  # type: ignore[assignment]
    """What stands where a feature was."""
    feature_mask_fn: FeatureMask = "positions"  # type: ignore[assignment]
    """What is removed at once."""

    higher_is_better: ClassVar[bool] = True
    category: ClassVar[Category] = "faithfulness"

    def judge(self, sample: Sample) -> Measurement:
        """Return the correlations; undefined where sums or losses do not vary."""
        features = Features.of(sample, self.feature_mask_fn, self.baseline_fn, self.channel_dim)
        subsets = self._subsets(features.count, sample.stream.seed)
        key = sample.key(type(self).__name__, settings_key(self._masking()))
        rows = sample.score.size * (self.n_runs + 1)
        scores = sample.shared.get(self.model, key, rows, lambda: _masked_scores(sample, features, subsets)).to(
            features.values
        )
        losses = scores[:, :1] - scores[:, 1:]
        values, defined = pearson(features.values @ subsets.to(features.values).T, losses)
        reasons = tuple(
            None if ok else "sums of the map, or losses of score, do not vary over subsets" for ok in defined
        )
        return Measurement(values, reasons, {"losses": losses})

    def cost(self, inputs: Any) -> int:
        """Return examples x (n_runs + 1)."""
        return self.examples(inputs) * (self.n_runs + 1)

    def _masking(self) -> dict[str, Any]:
        return self.replace(
            forward_arg_extractor=None, additional_forward_arg_extractor=None, postprocessor=None
        ).to_dict()

    def _subsets(self, count: int, seed: int) -> Tensor:
        size = min(max(1, round(self.subset_fraction * count)), max(count - 1, 1))
        subsets = torch.zeros(self.n_runs, count, dtype=torch.bool)
        for k in range(self.n_runs):
            subsets[k, torch.randperm(count, generator=generator(seed, "subset", k))[:size]] = True
        return subsets


def _masked_scores(sample: Sample, features: Features, subsets: Tensor) -> Tensor:
    """Return (examples, 1 + subsets) scores of the whole inputs and without each subset."""
    plan = torch.cat([torch.zeros_like(subsets[:1]), subsets])

    def points(block: Block) -> Tensors:
        steps = plan[block.steps.start : block.steps.stop].repeat_interleave(len(block.examples), 0)
        return features.without(steps, block)

    return perturbed_scores(sample.score, points, len(plan), sample.tensors, label="subsets")
