"""Entropy and Gini index by hand, and completeness."""

import math

import pytest
import torch
from torch import Tensor, nn

from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.metrics.complexity import Complexity, Sparseness
from pnpxai.metrics.faithfulness.completeness import CompletenessError

X = torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()


def _with(*values: float) -> Tensor:
    flat = torch.zeros(3, 16, dtype=torch.float64)
    flat[:, : len(values)] = torch.tensor(values, dtype=torch.float64)
    return flat.reshape(3, 1, 4, 4)


def test_entropy_runs_from_one_feature_to_all_alike(linear: nn.Module) -> None:
    assert Complexity(linear).evaluate(X, 1, _with(-5.0)).abs().max() < 1e-12
    assert Complexity(linear).evaluate(X, 1, torch.ones_like(X)).tolist() == pytest.approx([math.log(16)] * 3)
    wanted = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert Complexity(linear).evaluate(X, 1, _with(1.0, -3.0)).tolist() == pytest.approx([wanted] * 3)


def test_the_gini_index_runs_from_all_alike_to_one_feature(linear: nn.Module) -> None:
    assert Sparseness(linear).evaluate(X, 1, torch.ones_like(X)).abs().max() < 1e-12
    assert Sparseness(linear).evaluate(X, 1, _with(-5.0)).tolist() == pytest.approx([15 / 16] * 3)
    # half of the mean absolute difference over all pairs, in units of the mean: 2 (1 x 3 + 14 x 4) / (2 x 256 x 4 / 16)
    pairs = 2 * (abs(1 - 3) + 14 * 1 + 14 * 3)
    assert Sparseness(linear).evaluate(X, 1, _with(1.0, -3.0)).tolist() == pytest.approx(
        [pairs / (2 * 256 * 4 / 16)] * 3
    )


def test_channels_are_added_up_first(linear: nn.Module) -> None:
    maps = torch.cat([_with(1.0, 2.0), _with(-1.0, 1.0)], 1)
    x = X.expand(3, 2, 4, 4)
    assert Complexity(linear).evaluate(x, 1, maps).abs().max() < 1e-12
    assert Sparseness(linear).evaluate(x, 1, maps).tolist() == pytest.approx([15 / 16] * 3)


def test_padding_does_not_count(linear: nn.Module) -> None:
    ids, maps = torch.tensor([[1, 2, 0, 0]]), torch.tensor([[1.0, 1.0, 5.0, 0.0]])
    mask = torch.tensor([[1, 1, 0, 0]])
    assert Complexity(linear).evaluate(ids, 1, maps, attention_mask=mask).item() == pytest.approx(math.log(2))
    assert Sparseness(linear).evaluate(ids, 1, maps, attention_mask=mask).item() == pytest.approx(0)


def test_a_map_of_zeros_has_no_mass(linear: nn.Module) -> None:
    for metric in (Complexity, Sparseness):
        found = metric(linear).measure(X, 1, torch.cat([0 * X[:1], X[1:]]))
        assert found.values.isnan().tolist() == [True, False, False]
        assert found.reasons == ("the map is zero everywhere", None, None)


def test_shares_of_the_score_are_complete(linear: nn.Module) -> None:
    share = X * linear[1].weight[1].reshape(1, 1, 4, 4)
    metric = CompletenessError(linear)
    assert metric.evaluate(X, 1, share).abs().max() < 1e-12
    assert metric.evaluate(X, 1, 1.5 * share).tolist() == pytest.approx([0.5] * 3)
    assert metric.evaluate(X, 1, -share).tolist() == pytest.approx([2.0] * 3)
    assert metric.evaluate(X, 1, 0 * share).tolist() == pytest.approx([1.0] * 3)


def test_completeness_is_over_the_explainers_baseline() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    explainer = IntegratedGradients(net, n_steps=50, baseline_fn="mean")
    assert CompletenessError(net, explainer, baseline_fn="mean").evaluate(X, 1).max() < 1e-6
    assert CompletenessError(net, explainer).evaluate(X, 1).min() > 1e-2


def test_an_input_that_scores_as_its_baseline_has_nothing_to_share_out(linear: nn.Module) -> None:
    found = CompletenessError(linear).measure(torch.cat([0 * X[:1], X[1:]]), 1, X)
    assert found.reasons == ("the score is that of the baseline", None, None)
