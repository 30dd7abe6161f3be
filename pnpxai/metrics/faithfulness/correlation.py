"""Whether a map's sums over random subsets of features go with what the score loses without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.faithfulness.imputation import Constant, Imputation
from pnpxai.metrics.faithfulness.removal import Removal, Shares
from pnpxai.metrics.faithfulness.subsets import losses
from pnpxai.metrics.rank_correlation import spearman
from pnpxai.statistics import pearson
from pnpxai.strategies.feature_masks import FeatureMask, Grid

__all__ = ["FaithfulnessCorrelation", "MuFidelity", "SensitivityN"]

_SAME = "sums of the map, or losses of score, do not vary over subsets"


class FaithfulnessCorrelation(Removal):
    """Pearson correlation over random subsets of features: the map's sum with the loss of score. Bhatt et al., 2020.

    arXiv:2005.00631. Asks whether what a map adds up to is what the model loses. Range -1 to 1, higher is better. The
    subsets do not depend on the map: one masked run serves every explainer. Its value changes with the size of the
    subsets and with what stands in for them; few runs make it noisy.
    """

    n_runs: Annotated[int, Ge(3)] = 100
    """Number of subsets."""
    subset_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the features in a subset."""
    prob_fn: Callable[[Tensor], Tensor] | None = None
    """What is made of the output first; by default nothing: the raw score is followed, as it is what is explained."""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the correlations; undefined where sums or losses do not vary."""
        subsets = losses(self.model, sample, self.masking(), (self.subset_fraction,), self.n_runs)
        values, defined = pearson(subsets.sums, subsets.losses)
        return Measurement.where(defined, values, _SAME, {"losses": subsets.losses})

    def cost(self, inputs: object) -> int:
        """Return examples x (n_runs + 1)."""
        return self.examples(inputs) * (self.n_runs + 1)


class SensitivityN(Removal):
    """Mean over subset sizes of the correlation over random subsets of one size. Ancona et al., 2018.

    arXiv:1711.06104, with a few sizes between almost nothing and almost all. Asks at every scale what
    ``FaithfulnessCorrelation`` asks: range -1 to 1, higher is better, ``curves["sensitivity_n"]`` holds the correlation
    at each size. Large subsets leave inputs unlike any real one, and small ones of a picture change next to nothing, so
    that single correlations are noisy.
    """

    n_runs: Annotated[int, Ge(3)] = 30
    """Number of subsets of each size."""
    fractions: Shares = (0.01, 0.05, 0.2, 0.5, 0.8)
    """Sizes, as shares of the features."""
    prob_fn: Callable[[Tensor], Tensor] | None = None
    """What is made of the output first; by default nothing: the raw score is followed, as it is what is explained."""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean over the sizes at which the correlation is defined; undefined where it is at none."""
        subsets = losses(self.model, sample, self.masking(), self.fractions, self.n_runs)
        shape = (sample.size, len(self.fractions), self.n_runs)
        values, defined = pearson(subsets.sums.reshape(shape), subsets.losses.reshape(shape))
        at = torch.tensor(defined, device=values.device)
        curve = torch.where(at, values, torch.nan)
        return Measurement.where(at.any(1), curve.nanmean(1), _SAME, {"sensitivity_n": curve})

    def cost(self, inputs: object) -> int:
        """Return examples x (sizes x n_runs + 1)."""
        return self.examples(inputs) * (len(self.fractions) * self.n_runs + 1)


class MuFidelity(Metric):
    """Spearman correlation over random subsets of the cells of a grid: the map's mass with the loss of score.

    Bhatt et al., 2020 (arXiv:2005.00631), in ranks and on a grid, which suits pictures. Asks what
    ``FaithfulnessCorrelation`` asks. Range -1 to 1, higher is better. One masked run serves every explainer. What
    stands in for a cell has edges that the model may see; a coarse grid forgives maps that are off by a few pixels.
    """

    n_perturb: Annotated[int, Ge(3)] = 150
    """Number of subsets."""
    noise_scale: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the cells in a subset (nothing is added to the others)."""
    batch_size: Annotated[int, Ge(1)] = 32
    """At most so many rows are run at once."""
    grid_size: int | FeatureMask = 9
    """Number of cells along each axis (as many as positions where these are fewer); or what else belongs together."""
    baseline: Annotated[
        Imputation | float, BeforeValidator(lambda value: float(value) if isinstance(value, int) else value)
    ] = 0.0
    """The value in the place of what is removed; or a baseline or imputer, as ``baseline_fn`` of other metrics."""
    mask_agg_dim: int | None = None
    """Accepted for compatibility: positions have no channels here."""

    higher_is_better: ClassVar[bool] = True
    category: ClassVar[Category] = "faithfulness"

    def check(self) -> None:
        """Refuse grids of a single cell."""
        if isinstance(self.grid_size, int) and self.grid_size < 2:
            raise ArgumentError(f"MuFidelity: grid_size: expected at least two cells, got {self.grid_size}")

    def judge(self, sample: Sample) -> Measurement:
        """Return the rank correlations; undefined where masses or losses do not vary."""
        cells = Grid(cells=self.grid_size) if isinstance(self.grid_size, int) else self.grid_size
        value = Constant(value=self.baseline) if isinstance(self.baseline, (int, float)) else self.baseline
        subsets = losses(
            self.model, sample, (cells, value), (self.noise_scale,), self.n_perturb, at_once=self.batch_size
        )
        values, defined = spearman(subsets.sums, subsets.losses)
        return Measurement.where(defined, values, _SAME, {"losses": subsets.losses})

    def cost(self, inputs: object) -> int:
        """Return examples x (n_perturb + 1)."""
        return self.examples(inputs) * (self.n_perturb + 1)
