"""Shapley values as a weighted fit: coalitions, constraint, accuracy. (Known answers: test_sampling.py.)"""

from __future__ import annotations

import math

import pytest
import torch

from pnpxai.attributors import KernelShap, ShapleyValues
from pnpxai.attributors.perturbation.kernel_shap import _coalitions
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.testing.zoo import CASES

CASE = CASES["mlp"]()


def seen(**settings):
    """Return the coalitions of ten groups that the model saw, without the empty and the full one."""
    rows = []

    def model(x):
        if not is_probe():
            rows.append(x.clone())
        return x.sum(1)

    KernelShap(model).attribute(torch.ones(1, 10), **settings)
    coalitions = torch.cat(rows) == 1
    assert not coalitions[0].any()
    assert coalitions[1].all()
    return coalitions[2:]


def test_all_coalitions_are_run_once_where_they_fit():
    assert len(seen(n_samples=1024).unique(dim=0)) == len(seen(n_samples=5000)) == 1022
    assert len(seen(n_samples=1023)) == 1021


def test_sizes_are_drawn_as_the_kernel_weighs_them():
    n = 1000
    sizes = seen(n_samples=n + 2, seed=1).sum(1)
    weights = torch.tensor([1 / (s * (10 - s)) for s in range(1, 10)])
    chances = weights / weights.sum()
    shares = torch.bincount(sizes, minlength=10)[1:10] / n
    assert ((shares - chances).abs() < 4 * (chances * (1 - chances) / n).sqrt()).all()


def test_members_of_a_size_are_drawn_evenly():
    counts = seen(n_samples=1002).float().mean(0)
    assert (counts - 0.5).abs().max() < 4 * math.sqrt(0.25 / 1000)


def test_pairs_are_complements():
    coalitions = seen(n_samples=21, paired=True)
    assert torch.equal(coalitions[0:18:2], ~coalitions[1:18:2])
    assert len(coalitions) == 19
    assert len(coalitions[::2].unique(dim=0)) > 5


def test_the_first_coalitions_do_not_depend_on_how_many_follow():
    assert torch.equal(seen(n_samples=12), seen(n_samples=30)[:10])
    assert not torch.equal(seen(n_samples=12), seen(n_samples=12, seed=1))


def by_elimination(plan, scores, weights):
    """Return the constrained fit in the textbook's way: the last group's value is what the others leave."""
    z, (empty, full) = plan[2:].double(), scores[:2]
    x = z[:, :-1] - z[:, -1:]
    y = scores[2:] - empty - z[:, -1] * (full - empty)
    values = torch.linalg.solve(x.T @ (weights[:, None] * x), x.T @ (weights * y))
    return torch.cat([values, (full - empty - values.sum())[None]])


@pytest.mark.parametrize("n_samples", [25, 40, 64])
def test_it_is_the_constrained_least_squares_fit(n_samples):
    plan = _coalitions(6, n_samples, RandomStream(), False)
    with torch.no_grad():
        rows = torch.where(plan[:, None], CASE.inputs, 0.0).flatten(0, 1)
        scores = CASE.model(rows)[:, 1].reshape(len(plan), 3)
    sizes = plan[2:].sum(1)
    all_of_them = n_samples == 64
    weights = [1 / (math.comb(6, s) * s * (6 - s)) if all_of_them else 1.0 for s in sizes.tolist()]
    expected = [by_elimination(plan, scores[:, e], torch.tensor(weights).double()) for e in range(3)]
    found = KernelShap(CASE.model).attribute(CASE.inputs, target=1, n_samples=n_samples)
    assert torch.allclose(found, torch.stack(expected), atol=1e-9)


@pytest.mark.parametrize("n_samples", [2, 5, 12])
def test_with_too_few_samples_what_was_not_seen_is_shared_evenly(n_samples):
    x = torch.ones(1, 50)
    found = KernelShap(lambda x: x.sum(1)).attribute(x, n_samples=n_samples)
    assert torch.allclose(found, torch.ones(1, 50), atol=1e-6)


def test_pairs_err_less():
    exact = ShapleyValues(CASE.model).attribute(CASE.inputs, target=1)

    def error(**settings):
        runs = [
            KernelShap(CASE.model).attribute(CASE.inputs, target=1, n_samples=40, seed=seed, **settings)
            for seed in range(10)
        ]
        return sum(float((run - exact).square().sum()) for run in runs)

    assert error(paired=True) < error()


def test_values_by_id():
    mask = torch.tensor([4, 4, 0, 0, 9, 9])
    by_id = KernelShap(CASE.model).attribute(
        CASE.inputs, target=1, feature_mask=mask, n_samples=8, return_input_shape=False
    )
    in_shape = KernelShap(CASE.model).attribute(CASE.inputs, target=1, feature_mask=mask, n_samples=8)
    assert torch.equal(by_id, in_shape[:, [2, 0, 4]])


def test_wrong_calls_are_refused():
    with pytest.raises(ArgumentError, match="n_samples: expected a whole number >= 2, got 1"):
        KernelShap(CASE.model).attribute(CASE.inputs, target=1, n_samples=1)
