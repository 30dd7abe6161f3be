"""Features removed in order, without a trace of the shape of what was removed."""

from __future__ import annotations

from typing import ClassVar

from pnpxai.metrics.base import Measurement, Sample
from pnpxai.metrics.faithfulness.flipping import order, without_first
from pnpxai.metrics.faithfulness.imputation import Imputation, Linear
from pnpxai.metrics.faithfulness.removal import Removal, Shares

__all__ = ["ROAD"]


class ROAD(Removal):
    """Mean probability of the target without the most relevant share, filled in from what is left. Rong et al., 2022.

    arXiv:2202.00449, "remove and debias". Asks what ``MoRF`` asks, but what stands in is a noisy linear interpolation,
    which does not tell the model which pixels were removed. Range 0 to 1, lower is better. The paper counts examples
    that are still classified as before; of one example that is yes or no, so its probability is taken. Where large
    connected parts are removed, the interpolation is a blur. Fails its meta-evaluation, as ``MoRF`` does.
    """

    baseline_fn: Imputation = Linear()
    """What stands where a feature was; ``"linear"`` needs pictures or series."""
    fractions: Shares = (
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
    )
    """Shares of the features that are removed."""

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean over the shares."""
        features = self.features(sample)
        places = order(features, descending=True)
        curve = without_first(sample, features, [(places, share) for share in self.fractions], at_least=1)
        return Measurement(curve.mean(1), (None,) * sample.size, {"road": curve})

    def cost(self, inputs: object) -> int:
        """Return examples x shares."""
        return self.examples(inputs) * len(self.fractions)
