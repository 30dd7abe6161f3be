"""Every explainer of the package keeps every contract on every model that it fits."""

from __future__ import annotations

import pytest

from pnpxai.errors import RuleError
from pnpxai.explainers.base import Explainer
from pnpxai.registry import every
from pnpxai.testing import declarations
from pnpxai.testing.contracts import COMMON_FIELDS, EXPLAINER_CHECKS, fitting_cases
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

EXPLAINERS = every(Explainer, within="pnpxai.")
FEWER = {"n_iter": 3, "n_steps": 4, "n_samples": 20}
"""Settings that only cost time."""
REFUSALS = {("LRPEpsilonPlus", "vit"): (RuleError, "layer_norm|multi_head")}
"""What an explainer says it fits, and then refuses: why it must is shown by the run."""
LARGE = ("resnet18",)


def settings(explainer: type[Explainer]) -> dict[str, object]:
    return {name: value for name, value in FEWER.items() if name in explainer._fields}


PAIRS = [(e, name) for e in EXPLAINERS for name in fitting_cases(e) if (e.__name__, name) not in REFUSALS]


def _marked(explainer, name):
    return pytest.param(
        explainer, name, marks=[pytest.mark.slow] if name in LARGE else [], id=f"{explainer.__name__}-{name}"
    )


@pytest.mark.parametrize("check", EXPLAINER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("explainer", "name"), [_marked(*pair) for pair in PAIRS])
def test_law(explainer, name, check):
    case = CASES[name]()
    check(Subject.of_explainer(explainer, case, **settings(explainer)), case)
