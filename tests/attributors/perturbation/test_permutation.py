"""Features exchanged among examples, against captum and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import FeaturePermutation, LayerFeaturePermutation
from pnpxai.errors import ArgumentError
from tests.on_demand import CAPTUM

X = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[0, 0, 1, 2]])


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def rolled(x, mask):
    return torch.where(mask.bool(), x.roll(1, 0), x)


@pytest.mark.parametrize("mask", [None, MASK], ids=["elements", "groups"])
def test_it_is_captums_for_the_same_exchange(net, mask):
    here = FeaturePermutation(net, rolled).attribute(X, target=1, feature_mask=mask)
    there = CAPTUM.FeaturePermutation(net, rolled).attribute(X, target=1, feature_mask=mask)
    assert torch.allclose(here, there, atol=1e-12)


def test_several_inputs_are_exchanged_in_groups_across_them(net):
    def both(x, y):
        return net(x + y)

    masks = (MASK, MASK)
    here = FeaturePermutation(both, rolled).attribute((X, 2 * X), target=0, feature_mask=masks)
    there = CAPTUM.FeaturePermutation(both, rolled).attribute((X, 2 * X), target=0, feature_mask=masks)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(here, there, strict=True))


def test_a_layers_values_are_exchanged(net):
    here = LayerFeaturePermutation(net, "0", perm_func=rolled).attribute(X, target=2)
    with torch.no_grad():
        values, whole = net[0](X), net(X)[:, 2]
        for k in range(6):
            changed = rolled(values, torch.arange(6) == k)
            assert torch.allclose(here[:, k], whole - net[2](net[1](changed))[:, 2], atol=1e-12)


def test_by_default_examples_are_permuted_by_the_seed_alone(net):
    state = torch.get_rng_state()
    one, same, other = (FeaturePermutation(net).attribute(X, target=1, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(FeaturePermutation(net).attribute(X[:1], target=1), torch.zeros(1, 4, dtype=torch.float64))


def test_a_mask_for_each_example_is_refused(net):
    masks = torch.stack([torch.randperm(4) for _ in range(5)]) % 2
    with pytest.raises(ArgumentError, match="one mask for all examples"):
        FeaturePermutation(net).attribute(X, target=1, feature_mask=masks)
