"""Whether a map's sums go with what the score loses, at several scales and sizes of what is removed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import select_output
from pnpxai.examples import Batch
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.faithfulness.elsewhere import Elsewhere
from pnpxai.metrics.faithfulness.imputation import Imputation, Imputer
from pnpxai.metrics.faithfulness.log_odds import log_odds
from pnpxai.metrics.faithfulness.removal import Shares
from pnpxai.metrics.faithfulness.subsets import losses
from pnpxai.statistics import pearson
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.feature_masks import EachMask, FeatureMask, Patches, Positions, positions_of
from pnpxai.tensors import Tensors, as_tuple
from pnpxai.traits import Traits

__all__ = ["ROWS", "MultiScaleCorrelation", "suited_to_data"]

ROWS = 64
"""Rows that stand in, at most, where inputs are rows of numbers."""

_PARTS = (32, 8, 4)
"""Into how many parts a block of each scale cuts the longest axis of positions, at least one position each."""

_SIZES, _SMALL = (0.1, 0.3, 0.6), (0.02, 0.05, 0.1)
"""Sizes of the subsets, and those where most of an input is zero already."""
_SPARSE = 0.25
"""An input of which less is not zero has few parts, such as the edges of a graph."""


class MultiScaleCorrelation(Metric):
    """Mean, over scales and sizes, of the correlation over random subsets: a map's sum with the loss of score.

    mean over scales s and shares p of corr_S(sum of a over S, f(x) - f(x without S)), S being random shares p of the
    blocks of scale s. What ``FaithfulnessCorrelation`` (Bhatt et al., 2020, arXiv:2005.00631) asks of single positions
    is asked of small and large blocks too. Half of the runs fill in a baseline, half values from elsewhere, with which
    inputs stay like real ones. Range -1 to 1, higher is better. The subsets do not depend on the map: one design of
    masked runs serves every explainer and every trial of a search.
    """

    baseline_fn: Imputation = Zeros()
    """What stands where a block was, in half of the runs: a baseline or an imputer, as in other metrics."""
    elsewhere_fn: Elsewhere | None = Elsewhere()
    """What stands there in the other half: values from elsewhere in the example, or from rows. None for no such runs.
    The rows of a ``Background`` that is given as a baseline are drawn from."""
    feature_mask_fn: FeatureMask | str = "positions"
    """What belongs together. "positions": blocks of three scales on pictures and series (a 32nd, an 8th and a 4th of
    the longer side, at least one position), single columns and tokens; anything else is taken as the only scale."""
    fractions: Shares = _SIZES
    """Sizes of the subsets, as shares of the blocks."""
    n_runs: Annotated[int, Ge(3)] = 16
    """Number of subsets of each size and scale, for either filling."""
    prob_fn: Callable[[Tensor], Tensor] | None = log_odds
    """What is made of the output first: the log odds of each class against all others, which do not saturate; of other
    outputs nothing."""

    higher_is_better: ClassVar[bool] = True
    category: ClassVar[Category] = "faithfulness"

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean over scales and sizes at which the correlation is defined; undefined where it is at none.

        A map that says the same of all subsets of a size where losses vary has a correlation of zero there.
        """
        shape = (sample.size, len(self.fractions), self.n_runs)
        parts, known = [], []
        for mask, fill in itertools.product(self._scales(sample.tensors), self._fillings()):
            subsets = losses(self.model, sample, (mask, fill), self.fractions, self.n_runs)
            values, _ = pearson(subsets.sums.reshape(shape), subsets.losses.reshape(shape))
            _, varies = pearson(subsets.losses.reshape(shape), subsets.losses.reshape(shape))
            parts.append(values)
            known.append(torch.tensor(varies, device=values.device))
        curve, at = torch.cat(parts, 1), torch.cat(known, 1)
        curve = torch.where(at, curve, torch.nan)
        reason = "losses of score do not vary over subsets"
        return Measurement.where(at.any(1), curve.nanmean(1), reason, {"correlations": curve})

    def cost(self, inputs: object) -> int:
        """Return examples x scales x fillings x (sizes x n_runs + 1)."""
        designs = len(self._scales(as_tuple(self.arguments(inputs).explained))) * len(self._fillings())
        return self.examples(inputs) * designs * (len(self.fractions) * self.n_runs + 1)

    @property
    def needs_rows(self) -> bool:
        """Whether values come from elsewhere in the example, for want of rows."""
        return any(isinstance(fill, Elsewhere) and fill.examples is None for fill in self._fillings())

    def _fillings(self) -> list[Baseline | Imputer]:
        given, other = self.baseline_fn, self.elsewhere_fn
        if other is None:
            return [given]
        rows = given.examples if isinstance(given, Background) and len(given.examples) > 1 else None
        return [given, Elsewhere(rows) if other.examples is None and rows is not None else other]

    def _scales(self, inputs: Tensors) -> list[FeatureMask]:
        """Return what belongs together, scale by scale, the same twice left out."""
        given = FeatureMask.from_name(self.feature_mask_fn)
        if given != Positions():
            return [given]
        each = [_blocks(x, self.channel_dim) for x in inputs]
        scales = [tuple(of[k] for of in each) for k in range(len(_PARTS))]
        return [of[0] if len(of) == 1 else EachMask(of) for of in dict.fromkeys(scales)]


