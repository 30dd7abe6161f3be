"""The areas under the curves of what is removed from an input, or put back, most relevant first."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.metrics.base import Measurement, Sample
from pnpxai.metrics.faithfulness.features import Features
from pnpxai.metrics.faithfulness.flipping import Flipping, order, without_first
from pnpxai.metrics.faithfulness.imputation import Blurred, Imputation

__all__ = ["Deletion", "Insertion", "InsertionDeletion"]


class Deletion(Flipping):
    """Area under the target's probability while the most relevant features are removed. Petsiuk et al., 2018 (RISE).

    arXiv:1806.07421. Asks what ``MoRF`` asks; the area is that of trapezoids, so that it hardly depends on the number
    of steps. Range 0 to 1, lower is better. Not to be trusted alone, as ``MoRF``, and fails its meta-evaluation as that
    does.
    """

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the area."""
        curve = _curve(self, sample, self.features(sample), keep=False)
        return Measurement(_area(curve), (None,) * sample.size, {"deletion": curve})

    def cost(self, inputs: object) -> int:
        """Return examples x n_steps."""
        return self.rows(inputs, 1)


class Insertion(Flipping):
    """Area under the target's probability while the most relevant features are put back. Petsiuk et al., 2018 (RISE).

    arXiv:1806.07421. Asks how few features bring the prediction back. Range 0 to 1, higher is better. Not to be trusted
    where the start alone gives the prediction away.
    """

    baseline_fn: Imputation = Blurred()
    """What is there before features are put back."""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the area."""
        curve = _curve(self, sample, self.features(sample), keep=True)
        return Measurement(_area(curve), (None,) * sample.size, {"insertion": curve})

    def cost(self, inputs: object) -> int:
        """Return examples x n_steps."""
        return self.rows(inputs, 1)


class InsertionDeletion(Flipping):
    """Area of ``Insertion`` less that of ``Deletion``. Petsiuk et al., 2018 (arXiv:1806.07421).

    Asks what ``AbPC`` asks, with two ways to remove. Range -1 to 1, higher is better. Unlike ``AbPC``, it is not zero
    for a map without order: what the blurred picture keeps counts in favour of every map.
    """

    insertion_fn: Imputation = Blurred()
    """What is there before features are put back; ``baseline_fn`` says what stands where they are removed."""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the difference."""
        start = Features.of(sample, self.masking()[0], self.insertion_fn)
        put_back = _curve(self, sample, start, keep=True)
        removed = _curve(self, sample, self.features(sample), keep=False)
        curves = {"insertion": put_back, "deletion": removed}
        return Measurement(_area(put_back) - _area(removed), (None,) * sample.size, curves)

    def cost(self, inputs: object) -> int:
        """Return examples x 2 n_steps."""
        return 2 * self.rows(inputs, 1)


def _curve(metric: Flipping, sample: Sample, features: Features, *, keep: bool) -> Tensor:
    """Return (examples, n_steps) scores without the first features, or with them alone."""
    places = order(features, descending=True)
    shares = [k / (metric.n_steps - 1) for k in range(metric.n_steps)]
    return without_first(sample, features, [(places, share) for share in shares], keep=keep)


def _area(curve: Tensor) -> Tensor:
    return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)
