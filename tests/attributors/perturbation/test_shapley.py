"""Shapley values: over orders, and over all coalitions."""

from __future__ import annotations

import itertools

import pytest
import torch

from pnpxai.attributors import KernelShap, ShapleyValues, ShapleyValueSampling
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.testing.answers import check_ignored_features, check_linear, check_sums_to
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES

every_method = pytest.mark.parametrize(
    "method", [ShapleyValueSampling, ShapleyValues, KernelShap], ids=lambda method: method.__name__
)
X = torch.tensor([[2.0, 3.0, 5.0]])


def product(x):
    return x[:, 0] * x[:, 1] + x[:, 2]


def by_definition(model, x, baselines, target):
    """Return the mean gain over all orders."""
    total = torch.zeros_like(x)
    orders = list(itertools.permutations(range(x.shape[1])))
    with torch.no_grad():
        for order in orders:
            present = baselines.clone()
            for group in order:
                before = model(present)[:, target]
                present[:, group] = x[:, group]
                total[:, group] += model(present)[:, target] - before
    return total / len(orders)


@every_method
def test_of_a_linear_model(method):
    subject = Subject.of_attributor(method, **({} if method is ShapleyValues else {"n_samples": 64}))
    check_linear(subject, lambda weights, inputs: weights * inputs)
    check_ignored_features(subject)


@pytest.mark.parametrize("method", [ShapleyValues, KernelShap])
def test_a_product_is_split_equally(method):
    assert torch.allclose(method(product).attribute(X), torch.tensor([[3.0, 3.0, 5.0]]), atol=1e-6)
    with_baseline = method(product).attribute(X, baselines=1.0)  # 6 - 1: either order gains 1 or 3, and 2 or 4
    assert torch.allclose(with_baseline, torch.tensor([[2.0, 3.0, 4.0]]), atol=1e-6)


def test_one_order_gives_the_gains_along_it():
    found = ShapleyValueSampling(product).attribute(X, n_samples=1)
    assert found.tolist() in ([[0, 6, 5]], [[6, 0, 5]])  # all of the product goes to whichever joins last


def test_orders_are_as_likely_as_each_other():
    found = ShapleyValueSampling(product).attribute(X, n_samples=400)
    assert found[0, 0].item() == pytest.approx(3, abs=4 * 3 / 20)  # four standard errors: each draw gives 0 or 6
    assert found[0, 2].item() == pytest.approx(5)


def test_exact_values_are_the_mean_over_all_orders():
    case = CASES["mlp"]()
    baselines = torch.full_like(case.inputs, 0.3)
    expected = by_definition(case.model, case.inputs, baselines, 2)
    found = ShapleyValues(case.model).attribute(case.inputs, 0.3, 2)
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.allclose(KernelShap(case.model).attribute(case.inputs, 0.3, 2, n_samples=64), expected, atol=1e-10)


def test_sampling_converges_to_the_exact_values():
    case = CASES["mlp"]()
    exact = ShapleyValues(case.model).attribute(case.inputs, target=case.targets)
    errors = [
        (ShapleyValueSampling(case.model).attribute(case.inputs, target=case.targets, n_samples=n) - exact).norm()
        for n in (4, 400)
    ]
    assert errors[1] < errors[0] / 3  # ten times less is expected
    assert errors[1] < 0.05 * exact.norm()


@every_method
@pytest.mark.parametrize("n_samples", [2, 7])
def test_the_sum_is_the_difference_of_scores(method, n_samples):
    case = CASES["mlp"]()
    settings = {} if method is ShapleyValues else {"n_samples": n_samples}
    blank = case.model(torch.full((1, 6), 0.3, dtype=torch.float64))[0, case.targets].detach()
    subject = Subject.of_attributor(method, baselines=0.3, **settings)
    check_sums_to(subject, case, lambda scores: scores - blank, tolerance=1e-12)


@every_method
def test_groups_through_several_inputs(method):
    case = CASES["two_inputs"]()
    mask = (torch.tensor([[0]]), torch.tensor([1, 1, 0, 7]))
    found = method(case.model).attribute(case.inputs, target=1, feature_mask=mask)
    picture, table = (x.clone() for x in case.tensors)

    def score(*present):
        ids = [torch.isin(m, torch.tensor(present)) for m in mask]
        shown = torch.where(ids[0], picture, 0.0), torch.where(ids[1], table, 0.0)
        return case.model(*shown).detach()[:, 1]

    values = {g: found[1][:, [2, 0, 3][i]] for i, g in enumerate((0, 1, 7))}
    assert torch.equal(found[0], values[0][:, None, None, None].expand_as(picture))
    assert torch.equal(found[1][:, 0], found[1][:, 1])
    assert torch.allclose(sum(values.values()), score(0, 1, 7) - score(), atol=1e-12)
    if method is not ShapleyValueSampling:
        last = score(0, 1, 7) - score(0, 1)
        first = score(7) - score()
        between = (score(0, 7) - score(0) + score(1, 7) - score(1)) / 2
        assert torch.allclose(values[7], (first + between + last) / 3, atol=1e-10)


