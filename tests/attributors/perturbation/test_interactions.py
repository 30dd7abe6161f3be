"""Interactions of pairs: against brute force, against known products, and what is refused."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from pnpxai.attributors import ShapleyValues, shapley_interactions
from pnpxai.attributors.perturbation.designs import every_coalition
from pnpxai.errors import ArgumentError
from pnpxai.pictures import network

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)).double().eval()
X = torch.randn(3, 6).double()


@torch.no_grad()
def scores_of(x):
    return torch.stack([NET(torch.where(every_coalition(6), row, torch.zeros_like(row)))[:, 1] for row in x])


def sii(scores, i, j, n=6):
    """Return the Shapley interaction index of a pair by its definition over sets."""
    others, total = [k for k in range(n) if k not in (i, j)], 0.0
    for size in range(n - 1):
        weight = math.factorial(n - size - 2) * math.factorial(size) / math.factorial(n - 1)
        for members in itertools.combinations(others, size):
            code = sum(2**k for k in members)
            total += weight * (scores[code + 2**i + 2**j] - scores[code + 2**i] - scores[code + 2**j] + scores[code])
    return total


def test_the_shapley_interaction_index_by_brute_force():
    found, scores = shapley_interactions(NET, X, target=1, index="k-SII"), scores_of(X)
    for e, (i, j) in itertools.product(range(3), itertools.combinations(range(6), 2)):
        assert found.pairs[e, i, j] == found.pairs[e, j, i]
        assert torch.allclose(found.pairs[e, i, j], sii(scores[e], i, j), atol=1e-12)
    shapley = ShapleyValues(NET).attribute(X, target=1)
    assert torch.allclose(found.values + found.pairs.sum(2) / 2, shapley, atol=1e-12)


def test_the_faithful_index_by_the_equations_of_its_optimum():
    """Among all terms that are exact at both ends, none has a smaller weighted error: its gradient is constant."""
    found, scores, present = shapley_interactions(NET, X, target=1), scores_of(X), every_coalition(6).double()
    first, second = torch.triu_indices(6, 6, 1)
    terms = torch.cat([present, present[:, first] * present[:, second]], 1)
    fitted = torch.cat([found.values, found.pairs[:, first, second]], 1) @ terms.T + found.base_value[:, None]
    assert torch.allclose(fitted[:, [0, -1]], scores[:, [0, -1]], atol=1e-12)
    sizes = present.sum(1)[1:-1]
    weights = torch.tensor([1 / (math.comb(6, int(s)) * s * (6 - s)) for s in sizes])
    gradient = ((scores - fitted)[:, 1:-1] * weights) @ terms[1:-1]
    assert torch.allclose(gradient, gradient.mean(1, keepdim=True).expand_as(gradient), atol=1e-12)


def pairwise(x):
    return x[:, 0] + 2 * x[:, 1] * x[:, 2] - 3 * x[:, 3] * x[:, 20] + x[:, 5:].sum(1) / 4


@pytest.mark.parametrize("n_samples", ["auto", 602])
def test_a_game_of_pairs_is_found_without_all_coalitions(n_samples):
    found = shapley_interactions(
        pairwise, torch.ones(2, 24).double() * torch.tensor([[1.0], [2.0]]), n_samples=n_samples
    )
    expected = torch.zeros(24, 24).double()
    expected[1, 2] = expected[2, 1] = 2
    expected[3, 20] = expected[20, 3] = -3
    assert torch.allclose(found.pairs[0], expected, atol=1e-8)
    assert torch.allclose(found.pairs[1], 4 * expected, atol=1e-8)
    assert found.n_samples < 1200


def test_examples_with_different_groups_are_as_they_are_alone():
    mask = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 4], [3, 3, 9, 9, 4, 4]])
    together = shapley_interactions(NET, X, target=1, feature_mask=mask)
    for e, size in enumerate((2, 5, 3)):
        alone = shapley_interactions(NET, X[e : e + 1], target=1, feature_mask=mask[e : e + 1])
        assert torch.allclose(together.pairs[e, :size, :size], alone.pairs[0], atol=1e-12)
        assert torch.allclose(together.values[e, :size], alone.values[0], atol=1e-12)


@pytest.mark.parametrize("index", ["faithful", "k-SII"])
def test_one_group_is_worth_all(index):
    found = shapley_interactions(NET, X, target=1, feature_mask=torch.zeros(1), index=index)
    assert torch.allclose(found.values[:, 0], (NET(X) - NET(0 * X))[:, 1].detach(), atol=1e-12)
    assert found.pairs.shape == (3, 1, 1)
    assert not found.pairs.any()


def test_the_network_draws_the_largest_interactions():
    found = shapley_interactions(pairwise, torch.ones(1, 24).double())
    axes = pytest.importorskip("matplotlib.figure").Figure().add_subplot()
    network(axes, found.values[0].numpy(), found.pairs[0].numpy())
    widest = sorted(axes.lines, key=lambda line: -line.get_linewidth())[:2]
    assert [round(line.get_linewidth(), 2) for line in widest] == [5.3, round(0.3 + 5 * 2 / 3, 2)]
    angle = math.pi / 2 - 2 * math.pi * 20 / 24
    assert widest[0].get_xdata()[1] == pytest.approx(math.cos(angle))  # from feature 3 to feature 20
    assert len({tuple(line.get_color()) for line in widest}) == 2


def test_wrong_calls_are_refused():
    with pytest.raises(ArgumentError, match="n_samples: expected at least 554 for 24 groups and 'faithful', got 100"):
        shapley_interactions(pairwise, torch.ones(1, 24), n_samples=100)
    with pytest.raises(ArgumentError, match="n_samples: expected at least 16,777,216 for 24 groups and 'k-SII'"):
        shapley_interactions(pairwise, torch.ones(1, 24), index="k-SII")
    with pytest.raises(ArgumentError, match="index: expected 'faithful' or 'k-SII'"):
        shapley_interactions(pairwise, torch.ones(1, 24), index="SII")
