"""Shapley values by regression: which coalitions run, what is fitted, how far it is off. (More: test_shapley.py.)"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from pnpxai.attributors import KernelShap
from pnpxai.attributors.perturbation import odd_terms
from pnpxai.attributors.perturbation.designs import Budget, design_of, every_coalition, pairs
from pnpxai.attributors.perturbation.estimates import estimated, weighted_gains
from pnpxai.engine.running.probes import is_probe
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
    return (coalitions := torch.cat(rows) == 1)[(coalitions.sum(1) % 10) > 0]


def test_all_coalitions_are_run_once_where_they_fit():
    assert len(seen(n_samples=1024).unique(dim=0)) == len(seen(n_samples=5000)) == 1022
    assert len(seen(n_samples=1022).unique(dim=0)) == 1020
    assert len(seen()) == 1022


def test_a_coalition_and_its_complement_run_together():
    coalitions = seen(n_samples=82, estimator="leverage")
    assert torch.equal(coalitions[::2], ~coalitions[1::2])
    assert len(coalitions) == len(coalitions.unique(dim=0)) == 80


def test_every_size_gets_the_same_share():
    sizes = torch.bincount(pairs(20, 95, 0).present[2:].sum(1), minlength=21)
    assert sizes[1:20].tolist() == [10] * 19


def test_small_sizes_run_whole_and_the_rest_is_shared():
    design = pairs(20, 200, 3)
    assert design.present[2:].sum(1).eq(1).sum() == 20
    complete = design.strata == 1
    assert (design.sampled[complete] == 1).all()
    assert (design.sampled[~complete] < 1).all()


@pytest.mark.parametrize("count", [30, 95, 200])
def test_weights_add_up_to_the_shapley_kernel(count):
    design, n = pairs(20, count, 1), 20
    for size in range(1, 11):
        kernel = (n - 1) / (size * (n - size)) * (1 if size == 10 else 2)
        assert float(design.weights[design.strata == size].sum()) == pytest.approx(kernel)


def test_members_of_a_size_are_drawn_evenly():
    drawn = torch.stack([pairs(10, 20, seed).present[2:] for seed in range(100)]).float()
    counts = drawn[drawn.sum(2) == 5].mean(0)
    assert (counts - 0.5).abs().max() < 4 * math.sqrt(0.25 / int((drawn.sum(2) == 5).sum()))


@pytest.mark.parametrize(
    ("calls", "method"),
    [(39, "leverage"), (41, "permutation"), (42, "odd"), (2402, "odd"), (2403, "leverage")],
)
def test_the_estimator_goes_by_the_budget(calls, method):
    design, chosen = design_of(Budget(calls), 20, 0)
    assert chosen == method
    assert len(design.present) <= calls
    if method == "odd":  # every player alone, and all others without it
        assert (design.present[2:].sum(1) == 1).sum() == (design.present[2:].sum(1) == 19).sum() == 20


def by_elimination(design, scores):
    """Return the constrained fit in the textbook's way: the last group's value is what the others leave."""
    z, (empty, full) = design.present[2:].double(), scores[:2]
    weights = design.weights.repeat_interleave(2)
    x = z[:, :-1] - z[:, -1:]
    y = scores[2:] - empty - z[:, -1] * (full - empty)
    values = torch.linalg.solve(x.T @ (weights[:, None] * x), x.T @ (weights * y))
    return torch.cat([values, (full - empty - values.sum())[None]])


@pytest.mark.parametrize("calls", [26, 40, 62])
def test_it_is_the_constrained_least_squares_fit(calls):
    design, _ = design_of(Budget(calls, "leverage"), 6, 0)
    with torch.no_grad():
        rows = torch.where(design.present[:, None], CASE.inputs, 0.0).flatten(0, 1)
        scores = CASE.model(rows)[:, 1].reshape(len(design.present), 3)
    values = estimated(design, scores.T, "leverage").values
    assert torch.allclose(values, torch.stack([by_elimination(design, scores[:, e]) for e in range(3)]), atol=1e-9)


@pytest.mark.parametrize("n_samples", [2, 5, 12])
def test_with_too_few_samples_what_was_not_seen_is_shared_evenly(n_samples):
    x = torch.ones(1, 50)
    values = KernelShap(lambda x: x.sum(1)).attribute(x, n_samples=n_samples)
    assert torch.allclose(values, torch.ones(1, 50), atol=1e-6)


class Interacting(torch.nn.Module):
    """A sum of products of one, two and three of twenty columns, whose Shapley values are known."""

    def forward(self, x):
        return x[:, 0] + 2 * x[:, 1] * x[:, 2] + 3 * x[:, 3] * x[:, 4] * x[:, 5] + x[:, 6:].sum(1) / 4


INTERACTING = torch.cat([torch.tensor([1.0, 1, 1, 1, 1, 1]), torch.full((14,), 0.25)])


def squared_error(calls, estimator, seed):
    values = KernelShap(Interacting()).attribute(torch.ones(1, 20), n_samples=calls, estimator=estimator, seed=seed)
    return float((values[0] - INTERACTING).square().sum() / INTERACTING.square().sum())


@pytest.mark.parametrize("estimator", ["permutation", "leverage", "odd"])
def test_estimates_come_nearer_with_more_samples(estimator):
    errors = [sum(squared_error(calls, estimator, seed) for seed in range(5)) / 5 for calls in (80, 640)]
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.02


def test_the_default_is_the_best_at_its_budget():
    for calls in (80, 160, 640):
        errors = {e: sum(squared_error(calls, e, s) for s in range(5)) for e in ("auto", "permutation", "leverage")}
        assert errors["auto"] <= 1.001 * min(errors.values())


def test_interactions_of_odd_order_are_fitted():
    odd, leverage = (sum(squared_error(640, estimator, seed) for seed in range(5)) for estimator in ("odd", "leverage"))
    assert odd < leverage / 5


@pytest.mark.slow
def test_the_errors_of_different_examples_are_independent():
    """Two examples that are played alike, but hold different numbers, must not err together (but for a common bias)."""
    x = torch.tensor([1.0, 2.0])[:, None].expand(2, 20)
    model = lambda z: Interacting()((z != 0).float())  # noqa: E731
    errors = torch.stack([KernelShap(model).attribute(x, n_samples=80, seed=seed) - INTERACTING for seed in range(100)])
    errors = errors - errors.mean(0)
    correlation = (errors[:, 0] * errors[:, 1]).mean() / (errors**2).mean()
    assert abs(float(correlation)) < 0.1


def covered(scores, size, calls, seeds, method="odd"):
    """Return how often the 95 % interval around a value of some games (examples, 2**size) holds the exact one."""
    codes, exact, hits = 2 ** torch.arange(size), weighted_gains(every_coalition(size), scores), []
    for seed in range(seeds):
        design, _ = design_of(Budget(calls, method), size, seed)
        played = estimated(design, scores[:, (design.present * codes).sum(1)], method)
        width = stats.t.ppf(0.975, played.degrees_of_freedom)
        hits.append(((played.values - exact).abs() <= width * played.standard_error).double().mean())
    return float(torch.stack(hits).mean())


SLOW = [pytest.param(*more, marks=pytest.mark.slow) for more in ((72, "odd"), (250, "odd"), (250, "permutation"))]


@pytest.mark.parametrize(("calls", "method"), [(28, "odd"), (36, "odd"), *SLOW])
def test_intervals_cover_the_exact_values(calls, method):
    """The games are smooth functions of ten columns, drawn at random; neither they nor their draws are the prior's."""
    torch.manual_seed(3)
    weights, scales = torch.randn(30, 10, 5), torch.rand(30, 1, 5)
    scores = (torch.tanh(every_coalition(10).float() @ weights) * scales).sum(2)
    assert covered(scores.double(), 10, calls, 12, method) == pytest.approx(0.95, abs=0.02)


