"""A linear model's gradient times input is perfectly correlated with what is lost."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.statistics import pearson


@pytest.fixture
def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()


def _inputs(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_contributions_of_a_linear_model_correlate_perfectly(linear: nn.Module) -> None:
    x = _inputs()
    share = x * linear[1].weight[1].reshape(1, 1, 4, 4)
    metric = FaithfulnessCorrelation(linear)
    assert torch.allclose(metric.evaluate(x, 1, share), torch.ones(3, dtype=torch.float64))
    assert torch.allclose(metric.evaluate(x, 1, -share), -torch.ones(3, dtype=torch.float64))
    assert torch.allclose(metric.evaluate(x, 1, 7 * share + 1), torch.ones(3, dtype=torch.float64))


def test_it_equals_a_loop_over_the_same_subsets(linear: nn.Module) -> None:
    x, maps = _inputs(2), torch.rand(2, 1, 4, 4, dtype=torch.float64)
    net = nn.Sequential(linear, nn.Tanh(), nn.Linear(3, 2).double())
    metric = FaithfulnessCorrelation(net, n_runs=20, subset_fraction=0.25)
    seen = []
    handle = net.register_forward_pre_hook(lambda module, args: None if is_probe() else seen.append(args[0].clone()))
    found = metric.evaluate(x, 0, maps)
    handle.remove()
    rows = torch.cat(seen)
    for k in range(2):
        mine = [row for row in rows if torch.equal(row[row != 0], x[k][row != 0])]
        sums = [float(maps[k][row == 0].sum()) for row in mine if (row == 0).any()]
        losses = [(net(x[k : k + 1])[0, 0] - net(row[None])[0, 0]).item() for row in mine if (row == 0).any()]
        assert len(sums) == 20
        assert found[k].item() == pytest.approx(pearsonr(sums, losses).statistic)


def test_one_masked_run_serves_every_map(linear: nn.Module) -> None:
    x, shared = _inputs(), SharedRuns()
    metric = FaithfulnessCorrelation(linear)
    maps = [torch.rand(3, 1, 4, 4, dtype=torch.float64) for _ in range(4)]
    together = [metric.measure(x, 1, m, shared=shared).values for m in maps]
    apart = [metric.measure(x, 1, m).values for m in maps]
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    assert (shared.rows_run, shared.rows_saved) == (3 * 101, 3 * 3 * 101)


def test_shared_runs_are_told_apart(linear: nn.Module) -> None:
    x, shared = _inputs(), SharedRuns()
    maps = torch.rand(3, 1, 4, 4, dtype=torch.float64)
    for metric, inputs, target, seed in (
        (FaithfulnessCorrelation(linear), x, 1, 0),
        (FaithfulnessCorrelation(linear), x, 2, 0),
        (FaithfulnessCorrelation(linear), x + 1, 1, 0),
        (FaithfulnessCorrelation(linear), x, 1, 1),
        (FaithfulnessCorrelation(linear, n_runs=50), x, 1, 0),
        (FaithfulnessCorrelation(linear, baseline_fn="mean"), x, 1, 0),
        (FaithfulnessCorrelation(linear, feature_mask_fn="patches"), x, 1, 0),
        (FaithfulnessCorrelation(nn.Sequential(linear, nn.Tanh())), x, 1, 0),
    ):
        assert torch.equal(
            metric.measure(inputs, target, maps, seed=seed, shared=shared).values.nan_to_num(9),
            metric.measure(inputs, target, maps, seed=seed).values.nan_to_num(9),
        )
    assert shared.rows_saved == 0


def test_undefined_values_come_with_a_reason(linear: nn.Module) -> None:
    found = FaithfulnessCorrelation(linear).measure(_inputs(), 1, torch.ones(3, 1, 4, 4))
    assert found.values.isnan().all()
    assert all("do not vary" in str(reason) for reason in found.reasons)


def test_settings_out_of_range_are_refused(linear: nn.Module) -> None:
    with pytest.raises(ArgumentError, match="subset_fraction: expected a number > 0 and < 1, got 1.0"):
        FaithfulnessCorrelation(linear, subset_fraction=1.0)


def test_pearson_equals_scipy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 5, 30))
    values, defined = pearson(torch.tensor(a), torch.tensor(b))
    assert all(defined)
    assert values.tolist() == pytest.approx([pearsonr(x, y).statistic for x, y in zip(a, b, strict=True)])


def test_a_model_that_was_trained_on_is_run_again(linear: nn.Module) -> None:
    x, shared, maps = _inputs(), SharedRuns(), torch.rand(3, 1, 4, 4, dtype=torch.float64)
    metric = FaithfulnessCorrelation(linear)
    before = metric.measure(x, 1, maps, shared=shared).values
    with torch.no_grad():
        linear[1].weight[1].neg_()
    assert torch.allclose(metric.measure(x, 1, maps, shared=shared).values, -before)
