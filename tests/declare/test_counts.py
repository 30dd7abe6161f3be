"""Counts of Python and of NumPy, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn

from pnpxai.attributors import (
    GradientShap,
    IntegratedGradients,
    KernelShap,
    LayerConductance,
    NoiseTunnel,
    Saliency,
)
from pnpxai.declare.counts import whole_number
from pnpxai.errors import ArgumentError
from pnpxai.experiment import compare
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.traits import Traits
from pnpxai.tuning import tune
from tests.small import Bright, examples


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.int32(3)])
def test_whole_numbers_of_any_kind_are_counts(value):
    found = whole_number("n", value)
    assert found == 3
    assert type(found) is int  # a list times a NumPy number would be an array


@pytest.mark.parametrize("value", [0, -1, True, np.True_, 2.0, np.float64(2), "2", None, torch.tensor(2), np.array(2)])
def test_nothing_else_is(value):
    with pytest.raises(ArgumentError, match="n: expected a whole number >= 1, got"):
        whole_number("n", value)


def test_the_least_is_said():
    assert whole_number("n", 0, 0) == 0
    with pytest.raises(ArgumentError, match="n: expected a whole number >= 2, got 1"):
        whole_number("n", 1, 2)


NET = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
X = torch.rand(2, 3)


@pytest.mark.parametrize(
    ("make", "name", "more"),
    [
        (lambda: IntegratedGradients(NET), "n_steps", {}),
        (lambda: LayerConductance(NET, NET[0]), "n_steps", {"method": "riemann_trapezoid"}),
        (lambda: NoiseTunnel(Saliency(NET)), "nt_samples", {}),
        (lambda: GradientShap(NET), "n_samples", {"baselines": torch.zeros(1, 3)}),
        (lambda: KernelShap(NET), "n_samples", {}),
    ],
)
def test_attributors_take_numbers_of_numpy(make, name, more):
    plain, other = (make().attribute(X, **{name: number}, **more) for number in (6, np.int64(6)))
    assert torch.equal(plain, other)


def test_comparisons_and_searches_take_numbers_of_numpy():
    net = Bright()
    options = {"traits": Traits.image(), "show_progress": False}
    one, other = (
        compare(net, examples(net), ["Gradient"], ["AbPC"], seed=kind(1), chunk=kind(5), **options)
        for kind in (int, np.int64)
    )
    assert one.table.equals(other.table)
    found = [
        tune(Gradient(net), examples(net), "AbPC", n_trials=kind(3), n_seeds=kind(1), seed=kind(2), **options)
        for kind in (int, np.int64)
    ]
    assert found[0].best == found[1].best
    assert found[0].value == found[1].value
