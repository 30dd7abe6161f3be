"""Random subsets: infidelity, sensitivity-n and mu-fidelity against plain loops, captum, and what sharing saves."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Metric
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation, MuFidelity, SensitivityN
from pnpxai.metrics.faithfulness.infidelity import Infidelity
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.strategies.feature_masks import Grid
from tests.on_demand import OnDemand


@pytest.fixture
def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double()


@pytest.fixture
def bent() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def _inputs(n: int = 3, seed: int = 1) -> Tensor:
    return torch.rand(n, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1


def _rows(metric: Metric, model: nn.Module, x: Tensor, maps: Tensor) -> tuple[float, Tensor]:
    """Return the metric's value of one example, and the rows that it ran (the first is the whole input)."""
    seen: list[Tensor] = []
    handle = model.register_forward_pre_hook(lambda module, args: None if is_probe() else seen.append(args[0].clone()))
    value = metric.evaluate(x, 1, maps)
    handle.remove()
    return value.item(), torch.cat(seen)


def _shares(linear: nn.Module, x: Tensor) -> Tensor:
    return x * linear[1].weight[1].reshape(1, 1, 6, 6)


def test_the_contributions_of_a_linear_model_are_perfect(linear: nn.Module) -> None:
    x = _inputs()
    right = _shares(linear, x)
    one = torch.ones(3, dtype=torch.float64)
    assert torch.allclose(SensitivityN(linear).evaluate(x, 1, right), one)
    assert torch.allclose(SensitivityN(linear).evaluate(x, 1, -right), -one)
    assert torch.allclose(MuFidelity(linear, grid_size=6).evaluate(x, 1, right), one)
    assert torch.allclose(Infidelity(linear).evaluate(x, 1, right), 0 * one, atol=1e-12)
    assert torch.allclose(Infidelity(linear).evaluate(x, 1, 5 * right), 0 * one, atol=1e-12)
    assert torch.allclose(Infidelity(linear, normalize=False).evaluate(x, 1, right), 0 * one, atol=1e-12)
    assert torch.allclose(Infidelity(linear).evaluate(x, 1, -right), one)
    assert torch.allclose(Infidelity(linear).evaluate(x, 1, 0 * right), one)


def test_infidelity_is_the_one_worked_by_hand() -> None:
    model = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 1.0]]))
    x, maps = torch.ones(1, 2, dtype=torch.float64), torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    raw = Infidelity(model, n_runs=200, normalize=False).measure(x, None, maps)
    first = (raw.curves["losses"] == 3).double().mean().item()  # how often the first column went; else the second
    assert raw.values.item() == pytest.approx(first * (1 - 3) ** 2)
    scaled = Infidelity(model, n_runs=200).evaluate(x, None, maps).item()
    mean, square = 3 * first + 1 * (1 - first), 9 * first + 1 * (1 - first)
    assert scaled == pytest.approx(1 - mean**2 / square)


def test_infidelity_is_that_of_captum_on_the_same_subsets(bent: nn.Module) -> None:
    x = _inputs(1).requires_grad_()
    (slope,) = torch.autograd.grad(bent(x)[0, 1], x)
    x, maps = x.detach(), slope * x.detach() + 0.1 * _inputs(1, seed=2)
    for metric in (Infidelity(bent), Infidelity(bent, normalize=False)):
        value, rows = _rows(metric, bent, x, maps)
        steps = iter(rows[1:])

        def remove(inputs: Tensor, rest: object = steps) -> tuple[Tensor, Tensor]:
            row = next(rest)[None]  # type: ignore[call-overload]
            return (row != inputs).double(), row

        theirs = OnDemand("captum.metrics").infidelity(
            bent, remove, x, maps, target=1, n_perturb_samples=100, max_examples_per_batch=1, normalize=metric.normalize
        )
        size = (bent(x) - bent(rows[1:]))[:, 1].square().mean() if metric.normalize else 1.0
        assert 0 < value < 1
        assert value == pytest.approx((theirs / size).item())


def test_sensitivity_n_is_the_mean_of_correlations_at_each_size(bent: nn.Module) -> None:
    x, maps = _inputs(1), torch.randn(1, 1, 6, 6, dtype=torch.float64)
    metric = SensitivityN(bent, n_runs=12, fractions=(0.1, 0.5))
    value, rows = _rows(metric, bent, x, maps)
    gone = (rows[1:] != x).flatten(1)
    assert gone.sum(1).tolist() == [4] * 12 + [18] * 12
    losses = (bent(x) - bent(rows[1:]))[:, 1].detach()
    sums = gone.double() @ maps.flatten()
    wanted = [pearsonr(sums[k : k + 12], losses[k : k + 12]).statistic for k in (0, 12)]
    assert value == pytest.approx(np.mean(wanted))
    assert metric.measure(x, 1, maps).curves["sensitivity_n"][0].tolist() == pytest.approx(wanted)


def test_mu_fidelity_is_the_rank_correlation_over_cells(bent: nn.Module) -> None:
    x, maps = _inputs(1), torch.randn(1, 1, 6, 6, dtype=torch.float64)
    value, rows = _rows(MuFidelity(bent, n_perturb=40, grid_size=3, noise_scale=0.4), bent, x, maps)
    gone = rows[1:] != x
    cells = gone[:, 0].unfold(1, 2, 2).unfold(2, 2, 2).reshape(40, 9, 4)
    assert torch.equal(cells.all(2), cells.any(2))  # whole cells go, and nothing is added to the others
    assert cells.all(2).sum(1).tolist() == [4] * 40
    losses = (bent(x) - bent(rows[1:]))[:, 1].detach()
    assert value == pytest.approx(spearmanr(gone.double().flatten(1) @ maps.flatten(), losses).statistic)


