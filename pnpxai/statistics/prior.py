"""What each explainer was worth on problems with known evidence, by kind of data: where choosing starts."""

from __future__ import annotations

import statistics

from pnpxai.statistics.prior_table import PRIOR

__all__ = ["PRIOR", "worth_of"]


def worth_of(kind: str | None, explainer: str) -> float:
    """Return the prior worth of an explainer, by its class's name.

    What was not among the problems is taken to be as good as the middle one of those that were; where nothing is known
    of the kind of data, all are worth the same.
    """
    known = PRIOR.get(kind or "", {})
    return known[explainer] if explainer in known else statistics.median(known.values()) if known else 0.0
