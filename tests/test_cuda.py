"""On a GPU: the same numbers as on the CPU, on the device of what is explained."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pnpxai.attributors import LRP, DeepLift, LayerIntegratedGradients, NoiseTunnel, Saliency
from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.base import Metric
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


@pytest.mark.parametrize("baseline", ["zeros", "token"])
def test_ids_are_explained_at_their_embedding(baseline: str) -> None:
    here, there = _moved("tokens")
    wanted = IntegratedGradients(here.model, 5, baseline).attribute(here.inputs, here.targets)
    found = IntegratedGradients(there.model, 5, baseline).attribute(there.inputs, there.targets)
    assert torch.allclose(found.cpu(), wanted, rtol=1e-6, atol=1e-8)


def test_explanations_move_and_are_kept(tmp_path: Path) -> None:
    here, there = _moved()
    wanted = IntegratedGradients(here.model, 5).explain(here.inputs, here.targets)
    found = IntegratedGradients(there.model, 5).explain(there.inputs, there.targets)
    assert found.scores.is_cuda
    assert torch.allclose(found.to("cpu").attributions[0], wanted.attributions[0], rtol=1e-6, atol=1e-8)
    assert found[1].gap is not None
    assert type(found).load(found.save(tmp_path)) == found.to("cpu")
    assert found.plot().axes


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("training", [False, True])
def test_recurrent_networks_are_differentiated_in_eval_mode(kind: type[torch.nn.RNNBase], training: bool) -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = kind(3, 4, num_layers=2, dropout=0.5, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.cells(x)[0][:, -1]

    model, x = Recurrent().double(), torch.randn(2, 5, 3, dtype=torch.float64)
    wanted = Gradient(model).attribute(x, 1)
    model.cuda().train(training)
    found = Gradient(model).attribute(x.cuda(), 1)
    assert torch.allclose(found.cpu(), wanted, rtol=1e-6, atol=1e-9)
    assert torch.allclose(
        DeepLift(model).attribute(x.cuda(), target=1).cpu(), DeepLift(model.cpu()).attribute(x, target=1)
    )
    assert model.cells.dropout == 0.5
    assert model.cells.training == training