def _blocks(inputs: Tensor, channel_dim: int | None) -> list[FeatureMask]:
    """Return the blocks of each scale; columns and tokens have no neighbours that mean the same."""
    sides = positions_of(inputs, channel_dim)
    if inputs.ndim <= 2 or not sides:
        return [Positions()] * len(_PARTS)
    return [Patches(size=max(1, max(sides) // parts)) for parts in _PARTS]


def suited_to_data(metrics: Mapping[str, Metric], batches: Iterable[Batch], traits: Traits) -> dict[str, Metric]:
    """Return metrics, of which those of this kind are set up for rows of numbers that have no neighbours.

    The columns of a table mean different things, so that nothing in a row itself can stand in for one of them. What
    else there is (a mean row, zeros) is a value that models have often not seen. So values are drawn from the explained
    rows where there is no background. A row on which the model fails is left out: it would cost the values of all
    others. The same holds for other rows of numbers, such as the edges of a graph.

    Where such rows are no table and mostly zeros, little is removed at a time (a 50th to a tenth of the positions): of
    a graph without a third of its few edges, a model says nothing of the graph that it was given.

    Args:
        metrics: by label.
        batches: some of the examples; with none, metrics stay as they are.
        traits: facts about the data.
    """
    found = dict(metrics)
    own = {label: m for label, m in metrics.items() if isinstance(m, MultiScaleCorrelation) and m.needs_rows}
    apart = traits.channel_dim is None and not traits.discrete and not traits.others
    if not own or not apart:
        return found
    metric = next(iter(own.values()))
    parts = [batch.take(_that_run(metric, batch)) for batch in batches]
    explained = [as_tuple(metric.arguments(part.inputs).explained) for part in parts if len(part)]
    flat = traits.modality == "table" or all(of[0].ndim == 2 for of in explained)
    if not explained or not flat or any(len(of) > 1 for of in explained):
        return found
    rows = torch.cat([of[0].detach().cpu() for of in explained])
    few = traits.modality != "table" and float((rows != 0).double().mean()) < _SPARSE
    for label, m in own.items():
        sizes = _SMALL if few and m.fractions == _SIZES else m.fractions
        found[label] = m.replace(elsewhere_fn=Elsewhere(rows), fractions=sizes)
    return found


def _that_run(metric: Metric, batch: Batch) -> list[int]:
    """Return the rows of a batch for which the model gives finite numbers."""

    def finite(rows: list[int]) -> list[bool]:
        call = metric.arguments(batch.take(rows).inputs).call()
        with borrowed(metric.model, gradients=False):
            outputs = select_output(metric.model(*call.args, **call.kwargs))
        return outputs.reshape(len(rows), -1).isfinite().all(1).tolist()

    rows = list(range(len(batch)))
    with contextlib.suppress(Exception):  # what a model raises is up to it
        return [row for row, well in zip(rows, finite(rows), strict=True) if well]
    good = []
    for row in rows:
        with contextlib.suppress(Exception):
            good += [row] if all(finite([row])) else []
    return good
