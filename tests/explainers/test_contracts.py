"""Every explainer of the package keeps every contract on every model that it fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.testing.audit import check_growth
from pnpxai.testing.contracts import COMMON_FIELDS, EXPLAINER_CHECKS, fitting_cases
from pnpxai.testing.declarations import (
    check_defaults,
    check_round_trip,
    check_signature,
    check_unique_names,
    check_unknown_setting,
)
from pnpxai.testing.lending import check_cost, check_nothing_left
from pnpxai.testing.results import check_alone_as_in_a_batch, check_form, check_says_something
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

EXPLAINERS = every(Explainer, within="pnpxai.")
FEWER = {
    "n_iter": 3,
    "n_steps": 4,
    "n_samples": 20,
    "window": 1 / 4,
    "stride": 1 / 4,
    "n_masks": 40,
    "discard_ratio": 0.5,
    "n_channels": 8,
}
"""Settings that only cost time, or that so small a model needs: of five tokens, little is left to discard."""
FEWEST = {"ShapleyValueSampling": {"n_samples": 2}}
"""The same for one explainer, whose samples cost more than others'."""
REFUSALS = {}
"""What an explainer says it fits, and then refuses, by (explainer, case): the error, which a run shows."""
RECTIFIED = ("GuidedGradCam", "TransformerAttribution")
"""Whose maps are zero, by definition, of examples in which nothing speaks for the output."""
FULL = ("skip_cnn", "two_inputs", "tokens")
"""Every check is run on these; on the others only the quick ones, the rest with ``-m slow``; on large ones no rest."""
QUICK = (check_form, check_alone_as_in_a_batch, check_says_something, check_cost, check_nothing_left)
LARGE = ("resnet18",)


def settings(explainer):
    fewer = FEWER | FEWEST.get(explainer.__name__, {})
    return {name: value for name, value in fewer.items() if name in explainer._fields}


def heard(subject, case):
    """Return a case with, for each example, the first output that something speaks for."""
    maps = [subject.run(case, targets=[output] * len(case))[0] for output in range(case.outputs)]
    speaks = torch.stack([m.flatten(1).any(1) for m in maps], dim=1)
    assert speaks.any(1).all()
    return replace(case, targets=speaks.int().argmax(1).tolist())


def _laws():
    for explainer in EXPLAINERS:
        for name in fitting_cases(explainer):
            for check in QUICK if name in LARGE else EXPLAINER_CHECKS:
                quick = name in FULL or (check in QUICK and name not in LARGE)
                yield pytest.param(
                    explainer,
                    name,
                    check,
                    marks=[] if quick else [pytest.mark.slow],
                    id=f"{explainer.__name__}-{name}-{check.__name__}",
                )


@pytest.mark.parametrize(("explainer", "name", "check"), list(_laws()))
def test_law(explainer, name, check):
    case = CASES[name]()
    subject = Subject.of_explainer(explainer, case, **settings(explainer))
    if (explainer.__name__, name) in REFUSALS:
        with pytest.raises(REFUSALS[explainer.__name__, name]):
            subject.run(case)
        return
    if explainer.__name__ in RECTIFIED:
        case = heard(subject, case)
    check(subject, case)


every_explainer = pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.__name__)


@every_explainer
def test_declaration(explainer):
    model = CASES["skip_cnn"]().model
    check_round_trip(explainer(model), model)
    check_round_trip(explainer(model, layer=model.conv2), model)
    check_defaults(explainer)
    check_signature(explainer, COMMON_FIELDS)
    check_unknown_setting(explainer, model)


@every_explainer
def test_every_explainer_fits_something(explainer):
    assert fitting_cases(explainer)


@every_explainer
def test_many_calls_leave_what_few_leave(explainer):
    name = next(name for name in fitting_cases(explainer) if name not in LARGE)
    case = CASES[name]()
    made = Subject.of_explainer(explainer, case, **settings(explainer)).make(case.model)
    check_growth(lambda: made.attribute(case.inputs, case.targets), warm=5, calls=20)


def test_names_are_unique():
    check_unique_names(Explainer)