def test_mu_fidelity_takes_what_other_metrics_take(bent: nn.Module) -> None:
    x, maps = _inputs(), torch.randn(3, 1, 6, 6, dtype=torch.float64)
    plain = MuFidelity(bent, grid_size=3)
    assert torch.equal(plain.evaluate(x, 1, maps), MuFidelity(bent, grid_size=Grid(cells=3)).evaluate(x, 1, maps))
    assert torch.equal(plain.evaluate(x, 1, maps), MuFidelity(bent, grid_size=3, baseline="zeros").evaluate(x, 1, maps))
    assert not torch.equal(plain.evaluate(x, 1, maps), MuFidelity(bent, grid_size=3, baseline=1.0).evaluate(x, 1, maps))
    assert MuFidelity(bent, baseline=1).baseline == 1.0
    for wrong in ({"n_perturb": 1}, {"noise_scale": 1.0}, {"grid_size": 1}, {"baseline": "zeroes"}, {"batch_size": 0}):
        with pytest.raises(ArgumentError, match=next(iter(wrong)) if "baseline" not in wrong else "zeros"):
            MuFidelity(bent, **wrong)


def test_a_grid_has_no_more_cells_than_there_are_positions(bent: nn.Module) -> None:
    x, maps = _inputs(), torch.randn(3, 1, 6, 6, dtype=torch.float64)
    assert torch.equal(MuFidelity(bent).evaluate(x, 1, maps), MuFidelity(bent, grid_size=6).evaluate(x, 1, maps))
    columns = nn.Linear(4, 2).double()
    row = torch.rand(1, 4, dtype=torch.float64) + 1
    value, rows = _rows(MuFidelity(columns), columns, row, columns.weight[1].detach() * row)
    assert (rows[1:] == 0).sum(1).tolist() == [1] * 150
    assert value == pytest.approx(1)


def test_mu_fidelity_runs_no_more_rows_at_once_than_asked(bent: nn.Module) -> None:
    sizes: list[int] = []
    bent.register_forward_pre_hook(lambda module, args: None if is_probe() else sizes.append(len(args[0])))
    MuFidelity(bent, batch_size=7).evaluate(_inputs(2), 1, _inputs(2))
    assert max(sizes) <= 7
    assert sum(sizes) == 2 * 151


def test_metrics_with_the_same_subsets_share_one_run(bent: nn.Module) -> None:
    x, maps, shared = _inputs(), torch.randn(3, 1, 6, 6, dtype=torch.float64), SharedRuns()
    for metric in (FaithfulnessCorrelation(bent), Infidelity(bent), Infidelity(bent, normalize=False)):
        assert torch.equal(metric.measure(x, 1, maps, shared=shared).values, metric.evaluate(x, 1, maps))
    assert (shared.rows_run, shared.rows_saved) == (3 * 101, 2 * 3 * 101)


def test_an_example_is_known_again_in_another_batch(bent: nn.Module) -> None:
    x, maps, shared = _inputs(4), torch.randn(4, 1, 6, 6, dtype=torch.float64), SharedRuns()
    metric = FaithfulnessCorrelation(bent)
    apart = metric.evaluate(x, [0, 1, 2, 0], maps)
    metric.measure(x[:2], [0, 1], maps[:2], shared=shared)
    order = [3, 1, 0, 2]
    found = metric.measure(x[order], [0, 1, 0, 2], maps[order], shared=shared)
    assert torch.allclose(found.values, apart[order], atol=1e-12)
    assert (shared.rows_run, shared.rows_saved) == (4 * 101, 2 * 101)


def second(output: Tensor) -> Tensor:
    return output[:, 1]


def test_only_functions_with_a_name_are_known_again(bent: nn.Module) -> None:
    """Another function may come to have the address of one that is gone."""
    x, maps = _inputs(), torch.randn(3, 1, 6, 6, dtype=torch.float64)
    for target, saved in ((second, 3 * 101), (lambda output: output[:, 1], 0)):
        shared = SharedRuns()
        for _ in range(2):
            found = FaithfulnessCorrelation(bent).measure(x, target, maps, shared=shared).values
            assert torch.equal(found, FaithfulnessCorrelation(bent).evaluate(x, 1, maps))
        assert shared.rows_saved == saved
    shared = SharedRuns()
    for prob_fn in (None, nn.functional.sigmoid, lambda output: output + 1):
        metric = FaithfulnessCorrelation(bent, prob_fn=prob_fn)
        assert torch.equal(metric.measure(x, 1, maps, shared=shared).values, metric.evaluate(x, 1, maps))
    assert shared.rows_saved == 0


def test_a_model_that_loses_nothing_says_nothing() -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([0 * x.flatten(1).sum(1), 0 * x.flatten(1).sum(1) + 1], 1)

    for metric in (Infidelity, FaithfulnessCorrelation, SensitivityN, MuFidelity):
        found = metric(Same()).measure(_inputs(), 1, _inputs(seed=2))
        assert found.values.isnan().all()
        assert all(found.reasons)
