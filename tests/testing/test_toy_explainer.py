"""One class in one file is enough: it is found, recommended, tuned, and held to every contract."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from annotated_types import Gt

from pnpxai import AutoExplanationForImageClassification
from pnpxai.attributors import InputXGradient
from pnpxai.attributors.base import Attributor
from pnpxai.declare.declared import Range
from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.tensors import as_tuple, like
from pnpxai.testing import ExplainerContract
from tests.small import Bright, pictures


class Sharpened(Attributor):
    def __init__(self, model, power):
        super().__init__(model)
        self.power = power

    def attribute(self, inputs, target=None, additional_forward_args=None):
        shares = InputXGradient(self.forward_func).attribute(inputs, target, additional_forward_args)
        return like(inputs, [s.sign() * s.abs() ** self.power for s in as_tuple(shares)])


class ToySharpened(Explainer):
    """Gradient times input, raised to a power with its sign kept."""

    power: Annotated[float, Gt(0), Range(0.5, 2.0, step=0.5)] = 1.0
    """Above one, large shares stand out."""

    def attributor(self):
        return Sharpened(self.forward_func, self.power)


class TestContracts(ExplainerContract):
    explainer = ToySharpened
    settings: ClassVar[dict[str, Any]] = {"power": 0.5}
    case_names = ("skip_cnn", "two_inputs")
    answer = staticmethod(lambda weights, inputs: (weights * inputs).sign() * (weights * inputs).abs() ** 0.5)


def test_it_is_found_recommended_and_tuned():
    assert ToySharpened in every(Explainer)
    assert ToySharpened not in every(Explainer, within="pnpxai.")
    auto = AutoExplanationForImageClassification(Bright(), pictures(12))
    assert ToySharpened in auto.recommended.explainers
    found = auto.tune("ToySharpened", n_trials=3, show_progress=False)
    assert type(found.explainer) is ToySharpened
    assert {trial.params["explainer.power"] for trial in found.study.trials} <= {0.5, 1.0, 1.5, 2.0}


@pytest.mark.parametrize("power", [0.0, "2"])
def test_its_settings_are_checked(power):
    with pytest.raises(ValueError, match="ToySharpened: power: expected a number > 0"):
        ToySharpened(Bright(), power=power)