@every_method
def test_masks_of_different_sizes_do_not_disturb_each_other(method):
    case = CASES["mlp"]()
    mask = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 4], [3, 3, 9, 9, 4, 4]])
    settings = {} if method is ShapleyValues else {"n_samples": 9}
    together = method(case.model).attribute(case.inputs, target=case.targets, feature_mask=mask, **settings)
    for e in range(3):
        alone = method(case.model).attribute(
            case.inputs[e : e + 1], target=case.targets[e], feature_mask=mask[e : e + 1], **settings
        )
        assert torch.allclose(together[e : e + 1], alone, atol=1e-12)


@every_method
def test_a_single_group_takes_it_all(method):
    case = CASES["mlp"]()
    found = method(case.model).attribute(case.inputs, target=1, feature_mask=torch.zeros(1))
    gap = (case.model(case.inputs) - case.model(0 * case.inputs))[:, 1:2].detach()
    assert torch.allclose(found, gap.expand(3, 6), atol=1e-12)


@every_method
def test_one_value_for_the_whole_batch_gives_one_row(method):
    case = CASES["mlp"]()
    found = method(lambda x: case.model(x)[:, 1].sum()).attribute(case.inputs)
    assert found.shape == (1, 6)
    # a sum over examples: the same draws for each of them
    each = method(case.model).attribute(case.inputs, target=1)
    assert torch.allclose(found, each.sum(0, keepdim=True), atol=1e-10)


@every_method
@pytest.mark.parametrize("at_a_time", [2, 5, 1000])
def test_the_size_of_a_pass_does_not_change_the_result(method, at_a_time):
    case = CASES["mlp"]()
    found = method(case.model).attribute(case.inputs, target=1, perturbations_per_eval=at_a_time)
    assert torch.allclose(found, method(case.model).attribute(case.inputs, target=1), atol=1e-10)


def test_the_first_orders_do_not_depend_on_how_many_follow():
    few, many = (ShapleyValueSampling(product).attribute(X, n_samples=n) for n in (1, 2))
    second = 2 * many - few
    assert second.tolist() in ([[0, 6, 5]], [[6, 0, 5]])


def test_seeds():
    case = CASES["mlp"]()

    def run(seed):
        return ShapleyValueSampling(case.model).attribute(case.inputs, target=1, n_samples=2, seed=seed)

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
    own = run(RandomStream(0, ("a", "b", "b")))
    again = ShapleyValueSampling(case.model).attribute(
        case.inputs[1:], target=1, n_samples=2, seed=RandomStream(0, ("b", "a"))
    )
    assert torch.allclose(own[1], again[0], atol=1e-12)
    assert not torch.allclose(own[2], again[1], atol=1e-6)


@every_method
def test_cost(method):
    case = CASES["mlp"]()
    mask = torch.tensor([0, 1, 2, 3, 3, 3])
    settings = {"feature_mask": mask} | ({} if method is ShapleyValues else {"n_samples": 5})
    with counted(case.model) as counter:
        method(case.model).attribute(case.inputs, target=1, **settings)
    expected = {ShapleyValues: 16, KernelShap: 4, ShapleyValueSampling: 16}
    assert counter.rows == method(case.model).cost(case.inputs, **settings) == 3 * expected[method]


def test_too_many_groups_for_all_coalitions():
    with pytest.raises(ArgumentError, match="expected at most 20 groups, as all 2\\*\\*groups coalitions run, got 30"):
        ShapleyValues(lambda x: x.sum(1)).attribute(torch.ones(1, 30), estimator="exact")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples: expected a whole number >= 1, got 0"),
        ({"n_samples": 2.5}, "n_samples: expected a whole number >= 1, got 2.5"),
        ({"seed": 0.5}, "seed: expected a whole number, got 0.5"),
        ({"feature_mask": torch.zeros(2)}, "feature_mask: expected a shape that broadcasts"),
    ],
    ids=str,
)
def test_wrong_calls_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        ShapleyValueSampling(product).attribute(X, **arguments)
