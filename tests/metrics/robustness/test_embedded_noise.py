"""Ids are disturbed where they are embedded, and explained there as they were: little noise changes little."""

import pytest
import torch
from torch import Tensor, nn

from pnpxai.declare.registry import every
from pnpxai.detector import detect
from pnpxai.engine.running.probes import is_probe
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.robustness.sensitivity import AvgSensitivity, LocalLipschitz, RelativeOutputStability, Sensitivity
from pnpxai.strategies.token_baselines import Pad, Token
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES
from pnpxai.traits import Traits

CASE = CASES["tokens"]()
FITTING = [
    kind
    for kind in every(Explainer, within="pnpxai.")
    if kind.reason_against(detect(CASE.model), Traits.text()) is None and kind.__name__ != "RandomMap"
]
OF_IDS = [
    IntegratedGradients(CASE.model, baseline_fn=Token(3)),
    IntegratedGradients(CASE.model, baseline_fn=Pad(token_id=3), layer="embedding"),
    Occlusion(CASE.model, baseline_fn=Token(3), layer="embedding"),
]


@pytest.mark.parametrize("kind", FITTING, ids=lambda kind: kind.__name__)
def test_little_noise_changes_little(kind: type[Explainer]) -> None:
    metric = Sensitivity(CASE.model, kind(CASE.model, layer="embedding"), n_iter=2, epsilon=1e-7)
    assert metric.evaluate(CASE.inputs, CASE.targets).max() < 1e-4


@pytest.mark.parametrize("explainer", OF_IDS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("kind", [Sensitivity, AvgSensitivity, LocalLipschitz, RelativeOutputStability])
def test_baselines_of_ids_are_embedded_too(kind: type[Sensitivity], explainer: Explainer) -> None:
    still = Sensitivity(CASE.model, explainer, n_iter=30, epsilon=1e-7)  # several blocks of rows
    assert still.evaluate(CASE.inputs, CASE.targets).max() < 1e-5
    metric = kind(CASE.model, explainer, n_iter=3)
    with counted(CASE.model) as rows:
        found = metric.evaluate(CASE.inputs, CASE.targets)
    assert rows.rows == metric.cost(CASE.inputs) + explainer.cost(CASE.inputs)
    for k in range(len(CASE)):
        alone = metric.evaluate(CASE.inputs[k : k + 1], CASE.targets[k : k + 1])
        assert alone.item() == pytest.approx(found[k].item())


def test_a_mean_of_the_gradient_is_that_of_a_loop_over_disturbed_embeddings() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        rest = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 2)).double()
        net = nn.Sequential(nn.Embedding(5, 3).double(), rest)
    ids, seen = torch.tensor([[1, 2, 0, 4]]), []
    handle = rest.register_forward_pre_hook(
        lambda module, args: None if is_probe() else seen.append(args[0].detach().clone())
    )
    found = AvgSensitivity(net, Gradient(net), n_iter=4).evaluate(ids, 1).item()
    handle.remove()
    own = net[0](ids).detach()
    copies = [row for row in torch.cat(seen).unique(dim=0) if not torch.equal(row, own[0])]

    def gradient(row: Tensor) -> Tensor:
        leaf = row[None].clone().requires_grad_()
        return torch.autograd.grad(rest(leaf)[0, 1], leaf)[0]

    assert len(copies) == 4
    moved = [(gradient(row) - gradient(own[0])).norm() / gradient(own[0]).norm() for row in copies]
    assert found == pytest.approx(torch.stack(moved).mean().item())


def test_columns_of_codes_are_disturbed_at_their_embeddings() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.columns, self.head = nn.ModuleList([nn.Embedding(5, 4), nn.Embedding(3, 2)]), nn.Linear(6, 2)

        def forward(self, codes: Tensor) -> Tensor:
            return self.head(torch.cat([e(codes[:, k]) for k, e in enumerate(self.columns)], 1).tanh())

    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Columns()
    codes, made = torch.tensor([[4, 2], [1, 0]]), IntegratedGradients(model, n_steps=10)
    assert Sensitivity(model, made, n_iter=2, epsilon=1e-7).evaluate(codes, 0).max() < 1e-4
    metric = Sensitivity(model, made, n_iter=2)
    assert metric.evaluate(codes, 0).min() > 1e-3
    with counted(model) as rows:
        metric.measure(codes, 0, made.attribute(codes, 0))
    assert rows.rows == metric.cost(codes) + made.cost(codes)
