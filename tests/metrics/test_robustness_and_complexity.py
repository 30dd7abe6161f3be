"""Max-sensitivity and entropy by hand."""

import math

import pytest
import torch
from torch import nn

from pnpxai.errors import UnsuitableError
from pnpxai.explainers.gradient import Gradient, GradientXInput
from pnpxai.metrics.complexity import Complexity
from pnpxai.metrics.robustness import Sensitivity
from pnpxai.strategies.postprocessing import PostProcessor


@pytest.fixture
def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()


X = torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_constant_gradient_has_no_sensitivity(linear: nn.Module) -> None:
    assert Sensitivity(linear, Gradient(linear)).evaluate(X, 1).tolist() == [0.0, 0.0, 0.0]


def test_sensitivity_is_bounded_by_the_noise_where_the_map_is_linear(linear: nn.Module) -> None:
    weight = linear[1].weight[1].reshape(1, 1, 4, 4)
    values = Sensitivity(linear, GradientXInput(linear), epsilon=0.1).evaluate(X, 1)
    spread = (X.flatten(1).amax(1) - X.flatten(1).amin(1)) * 0.1
    bound = spread * weight.norm() / (X * weight).flatten(1).norm(dim=1)
    assert (values > 0.3 * bound).all()
    assert (values <= bound).all()


def test_more_noise_moves_the_map_more(linear: nn.Module) -> None:
    explainer = GradientXInput(linear)
    assert (
        Sensitivity(linear, explainer, epsilon=0.2).evaluate(X, 1)
        > Sensitivity(linear, explainer, epsilon=0.02).evaluate(X, 1)
    ).all()


def test_maps_are_compared_after_the_same_post_processing(linear: nn.Module) -> None:
    explainer, post = GradientXInput(linear), PostProcessor(normalization_fn="minmax")
    metric = Sensitivity(linear, explainer, postprocessor=post)
    made = metric.evaluate(X, 1)
    given = metric.evaluate(X, 1, post(explainer.attribute(X, 1)))
    assert torch.equal(made, given)


def test_it_needs_an_explainer_and_values_that_can_move(linear: nn.Module) -> None:
    with pytest.raises(UnsuitableError, match="needs explainer="):
        Sensitivity(linear).measure(X, 1, X)
    ids = torch.tensor([[1, 2]])
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    with pytest.raises(UnsuitableError, match="ids cannot be disturbed"):
        Sensitivity(net, Gradient(net, layer="0")).measure(ids, 1, torch.rand(1, 2, 3))


def test_entropy_runs_from_one_feature_to_all_alike(linear: nn.Module) -> None:
    one = torch.zeros(3, 1, 4, 4, dtype=torch.float64)
    one[:, 0, 1, 2] = -5
    assert Complexity(linear).evaluate(X, 1, one).abs().max() < 1e-12
    same = torch.ones(3, 1, 4, 4, dtype=torch.float64)
    assert Complexity(linear).evaluate(X, 1, same).tolist() == pytest.approx([math.log(16)] * 3)
    two = torch.zeros(3, 16, dtype=torch.float64)
    two[:, 0], two[:, 1] = 1.0, -3.0
    wanted = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert Complexity(linear).evaluate(X, 1, two.reshape(3, 1, 4, 4)).tolist() == pytest.approx([wanted] * 3)
    assert "zero everywhere" in str(Complexity(linear).measure(X, 1, 0 * same).reasons[0])
