"""Ways of choosing an explainer without knowing the truth.

The measures of a problem are means over its examples: of metrics, and of correlations of maps' sums with the losses of
random subsets, by scale, filling and share. A way of choosing turns them into one candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pnpxai.statistics import ranks
from pnpxai.truth.prior import PRIOR

__all__ = ["WAYS", "Evidence", "Way", "by_losses", "by_metrics", "by_prior_and_losses"]


@dataclass(frozen=True)
class Evidence:
    """What a way of choosing may know.

    Attributes:
        kind: the kind of data.
        names: the candidates.
        measures: measure -> candidate -> mean value, larger is better.
        redundancy: 1 - singles / halves; see ``Redundancy``.
    """

    kind: str
    names: Sequence[str]
    measures: Mapping[str, Mapping[str, float]]
    redundancy: float

    def losses(self, fills: Sequence[str], shares: Sequence[float]) -> np.ndarray:
        """Return (candidates,) correlations with subset losses, averaged over all scales, these fillings and shares."""
        wanted = {(fill, str(share)) for fill in fills for share in shares}
        parts = [m for m in self.measures if m.startswith("losses ") and tuple(m.split()[2:]) in wanted]
        return np.mean([[self.measures[m][n] for n in self.names] for m in parts], axis=0)


Way = Callable[[Evidence], str]
"""Names the candidate that is chosen."""

FILLS, SHARES = ("zeros", "marginal"), (0.1, 0.3, 0.6)


def by_metrics(*deciding: str) -> Way:
    """Return the way that takes the lowest rank, averaged over metrics."""

    def choose(evidence: Evidence) -> str:
        table = [[evidence.measures[m][n] for n in evidence.names] for m in deciding]
        return evidence.names[int(np.argmin(np.mean([ranks(row, higher_is_better=True) for row in table], axis=0)))]

    return choose


def by_losses(fills: Sequence[str] = FILLS, shares: Sequence[float] = SHARES) -> Way:
    """Return the way that takes the highest correlation with subset losses."""
    return lambda evidence: evidence.names[int(np.argmax(evidence.losses(fills, shares)))]


def by_prior_and_losses(weight: float = 0.5, redundant: float | None = 0.2, fallback: str = "ensemble of all") -> Way:
    """Return the way that adds what candidates were worth on other problems to what subset losses say of this one.

    score = weight * z(prior) + (1 - weight) * z(correlation with losses, filled in from other rows)

    Args:
        weight: of the prior.
        redundant: from this index of redundancy on, single parts are not missed, and ``fallback`` is taken; None never.
        fallback: what finds evidence that stands more than once.
    """

    def choose(evidence: Evidence) -> str:
        if redundant is not None and evidence.redundancy > redundant and fallback in evidence.names:
            return fallback
        prior = np.array([PRIOR[evidence.kind][name] for name in evidence.names])
        score = weight * _z(prior) + (1 - weight) * _z(evidence.losses(("marginal",), SHARES))
        return evidence.names[int(np.argmax(score))]

    return choose


def _z(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


WAYS: dict[str, Way] = {
    "mean rank of AbPC and FaithfulnessCorrelation": by_metrics("AbPC", "FaithfulnessCorrelation"),
    "AbPC": by_metrics("AbPC"),
    "FaithfulnessCorrelation": by_metrics("FaithfulnessCorrelation"),
    "LeRF": by_metrics("LeRF"),
    "Infidelity": by_metrics("Infidelity"),
    "subset losses, zeros": by_losses(("zeros",)),
    "subset losses, marginal": by_losses(("marginal",)),
    "subset losses": by_losses(),
    "prior and subset losses": by_prior_and_losses(redundant=None),
    "prior and subset losses, ensemble where redundant": by_prior_and_losses(),
}
"""Ways of choosing by name; the last one was chosen on the development problems, before any other was looked at."""
