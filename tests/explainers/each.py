"""Every explainer with settings that cost little, and the cases that it fits."""

from __future__ import annotations

import pytest

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.testing.contracts import fitting_cases

FEWER = {"n_iter": 3, "n_steps": 4, "n_samples": 8, "window": 1 / 4, "stride": 1 / 4, "n_masks": 20}
EXPLAINERS = every(Explainer, within="pnpxai.")


def made(explainer, model, *arguments, **settings):
    """Return the explainer with cheap settings."""
    fewer = {name: value for name, value in FEWER.items() if name in explainer._fields}
    return explainer(model, *arguments, **(fewer | settings))


def fits(explainer, name):
    return name in fitting_cases(explainer)


def each(explainers):
    return pytest.mark.parametrize("explainer", explainers, ids=lambda e: e.__name__)
