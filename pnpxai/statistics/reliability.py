"""How often a verdict like this one was right where the truth is known."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["CLOSE", "reliability"]

CLOSE = 0.05
"""A choice is close to the best if it loses at most this share of what the best explainer gains over a random map."""
_FREE, _SLOPE = 1.5, 12.0


def reliability(measured: np.ndarray) -> float | None:
    """Return on what share of problems with known evidence the first of a verdict like this was ``CLOSE`` to the best.

    1 / (1 + exp(k s - a)), s being the standard deviation of what the deciding metric says of the first, over examples:
    a verdict was worth more where examples agree. Fitted by logistic regression, with a penalty, on 300 verdicts over
    the development problems, each made with a prior that did not know the family it was judged on.

    Args:
        measured: (examples,) values of the deciding metric for the explainer that is first; NaN where undefined.

    Returns:
        the share; None with fewer than two defined values.
    """
    defined = measured[np.isfinite(measured)]
    return None if len(defined) < 2 else 1 / (1 + math.exp(_SLOPE * float(defined.std(ddof=1)) - _FREE))
