"""Defines the base of explainers that draw samples, and state a standard error of what they return."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from annotated_types import Gt

from pnpxai.explainers.base import Explainer

__all__ = ["Sampled"]


class Sampled(Explainer, abstract=True):
    """Draws samples, the number of which a tolerance may raise for each example."""

    tolerance: Annotated[float, Gt(0)] | None = dataclasses.field(default=None, kw_only=True)
    """Standard error at which an example stops, as a fraction of the size of its attributions (both as the root of the
    sum of squares). The number of samples is doubled until then, up to 64 times the one that is set;
    ``Explanation.used`` has the number for each example, 0 where attributions are exact. None draws the number that is
    set."""

    stochastic: ClassVar[bool] = True
    draws: ClassVar[str | None] = "n_samples"
