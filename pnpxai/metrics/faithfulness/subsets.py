"""Random subsets of features and the scores without them: drawn without a look at any map, so run once for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.engine.running.keys import settings_key
from pnpxai.engine.running.seeds import draws
from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Sample
from pnpxai.metrics.faithfulness.features import Features, scores_without
from pnpxai.metrics.faithfulness.imputation import Imputer
from pnpxai.model_types import Model
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask

__all__ = ["Losses", "losses"]


@dataclass(frozen=True)
class Losses:
    """What random subsets of features mean to the model, and to the maps.

    Attributes:
        sums: (examples, subsets) sums of the maps over the subsets.
        losses: (examples, subsets) what the score loses without them.
    """

    sums: Tensor
    losses: Tensor


def losses(
    model: Model,
    sample: Sample,
    masking: tuple[FeatureMask, Baseline | Imputer],
    fractions: Sequence[float],
    n_runs: int,
    *,
    at_once: int | None = None,
) -> Losses:
    """Return sums and losses over random subsets.

    Args:
        model: what runs.
        sample: the batch.
        masking: what belongs together, and what stands in for it.
        fractions: sizes of the subsets, as shares of the features; at least one feature, and never all.
        n_runs: number of subsets of each size. The first ones do not depend on how many follow.
        at_once: at most so many rows in one pass.
    """
    features = Features.of(sample, *masking)
    subsets = _Subsets(features.counts, fractions, n_runs, sample.stream.seed)

    def compute(missing: Tensor) -> Tensor:
        if len(missing) == sample.size:
            return _scores(sample, features, subsets, at_once)
        part = sample.take(missing)
        of_part = Features.of(part, *masking)
        return _scores(part, of_part, _Subsets(of_part.counts, fractions, n_runs, sample.stream.seed), at_once)

    how, owners = _key(masking, fractions, n_runs, (sample.channel_dim, *sample.apart)), sample.keys()
    if how is None or owners is None:
        scores = _scores(sample, features, subsets, at_once)
    else:
        keys = [f"{key} {how}" for key in owners]
        scores = sample.shared.rows(model, keys, subsets.steps, compute)
    scores = scores.to(features.values)
    tables = subsets.of(range(1, subsets.steps), range(sample.size)).to(features.values)
    if tables.shape[1] == 1:
        sums = features.values @ tables[:, 0].T
    else:
        sums = torch.einsum("ef,sef->es", features.values, tables)
    return Losses(sums, scores[:, :1] - scores[:, 1:])


class _Subsets:
    """Step 0 removes nothing, step k the k-th subset: size after size."""

    def __init__(self, counts: Sequence[int], fractions: Sequence[float], n_runs: int, seed: int) -> None:
        self.steps = 1 + len(fractions) * n_runs
        width = max(counts)
        tables = {n: self._table(n, width, fractions, n_runs, seed) for n in set(counts)}
        # alike for all examples, unless they have different numbers of features
        each = list(counts) if len(tables) > 1 else [counts[0]]
        self._tables = torch.stack([tables[n] for n in each], 1)

    @staticmethod
    def _table(count: int, width: int, fractions: Sequence[float], n_runs: int, seed: int) -> Tensor:
        table = torch.zeros(1 + len(fractions) * n_runs, width, dtype=torch.bool)
        for size, fraction in enumerate(fractions):
            chosen = min(max(1, round(fraction * count)), max(count - 1, 1))
            drawn = draws(seed, "subset", size).at(range(n_runs)).permutation(count)[:, :chosen]
            table[1 + size * n_runs :][:n_runs].scatter_(1, drawn, True)
        return table

    def of(self, steps: range, examples: range) -> Tensor:
        """Return (steps, 1 or examples, features) which features are gone."""
        tables = self._tables[steps.start : steps.stop]
        return tables if tables.shape[1] == 1 else tables[:, examples.start : examples.stop]


def _scores(sample: Sample, features: Features, subsets: _Subsets, at_once: int | None) -> Tensor:
    return scores_without(sample, features, subsets.of, subsets.steps, at_once)


def _key(
    masking: tuple[FeatureMask, Baseline | Imputer],
    fractions: Sequence[float],
    n_runs: int,
    channels: tuple[int | None, ...],
) -> str | None:
    """Return a key of the masks and of what stands in, None where a setting cannot be written."""
    try:
        settings = {"masking": [part.to_dict() for part in masking], "channels": list(channels)}
    except ArgumentError:
        return None
    return settings_key(settings | {"subsets": [list(fractions), n_runs]})
