"""On a GPU: the same numbers as on the CPU, on the device of what is explained."""

from collections.abc import Callable

import pytest
import torch

from pnpxai.attributors import LRP, DeepLift, LayerIntegratedGradients, NoiseTunnel, Saliency
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.registry import every
from pnpxai.testing.contracts import fitting_cases
from pnpxai.testing.subject import Subject, close
from pnpxai.testing.zoo import CASES, Case

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch.cuda can use"),
]


def _moved(name: str = "skip_cnn") -> tuple[Case, Case]:
    case = CASES[name]()
    there = case.copy().with_inputs(lambda tensor: tensor.cuda())
    there.model.cuda()
    return case, there


def _same(make: Callable[[Case], Subject], name: str) -> None:
    here, there = _moved(name)
    wanted, found = make(here).run(here), make(there).run(there)
    assert all(tensor.is_cuda for tensor in found)
    assert close(tuple(tensor.cpu() for tensor in found), wanted, 1e-5)


@pytest.mark.parametrize("explainer", every(Explainer, within="pnpxai."), ids=lambda e: e.__name__)
def test_explainers(explainer: type[Explainer]) -> None:
    fitting = fitting_cases(explainer)
    _same(lambda case: Subject.of_explainer(explainer, case), "skip_cnn" if "skip_cnn" in fitting else fitting[0])


@pytest.mark.parametrize("metric", every(Metric, within="pnpxai."), ids=lambda m: m.__name__)
def test_metrics(metric: type[Metric]) -> None:
    _same(lambda case: Subject.of_metric(metric, case), "skip_cnn")


def test_attributors() -> None:
    here, there = _moved()
    layer = next(name for name, m in here.model.named_modules() if isinstance(m, torch.nn.Conv2d))
    for make in (
        DeepLift,
        LRP,
        lambda m: NoiseTunnel(Saliency(m)),
        lambda m: LayerIntegratedGradients(m, layer),
    ):
        wanted = make(here.model).attribute(here.inputs, target=here.targets)
        found = make(there.model).attribute(there.inputs, target=there.targets)
        assert found.is_cuda
        assert torch.allclose(found.cpu(), wanted, rtol=1e-6, atol=1e-8)


def test_the_global_random_state_of_the_gpu_is_left_alone() -> None:
    _, there = _moved()
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    NoiseTunnel(Saliency(there.model)).attribute(there.inputs, target=there.targets)
    assert torch.equal(torch.cuda.get_rng_state(), before)
