"""What captum 0.9 gets wrong about rules, baselines that are drawn, and what is run: right here, and not there."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pnpxai.attributors
from pnpxai.engine.running.probes import is_probe
from pnpxai.testing.zoo import CASES
from tests.attributors.test_captum_errors import both

pytestmark = pytest.mark.usefixtures("captum_may_warn")


class Functions(nn.Module):
    """A linear layer, some operation, and a linear layer."""

    def __init__(self, operation, width=6):
        super().__init__()
        self.first, self.operation, self.head = nn.Linear(4, 6), operation, nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.operation(self.first(x)))


class Cells(nn.Module):
    """An LSTM over three steps of two numbers."""

    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.LSTM(2, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.cells(x.unflatten(1, (3, 2)))[0][:, -1])


RELU = nn.ReLU()
OPERATIONS = {
    "a function": F.relu,
    "GELU": nn.GELU(),
    "SiLU": nn.SiLU(),
    "ReLU after max-pool": nn.Sequential(nn.Unflatten(1, (1, 6)), nn.MaxPool1d(2), nn.ReLU(), nn.Flatten()),
    "tanh after ReLU": nn.Sequential(nn.ReLU(), nn.Tanh()),
    "overlapping windows": nn.Sequential(nn.Unflatten(1, (1, 6)), nn.MaxPool1d(3, 1), nn.Flatten()),
    "a ReLU that runs twice": nn.Sequential(RELU, nn.Linear(6, 6), RELU),
}
WIDTHS = {"ReLU after max-pool": 3, "overlapping windows": 4}


def made(build):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build().double().eval()


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@both
@pytest.mark.parametrize("name", OPERATIONS)
def test_deeplift_is_complete(library, name):
    model = made(lambda: Functions(OPERATIONS[name], WIDTHS.get(name, 6)))
    x, start = drawn(5, 4), drawn(5, 4, seed=1)
    found = library.DeepLift(model).attribute(x, start, target=1)
    rise = (model(x) - model(start))[:, 1]
    assert (found.sum(1) - rise).abs().max() < 1e-6 * rise.abs().max()


@both
def test_equal_values_at_a_baseline_leave_nothing_to_rounding(library):
    model = made(lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), nn.MaxPool1d(3), nn.Flatten(), nn.Linear(2, 2)))
    x = drawn(4, 6)
    maps = [library.DeepLift(model).attribute(x, 0.9 + 1e-15 * drawn(4, 6, seed=seed), target=1) for seed in (1, 2)]
    assert torch.allclose(*maps, atol=1e-10)


@both
def test_deeplift_sees_the_inside_of_an_lstm(library):
    model, x = made(Cells), drawn(4, 6)
    found = library.DeepLift(model).attribute(x, 0 * x, target=0)
    rise = (model(x) - model(0 * x))[:, 0]
    assert (found.sum(1) - rise).abs().max() < 1e-6 * rise.abs().max()


@both
def test_relevance_sees_the_inside_of_an_lstm(library):
    model, x = made(Cells), drawn(4, 6)
    assert library.LRP(model).attribute(x, target=0).abs().sum() > 0


@both
def test_deeplift_of_a_softmax_is_of_one_example(library):
    model = made(lambda: Functions(nn.Softmax(1)))
    x = drawn(4, 4)
    method = library.DeepLift(model)
    assert torch.allclose(method.attribute(x, 0 * x, target=2)[:1], method.attribute(x[:1], 0 * x[:1], target=2))


@both
def test_deeplift_shap_takes_a_single_baseline(library):
    model = made(lambda: Functions(nn.ReLU()))
    x, start = drawn(3, 4), drawn(1, 4, seed=1)
    found = library.DeepLiftShap(model).attribute(x, start, target=1)
    assert torch.allclose(found, library.DeepLift(model).attribute(x, start, target=1))


@both
def test_relevance_at_every_layer(library):
    model = made(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)))
    found, deltas = library.LayerLRP(model, None).attribute(drawn(3, 4), target=1, return_convergence_delta=True)
    assert len(found) == len(deltas) >= 2


@both
def test_baselines_are_drawn_anew_for_each_copy(library):
    """Attributions of a linear function are its weight times what the input differs by, so they show the draws."""
    linear = made(lambda: nn.Linear(3, 1))
    rows = torch.arange(1.0, 21.0, dtype=torch.float64)[:, None].expand(20, 3)
    x = torch.zeros(1, 3, dtype=torch.float64)
    seen = []
    inner = library.IntegratedGradients(linear)
    spied = inner.attribute
    inner.attribute = spy = lambda *args, **kwargs: seen.append(kwargs["baselines"]) or spied(*args, **kwargs)
    spy.__wrapped__ = lambda self, *args, **kwargs: spy(*args, **kwargs)  # captum looks for it
    library.NoiseTunnel(inner).attribute(
        x, baselines=rows, draw_baseline_from_distrib=True, nt_samples=12, nt_samples_batch_size=3, stdevs=0.0
    )
    draws = [tuple(torch.as_tensor(b[0] if isinstance(b, tuple) else b).flatten().tolist()) for b in seen]
    assert len(set(draws)) == len(draws) == 4


@both
def test_a_pass_does_not_hold_all_rows(library):
    rows = []

    def model(x):
        is_probe() or rows.append(len(x))
        return (x**2).sum(1, keepdim=True)

    library.IntegratedGradients(model).attribute(drawn(40, 5), target=0, n_steps=50)
    assert max(rows) <= 1024


class Counted(nn.Linear):
    """A linear layer that counts the rows it computes."""

    rows = 0

    def forward(self, x):
        self.rows += len(x)
        return super().forward(x)


@both
def test_what_comes_before_a_layer_is_not_run_for_each_step(library):
    model = made(lambda: nn.Sequential(Counted(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    library.LayerIntegratedGradients(model, model[2]).attribute(drawn(3, 4), target=0, n_steps=16)
    assert model[0].rows <= 4 * 3


def test_a_subclass_that_computes_its_own_delta_may_be_wrapped():
    class Signed(pnpxai.attributors.IntegratedGradients):
        def has_convergence_delta(self):
            return True

        def compute_convergence_delta(self, attributions, start_point, end_point, target=None, **more):
            return torch.arange(len(end_point), dtype=torch.float64)

    case = CASES["mlp"]()
    tunnel = pnpxai.attributors.NoiseTunnel(Signed(case.model))
    _, delta = tunnel.attribute(
        case.inputs, target=case.targets, nt_samples=2, nt_samples_batch_size=1, return_convergence_delta=True
    )
    assert delta.view(len(case), 2).tolist() == [[row, row] for row in range(len(case))]
