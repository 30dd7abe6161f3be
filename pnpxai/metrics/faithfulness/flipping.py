"""Features removed one after the other, most or least relevant first."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.metrics.base import Measurement, Sample
from pnpxai.metrics.faithfulness.features import Features, scores_without
from pnpxai.metrics.faithfulness.removal import Removal

__all__ = ["AbPC", "Flipping", "LeRF", "MoRF", "order", "without_first"]


class Flipping(Removal, abstract=True):
    """What curves share: the target's probability while features are removed in order, even in the share removed."""

    n_steps: Annotated[int, Ge(2)] = 10
    """Number of points of a curve, with the whole input and the empty one."""

    def curves(self, sample: Sample, *, most: bool, least: bool) -> dict[str, Tensor]:
        """Return the wanted curves (examples, n_steps); both share their ends."""
        features = self.features(sample)
        names = ["morf"] * most + ["lerf"] * least
        inner = [k / (self.n_steps - 1) for k in range(1, self.n_steps - 1)]
        plan = [(names[0], 0.0), (names[0], 1.0)] + [(name, share) for name in names for share in inner]
        places = {name: order(features, descending=name == "morf") for name in names}
        scores = without_first(sample, features, [(places[name], share) for name, share in plan])
        return {
            name: torch.cat([scores[:, :1], scores[:, 2 + k * len(inner) :][:, : len(inner)], scores[:, 1:2]], 1)
            for k, name in enumerate(names)
        }

    def rows(self, inputs: object, curves: int) -> int:
        """Return the cost of so many curves."""
        return self.examples(inputs) * (2 + curves * (self.n_steps - 2))


class MoRF(Flipping):
    """Mean probability of the target while the most relevant features are removed first. Samek et al., 2017.

    arXiv:1509.06321. Asks whether what the map ranks first is what the model needs. Range 0 to 1, lower is better. Not
    to be trusted alone: what is left after removal is unlike any real input, and a model that breaks down at once gives
    every map a low curve. Fails its meta-evaluation: where inputs or the model are destroyed, values seldom get worse,
    as a class that is not predicted has a low curve; compare maps of the same input alone.
    """

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean of the curve."""
        curves = self.curves(sample, most=True, least=False)
        return Measurement(curves["morf"].mean(1), (None,) * sample.size, curves)

    def cost(self, inputs: object) -> int:
        """Return examples x n_steps."""
        return self.rows(inputs, 1)


class LeRF(Flipping):
    """Mean probability of the target while the least relevant features are removed first. Samek et al., 2017.

    arXiv:1509.06321. Asks whether what the map ranks last can go. Range 0 to 1, higher is better. Not to be trusted
    alone, as MoRF.
    """

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean of the curve."""
        curves = self.curves(sample, most=False, least=True)
        return Measurement(curves["lerf"].mean(1), (None,) * sample.size, curves)

    def cost(self, inputs: object) -> int:
        """Return examples x n_steps."""
        return self.rows(inputs, 1)


class AbPC(Flipping):
    """Area between the curves of LeRF and MoRF. Blücher et al., 2024 (arXiv:2401.06654), "symmetric relevance gain".

    Asks whether the map's order is that of importance to the model. Range -1 to 1 of probabilities, else in the unit of
    the output; zero for a map without order, higher is better. The two curves share what removal does to any input, so
    their difference depends little on what stands in for a removed feature. Of a prediction that one small change
    overturns, it says little.
    """

    lb: float | None = None
    """Differences below this count as this; by default each counts as it is. (Of probabilities none is below -1.)"""

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean difference of the curves."""
        curves = self.curves(sample, most=True, least=True)
        gap = curves["lerf"] - curves["morf"]
        gap = gap if self.lb is None else gap.clamp(min=self.lb)
        return Measurement(gap.mean(1), (None,) * sample.size, curves)

    def cost(self, inputs: object) -> int:
        """Return examples x (2 n_steps - 2)."""
        return self.rows(inputs, 2)


def order(features: Features, *, descending: bool) -> Tensor:
    """Return (examples, features) the place of each feature in the order of removal; ties keep the order they have."""
    last = torch.full_like(features.values, -torch.inf if descending else torch.inf)
    places = torch.where(features.exist, features.values, last).argsort(dim=1, descending=descending, stable=True)
    numbers = torch.arange(places.shape[1], device=places.device).expand_as(places)
    return torch.empty_like(places).scatter_(1, places, numbers)


def without_first(
    sample: Sample, features: Features, plan: list[tuple[Tensor, float]], *, at_least: int = 0, keep: bool = False
) -> Tensor:
    """Return (examples, steps) scores without the features that come first.

    Args:
        sample: the batch.
        features: its features.
        plan: for each step, the places of the features in an order, and which share of them is removed.
        at_least: fewest features that a share above zero means.
        keep: remove all the others instead.
    """
    counts = torch.tensor(
        [[max(round(share * n), at_least if share else 0) for n in features.counts] for _, share in plan]
    )

    def gone(steps: range, examples: range) -> Tensor:
        part = slice(examples.start, examples.stop)
        tables = [plan[k][0][part] < counts[k, part, None].to(plan[k][0].device) for k in steps]
        return ~torch.stack(tables) if keep else torch.stack(tables)

    return scores_without(sample, features, gone, len(plan))
