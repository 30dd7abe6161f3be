"""What each explainer was worth on problems with known evidence, by kind of data: where choosing starts."""

from __future__ import annotations

import statistics

from pnpxai.statistics.prior_table import PRIOR

__all__ = ["PRIOR", "worth_of"]


def worth_of(kind: str | None, explainer: str) -> float:
    """Return the prior worth of an explainer, by its class's name.

    For a kind of data that has no problems, it is the mean over the kinds that have some. What was not among the
    problems is taken to be as good as the middle one of those that were.
    """
    known = PRIOR.get(kind or "", _OF_OTHERS)
    return known[explainer] if explainer in known else statistics.median(known.values())


_OF_OTHERS = {
    name: statistics.fmean(of[name] for of in PRIOR.values() if name in of)
    for name in dict.fromkeys(name for of in PRIOR.values() for name in of)
}
