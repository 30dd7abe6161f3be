"""Whether a map depends on what the model has learned, and on what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.attributors.padding import unseen
from pnpxai.engine.running.score import select_output
from pnpxai.errors import UnsuitableError
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.complexity import entropy
from pnpxai.metrics.randomisation.randomised_models import RandomisedCopy
from pnpxai.metrics.rank_correlation import spearman
from pnpxai.tensors import as_tuple

__all__ = ["MPRT", "EfficientMPRT", "RandomLogit"]

_CONSTANT = "a map is constant, so that it has no ranks"


class Randomisation(Metric, abstract=True):
    """What these share: the explainer is asked again, of another model or of another class."""

    category: ClassVar[Category] = "randomisation"
    needs_explainer: ClassVar[bool] = True

    def randomised(self, sample: Sample) -> RandomisedCopy:
        """Return the copy of the model to make random, the same for all explainers."""
        model, seed = self.explaining().model, sample.stream.seed
        return sample.shared.thing(model, f"randomised {seed}", lambda: RandomisedCopy(model, seed))

    def maps_of_random(self, sample: Sample, most: int) -> Iterator[Sample]:
        """Yield, for each of at most so many stages, the sample with the maps of the model randomised so far."""
        copy = self.randomised(sample)
        other = self.replace(explainer=copy.bound(self.explaining()))
        for layers in RandomisedCopy.stages(self.explaining().model, most):
            with copy.random(layers):
                yield sample.with_maps(as_tuple(other.explained(sample.arguments, sample.targets, sample.stream)))


class MPRT(Randomisation):
    """Mean rank correlation of a map's absolute values with those under a model randomised from the top down.

    "Model parameter randomisation test", Adebayo et al., 2018 (arXiv:1810.03292). Asks whether the map shows what the
    model has learned: -1 to 1, lower is better, near 1 for a map that ignores the model. ``curves["similarity"]`` holds
    the correlation at each stage. Not to be used to rank explainers: noise does best, and pictures keep maps alike
    whose model is not (Binder et al., 2023, arXiv:2211.12486). It can only show that something is wrong. Fails its
    meta-evaluation: where inputs are destroyed, values seldom get worse.
    """

    n_stages: Annotated[int, Ge(1)] = 10
    """The layers are randomised in at most so many steps; the last leaves nothing of what was learned."""

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean over the stages at which the correlation is defined."""
        own, columns = _absolute(sample), []
        for random in self.maps_of_random(sample, self.n_stages):
            values, defined = _rank_correlations(own, _absolute(random))
            columns.append(values.masked_fill(~torch.tensor(defined, device=values.device), torch.nan))
        curve = torch.stack(columns, 1)
        return Measurement.where(~curve.isnan().all(1), curve.nanmean(1), _CONSTANT, {"similarity": curve})

    def cost(self, inputs: object) -> int:
        """Return what the explainer costs, once for each stage."""
        explainer = self.explaining()
        return len(RandomisedCopy.stages(explainer.model, self.n_stages)) * explainer.cost(inputs)


class EfficientMPRT(Randomisation):
    """Relative gain of a map's entropy when all parameters are randomised. Hedström et al., 2023 (arXiv:2401.06465).

    Asks whether the map loses structure with what the model has learned: positive if it does, higher is better, 0 for a
    map that ignores the model. The entropy is that of the map's mass, as in ``Complexity``; with ``n_bins`` it is the
    paper's, of a histogram, which needs many more features than bins and gives a constant map none. Says nothing of
    maps that are noise for the trained model too.
    """

    n_bins: Annotated[int, Ge(2)] | None = None
    """Number of bins of a histogram of absolute values, from zero to each map's largest (the paper has 100); None for
    the entropy of the mass."""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return (H(random) - H(map)) / H(map); undefined where H(map) is zero."""
        before = self._entropies(sample)
        (after,) = map(self._entropies, self.maps_of_random(sample, 1))
        some = before > 1e-9  # of a single feature it is zero but for rounding
        gain = (after - before) / torch.where(some, before, torch.ones_like(before))
        reason = "the map has no entropy: its mass is in one feature, its values in one bin, or all are zero"
        return Measurement.where(some, gain, reason)

    def cost(self, inputs: object) -> int:
        """Return what the explainer costs."""
        return self.explaining().cost(inputs)

    def _entropies(self, sample: Sample) -> Tensor:
        masses = _absolute(sample)
        return torch.stack([entropy(m if self.n_bins is None else _histogram(m, self.n_bins)) for m in masses])


class RandomLogit(Randomisation):
    """Rank correlation of a map with that of another class, drawn at random. Sixt et al., 2020 (arXiv:1912.09818).

    Asks whether the map depends on what is asked: -1 to 1, lower is better, 1 for a map that ignores the class. Says
    nothing of truth. With two classes, the maps of one are often those of the other turned round, so that the absolute
    value of a map says more; classes that look alike may rightly have similar maps.
    """

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the correlations; undefined for a constant map."""
        other = self.explained(sample.arguments, self._other_targets(sample), sample.stream)
        own = sample.of_each(sample.maps)
        others = sample.with_maps(as_tuple(other))
        values, defined = _rank_correlations(own, others.of_each(others.maps))
        return Measurement.where(defined, values, _CONSTANT)

    def cost(self, inputs: object) -> int:
        """Return what the explainer costs, and one row that shows how many classes there are."""
        return self.explaining().cost(inputs) + 1

    def _other_targets(self, sample: Sample) -> Tensor:
        target = sample.score.target
        first = sample.take(torch.tensor([0]))
        classes = select_output(first.score.output(first.tensors))
        if target is None or callable(target) or classes.ndim < 2 or classes.shape[1] < 2:
            raise UnsuitableError(
                "RandomLogit: needs classes to choose another from: a model with several outputs, indices as targets"
            )
        own = target if isinstance(target, Tensor) else torch.tensor([target]).expand(sample.size, -1)
        count = classes.shape[1]
        hidden = unseen(sample.score.forward, sample.tensors, sample.score.extra)
        drawn = 1 + sample.stream.of_examples(sample.tensors, hidden).draws("class").below(count - 1)
        moved = own.clone()
        moved[:, 0] = (own[:, 0] + drawn.to(own.device)) % count
        return moved


def _absolute(sample: Sample) -> list[Tensor]:
    return [values.abs() for values in sample.of_each(sample.maps)]


def _rank_correlations(own: list[Tensor], others: list[Tensor]) -> tuple[Tensor, list[bool]]:
    pairs = [spearman(a[None], b[None]) for a, b in zip(own, others, strict=True)]
    return torch.cat([value for value, _ in pairs]), [defined for _, (defined,) in pairs]


def _histogram(values: Tensor, n_bins: int) -> Tensor:
    """Return (bins,) how many values lie in each, of those that are not negative."""
    top = values.max()
    bins = (values / torch.where(top > 0, top, torch.ones_like(top)) * n_bins).long().clamp(max=n_bins - 1)
    return torch.bincount(bins, minlength=n_bins).to(values.dtype)
