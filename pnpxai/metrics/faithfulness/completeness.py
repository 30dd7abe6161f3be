"""Whether a map adds up to what it explains."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from pnpxai.explainers.perturbation.grouped import GroupedPerturbation
from pnpxai.explainers.results.group_values import counted_once
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.faithfulness.features import Features, scores_without
from pnpxai.metrics.faithfulness.imputation import Imputation
from pnpxai.strategies.baselines import Zeros
from pnpxai.strategies.feature_masks import Positions

__all__ = ["CompletenessError"]


class CompletenessError(Metric):
    """Gap between a map's sum and what the score gains over the baseline, relative to that gain.

    |sum a - (f(x) - f(b))| / |f(x) - f(b)|: the completeness axiom of Sundararajan et al., 2017 (arXiv:1703.01365), as
    an error. Asks whether values can be read as shares of the score. 0 is complete, 1 is a map of zeros, without upper
    end; lower is better. Only of maps whose channels are summed and not rescaled, with the baseline that the explainer
    has, and of no meaning for methods that promise nothing of the kind (gradients, CAM). A map can be complete and
    wrong.
    """

    baseline_fn: Imputation = Zeros()
    """What the input is compared with: that of the explainer."""

    higher_is_better: ClassVar[bool] = False
    category: ClassVar[Category] = "axioms"

    def judge(self, sample: Sample) -> Measurement:
        """Return the errors; undefined where the score is that of the baseline."""
        features = Features.of(self._counted_once(sample), Positions(), self.baseline_fn)
        every = features.exist

        def gone(steps: range, examples: range) -> torch.Tensor:
            return torch.stack([every[examples.start : examples.stop] & bool(step) for step in steps])

        scores = scores_without(sample, features, gone, 2).to(features.values)
        gain = scores[:, 0] - scores[:, 1]
        defined = gain.abs() > 1e-6 * scores.abs().amax(1)
        gap = (features.values.sum(1) - gain).abs() / torch.where(defined, gain.abs(), torch.ones_like(gain))
        return Measurement.where(defined, gap, "the score is that of the baseline")

    def _counted_once(self, sample: Sample) -> Sample:
        """Return the sample with the value of each of the explainer's features at one of its elements."""
        explainer = self.explainer
        if not isinstance(explainer, GroupedPerturbation) or explainer.layer is not None:
            return sample
        if any(a.shape != x.shape for a, x in zip(sample.attributions, sample.tensors, strict=False)):
            return sample
        masks = zip(explainer.feature_masks(sample.tensors), sample.tensors, strict=True)
        expanded = tuple(ids.expand(x.shape) for ids, x in masks)
        return replace(sample, attributions=counted_once(sample.attributions, expanded))

    def cost(self, inputs: object) -> int:
        """Return 2 x examples."""
        return 2 * self.examples(inputs)
