"""How often a verdict like this one was right where the truth is known."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["CLOSE", "reliability"]

CLOSE = 0.05
"""A choice is close to the best if it loses at most this share of what the best explainer gains over a random map."""
_FREE, _AGREES, _STEADY, _STEADIEST = -0.353, 1.0, 0.0693, 20.0


def reliability(measured: np.ndarray, *, agrees: bool) -> float | None:
    """Return on what share of problems with known evidence the first of a verdict like this was ``CLOSE`` to the best.

    1 / (1 + exp(-(a + b g + c min(m / s, 20)))), m and s being the mean and the standard deviation, over examples, of
    the deciding metric for the first, and g being 1 if the metric alone puts it first too, else 0: a verdict was worth
    more where examples agree, and where metric and prior do. Fitted by logistic regression on 285 verdicts on fourteen
    families of development problems, each family with the same weight, and each verdict made with a prior that did not
    know its family. The penalty is the one with the smallest calibration error on families that were left out: families
    differ so much that a new one is mostly worth what they are on average.

    Args:
        measured: (examples,) values of the deciding metric for the explainer that is first, higher being better; NaN
            where undefined.
        agrees: whether the metric alone puts it first.

    Returns:
        the share; None with fewer than two defined values.
    """
    defined = measured[np.isfinite(measured)]
    if len(defined) < 2:
        return None
    steady = min(float(defined.mean()) / max(float(defined.std(ddof=1)), 1e-9), _STEADIEST)
    return 1 / (1 + math.exp(-(_FREE + _AGREES * agrees + _STEADY * max(steady, 0.0))))
