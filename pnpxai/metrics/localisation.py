"""Whether a map lies where it is known to belong."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.metrics.base import Category, Measurement, Metric, Sample

__all__ = ["AUROC", "AveragePrecision", "PointingGame", "RelevanceMassAccuracy", "RelevanceRankAccuracy"]


class Localisation(Metric, abstract=True):
    """What these share: ``masks`` say which positions matter. They judge the model as well as the map: where a model
    uses the background, a map that says so is wrong by the mask."""

    higher_is_better: ClassVar[bool] = True
    category: ClassVar[Category] = "localisation"
    needs_masks: ClassVar[bool] = True

    @abstractmethod
    def hits(self, values: Tensor, inside: Tensor) -> Tensor | None:
        """Return the number of one example, None where the map gives none.

        Args:
            values: (positions,) the map.
            inside: (positions,) whether a position matters; at least one does, and not all do.
        """

    def judge(self, sample: Sample) -> Measurement:
        """Return the numbers; undefined where a mask is empty or full."""
        assert sample.truth is not None  # noqa: S101  (needs_masks)
        compared = tuple(m if t is not None else None for m, t in zip(sample.maps, sample.truth, strict=True))
        values, reasons = [], []
        for values_of, inside in zip(sample.of_each(compared), sample.of_each(sample.truth), strict=True):
            known = bool(inside.any()) and not bool(inside.all())
            number = self.hits(values_of, inside) if known else None
            values.append(values_of.new_zeros(()) if number is None else number.to(values_of.dtype))
            mute = "the map gives no number" if known else "the mask is empty, or covers all positions"
            reasons.append(mute if number is None else None)
        return Measurement(torch.stack(values), tuple(reasons))

    def cost(self, inputs: object) -> int:
        """Return 0: only the map is looked at."""
        return 0


class RelevanceRankAccuracy(Localisation):
    """Share of the highest values, as many as the mask has positions, that lie inside. Arras et al., 2022.

    arXiv:2003.07258 (CLEVR-XAI). Asks whether what matters ranks first. From 0 to 1, higher is better; a random map
    gets the mask's share of the input, and so does a constant one (ties share their places). Ignores how large values
    are.
    """

    def hits(self, values: Tensor, inside: Tensor) -> Tensor:
        """Return the share."""
        size = int(inside.sum())
        least = values.topk(size).values[-1]
        above, ties = values > least, values == least
        places = size - above.sum()
        return ((above & inside).sum() + places * (ties & inside).sum() / ties.sum()) / size


class RelevanceMassAccuracy(Localisation):
    """Share of a map's positive mass that lies inside the mask. Arras et al., 2022 (arXiv:2003.07258).

    Asks whether what speaks for the class lies where it should. From 0 to 1, higher is better; a map of equal values
    gets the mask's share of the input. Undefined where nothing is positive. One large value decides, and negative
    values do not count.
    """

    def hits(self, values: Tensor, inside: Tensor) -> Tensor | None:
        """Return the share."""
        mass = values.clamp(min=0)
        return mass[inside].sum() / mass.sum() if mass.any() else None


class PointingGame(Localisation):
    """Whether the highest value lies inside the mask. Zhang et al., 2018 (arXiv:1608.00507).

    Asks the least that can be asked. 0 or 1, higher is better; where several positions share the highest value, the
    share of them inside, so that a constant map gets the mask's share of the input. A single position decides: only
    means over many examples say something. Fails its meta-evaluation for this: where the model is destroyed, the
    highest value often lies inside still.
    """

    def hits(self, values: Tensor, inside: Tensor) -> Tensor:
        """Return the share of the highest values inside."""
        highest = values == values.max()
        return (highest & inside).sum() / highest.sum()


class AUROC(Localisation):
    """Probability that a position inside the mask has a higher value than one outside (area under the ROC curve).

    Asks whether what matters ranks above the rest. From 0 to 1, 0.5 for a random or constant map, higher is better.
    Flattering where the mask is small: thousands of easy positions outside hide a few that rank first; look at
    ``AveragePrecision`` with it. Fawcett, 2006 (doi:10.1016/j.patrec.2005.10.010).
    """

    def hits(self, values: Tensor, inside: Tensor) -> Tensor:
        """Return the area."""
        outside = values[~inside].sort().values
        lower = torch.searchsorted(outside, values[inside])
        not_higher = torch.searchsorted(outside, values[inside], right=True)
        return (lower + not_higher).double().mean() / (2 * len(outside))


class AveragePrecision(Localisation):
    """Mean precision at every position inside the mask, from the highest value down. Everingham et al., 2010.

    doi:10.1007/s11263-009-0275-4. Asks whether what ranks first matters. From 0 to 1, about the mask's share of the
    input for a random map and exactly that for a constant one, higher is better. Depends on that share, so that only
    values of masks alike in size compare.
    """

    def hits(self, values: Tensor, inside: Tensor) -> Tensor:
        """Return the average precision."""
        from sklearn.metrics import average_precision_score

        return values.new_tensor(average_precision_score(inside.cpu().numpy(), values.cpu().numpy()))
