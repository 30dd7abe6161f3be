"""What the prediction loses without the few most relevant features, and with nothing else."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pnpxai.metrics.base import Measurement, Sample
from pnpxai.metrics.faithfulness.flipping import order, without_first
from pnpxai.metrics.faithfulness.removal import Removal, Shares

__all__ = ["Comprehensiveness", "Sufficiency"]


class AtShares(Removal, abstract=True):
    """What these share: the target's probability when the first features are gone, at some shares of all."""

    fractions: Shares = (0.01, 0.05, 0.1, 0.2, 0.5)
    """The shares; of a small one, still one feature."""

    def at_shares(self, sample: Sample, *, keep: bool) -> Tensor:
        """Return (examples, 1 + shares) probabilities: of the whole input, then without the features (or with them)."""
        features = self.features(sample)
        places = order(features, descending=True)
        plan = [(places, share) for share in (1.0 if keep else 0.0, *self.fractions)]
        return without_first(sample, features, plan, at_least=1, keep=keep)

    def cost(self, inputs: object) -> int:
        """Return examples x (shares + 1)."""
        return self.examples(inputs) * (len(self.fractions) + 1)


class Comprehensiveness(AtShares):
    """Mean loss of the target's probability without the most relevant 1, 5, 10, 20 and 50 %. DeYoung et al., 2020.

    arXiv:1911.03429 (ERASER). Asks whether the map has found all that the prediction rests on; meant for tokens and
    columns, of which a few decide. Range -1 to 1, higher is better. At one share, with noise in the place of what is
    removed, it is OpenXAI's PGI. Not to be trusted where removal itself destroys any prediction: a random map's value
    shows it.
    """

    higher_is_better: ClassVar[bool] = True

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean loss."""
        scores = self.at_shares(sample, keep=False)
        lost = scores[:, :1] - scores[:, 1:]
        return Measurement(lost.mean(1), (None,) * sample.size, {"comprehensiveness": lost})


class Sufficiency(AtShares):
    """Mean loss of the target's probability with only the most relevant 1, 5, 10, 20 and 50 %. DeYoung et al., 2020.

    arXiv:1911.03429 (ERASER). Asks whether what the map has found is enough for the prediction; meant for tokens and
    columns. Range -1 to 1, lower is better. At one share, it is OpenXAI's PGU. Not to be trusted where the baseline
    alone gives the same prediction: every map then suffices. Fails its meta-evaluation: where inputs or the model are
    destroyed, values seldom get worse, as a class that is not predicted has little to lose.
    """

    higher_is_better: ClassVar[bool] = False

    def judge(self, sample: Sample) -> Measurement:
        """Return the mean loss."""
        scores = self.at_shares(sample, keep=True)
        lost = scores[:, :1] - scores[:, 1:]
        return Measurement(lost.mean(1), (None,) * sample.size, {"sufficiency": lost})