def test_the_prior_of_interactions_by_brute_force():
    """Sums over all sets of odd size are what their closed forms say."""
    torch.manual_seed(0)
    x, l = torch.randn(6, 7).sign().double(), torch.rand(7).double() * 0.8  # noqa: E741
    kernel, shares, variances = torch.zeros(6, 6), torch.zeros(7, 6), torch.zeros(7)
    for size in (3, 5, 7):
        for members in itertools.combinations(range(7), size):
            products = x[:, members].prod(1)
            kernel = kernel + l[list(members)].prod() * torch.outer(products, products)
            for player in members:
                shares[player] += l[list(members)].prod() * products / size
                variances[player] += l[list(members)].prod() / size**2
    scale = kernel.diagonal().mean()
    prior = l[None], odd_terms._log_scale(l[None])
    assert torch.allclose(prior[1].exp(), scale)
    assert torch.allclose(odd_terms._kernel(x, *prior)[0], kernel / scale)
    assert torch.allclose(odd_terms._shares(x, *prior)[0].T, shares.double() / scale, atol=1e-7)
    assert torch.allclose(odd_terms._variances(*prior)[0], variances.double() / scale, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_prior_of_hundreds_of_players(dtype):
    """The sums over sets of all sizes exceed single precision; their shares do not."""
    n, scale = 600, 0.4
    sizes = torch.arange(3, n + 1, 2).double()
    chosen = torch.lgamma(torch.tensor(n).double()) - torch.lgamma(sizes) - torch.lgamma(n - sizes + 1)
    logs = chosen + sizes * math.log(scale)  # of the sets of each size that hold one player
    total = (logs + torch.log(n / sizes)).logsumexp(0)
    prior = torch.full((1, n), scale, dtype=dtype), odd_terms._log_scale(torch.full((1, n), scale))
    assert torch.allclose(prior[1].double(), total, rtol=1e-5)
    x = torch.ones(2, n, dtype=dtype)
    ones = torch.ones(n, dtype=dtype)
    assert torch.allclose(odd_terms._kernel(x, *prior), ones[0], rtol=1e-4)
    share = torch.exp((logs - sizes.log()).logsumexp(0) - total).to(dtype)
    assert torch.allclose(odd_terms._shares(x, *prior), share * ones, rtol=1e-3)
    variance = torch.exp((logs - 2 * sizes.log()).logsumexp(0) - total).to(dtype)
    assert torch.allclose(odd_terms._variances(*prior), variance * ones, rtol=1e-3)


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


def test_two_calls_for_each_player_shrink_what_depends_on_the_order():
    """Ignored and additive players keep their exact values, the sum stays, and orders that were asked for are plain."""
    weights = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    x = torch.ones(1, 8, dtype=torch.float64)

    def score(x):
        return x @ weights + torch.sin(3 * x[:, 4:].sum(1))

    found = [KernelShap(score).attribute(x, n_samples=16, seed=seed)[0] for seed in range(40)]
    plain = [KernelShap(score).attribute(x, n_samples=16, estimator="permutation", seed=seed)[0] for seed in range(40)]
    exact = weights + torch.tensor([0.0] * 4 + [math.sin(12) / 4] * 4)
    assert torch.allclose(torch.stack(found)[:, :4], exact[:4].expand(40, 4), atol=1e-12)
    assert torch.allclose(torch.stack(found).sum(1), exact.sum().expand(40), atol=1e-12)
    errors = [(torch.stack(values) - exact).square().sum() for values in (found, plain)]
    assert errors[0] < errors[1]
