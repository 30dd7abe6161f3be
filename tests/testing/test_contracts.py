"""A contract is inherited: what a third party writes is run on the zoo, and a fault in it fails a test."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
import torch
from annotated_types import Ge

from pnpxai.attributors import Saliency
from pnpxai.attributors.base import Attributor
from pnpxai.declare.declared import Range
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.base import Measurement, Metric
from pnpxai.tensors import as_tuple, like
from pnpxai.testing import ExplainerContract, MetricContract, contracts, lending, measurements, results
from pnpxai.testing.contracts import fitting_cases
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES


class _Scaled(Attributor):
    def __init__(self, model, factor):
        super().__init__(model)
        self.factor = factor

    def attribute(self, inputs, target=None, additional_forward_args=None):
        maps = Saliency(self.forward_func).attribute(
            inputs, target, abs=False, additional_forward_args=additional_forward_args
        )
        return like(inputs, [self.factor * m for m in as_tuple(maps)])


class ScaledGradient(Explainer):
    """A third party's explainer."""

    factor: Annotated[int, Ge(1), Range(1, 5)] = 2

    def attributor(self):
        return _Scaled(self.forward_func, self.factor)


class TestAThirdPartysExplainer(ExplainerContract):
    explainer = ScaledGradient
    settings: ClassVar[dict[str, Any]] = {"factor": 3}
    case_names = ("mlp", "skip_cnn", "two_inputs", "tokens")
    answer = staticmethod(lambda weights, inputs: 3 * weights)


class Largest(Metric):
    """Share of the largest value in a map's absolute sum: a third party's metric."""

    higher_is_better: ClassVar[bool] = True
    category = "complexity"

    def judge(self, sample):
        flat = torch.cat([a.flatten(1) for a in sample.attributions], 1).abs()
        total = flat.sum(1)
        reasons = tuple(None if t > 0 else "the map is zero everywhere" for t in total)
        return Measurement(flat.amax(1) / total, reasons, {"sorted": flat.sort(1)[0]})

    def cost(self, inputs):
        return 0


class TestAThirdPartysMetric(MetricContract):
    metric = Largest


class _OverTheBatch(Largest):
    """Normalises over the batch."""

    def judge(self, sample):
        found = super().judge(sample)
        return Measurement(found.values / found.values.max(), found.reasons)


class _WithoutReason(Largest):
    """Is undefined and does not say why."""

    def judge(self, sample):
        return Measurement(torch.full((sample.score.size,), float("nan")), (None,) * sample.score.size)


class _EditsMaps(Largest):
    """Edits the maps it is given."""

    def explained(self, arguments, targets, seed=0):
        self.__dict__["kept"] = super().explained(arguments, targets, seed)
        return self.kept

    def measure(self, inputs, targets, attributions=None, **more):
        found = super().measure(inputs, targets, attributions, **more)
        for given in () if attributions is None else as_tuple(attributions):
            given.mul_(2)
        return found


class _CostsMore(Largest):
    """Claims rows that it does not run."""

    def cost(self, inputs):
        return 1


class _FactsMissing(Metric, abstract=True):
    """Says nothing of itself."""


@pytest.mark.parametrize(
    ("metric", "check", "message"),
    [
        (_OverTheBatch, results.check_alone_as_in_a_batch, "alone as in a batch"),
        (_WithoutReason, measurements.check_reasons, "reasons: nan with reason None"),
        (_EditsMaps, measurements.check_given_maps, "given maps: they were changed"),
        (_CostsMore, lending.check_cost, "cost: 4 rows claimed, 3 run"),
    ],
)
def test_a_metrics_fault_is_caught(metric, check, message):
    case = CASES["mlp"]()
    with pytest.raises(AssertionError, match=message):
        check(Subject.of_metric(metric, case), case)


def test_missing_facts_are_caught():
    with pytest.raises(AssertionError, match="facts: _FactsMissing.higher_is_better is missing"):
        measurements.check_facts(_FactsMissing)


def test_a_fault_in_an_inherited_contract_fails_its_test():
    class Bad(ExplainerContract):
        explainer = ScaledGradient
        answer = staticmethod(lambda weights, inputs: weights)

    with pytest.raises(AssertionError, match="linear model: expected"):
        Bad().test_answer()


def test_cases_that_an_explainer_does_not_fit_are_left_out():
    assert fitting_cases(Gradient) == list(CASES)
    assert "mlp" not in fitting_cases(GradCam)
    assert "tokens" in fitting_cases(Occlusion)


def test_every_check_is_in_a_contract():
    listed = {*contracts.EXPLAINER_CHECKS, *contracts.METRIC_CHECKS}
    modules = (results, lending, contracts.randomness, measurements)
    written = {getattr(module, name) for module in modules for name in module.__all__ if name != "check_facts"}
    assert written == listed
