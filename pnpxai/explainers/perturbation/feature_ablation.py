"""What the score loses without a feature."""

from __future__ import annotations

from pnpxai.attributors import FeatureAblation as Backend
from pnpxai.attributors.base import Configured
from pnpxai.explainers.perturbation.grouped import GroupedPerturbation

__all__ = ["FeatureAblation"]


class FeatureAblation(GroupedPerturbation):
    """Loss of score when a feature is replaced by the baseline, all others present.

    Covert et al., 2021 (arXiv:2011.14878), call it removing individual features.
    """

    def attributor(self) -> Configured:
        """Return ``FeatureAblation`` of the features."""
        return Backend(self.forward_func).configured(**self.game())
