"""Simple models that are fitted around each example."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pnpxai.attributors import ExponentialKernel, Lime, get_exp_kernel_similarity_function
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.testing.answers import check_ignored_features, check_linear
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES
from tests.on_demand import OnDemand

linear_model = OnDemand("sklearn.linear_model")

CASE = CASES["mlp"]()


def plain():
    """Return a subject that fits without shrinking."""
    return Subject.of_attributor(Lime, more=lambda _: (linear_model.LinearRegression(),), n_samples=40)


def test_of_a_linear_model():
    check_linear(plain(), lambda weights, inputs: weights * inputs)
    check_ignored_features(plain())


def test_it_is_the_weighted_fit_to_what_the_model_saw():
    rows = []

    def model(x):
        if not is_probe():
            rows.append(x.clone())
        return CASE.model(x)[:, 1]

    x = CASE.inputs[:1]
    found = Lime(model).attribute(x, 0.25, n_samples=30)
    points = torch.cat(rows)
    samples = (points == x).double()
    assert torch.equal(points, torch.where(samples == 1, x, 0.25))
    distances = 1 - torch.cosine_similarity(points, x)
    weights = torch.exp(-(distances**2) / 2)
    with torch.no_grad():
        scores = CASE.model(points)[:, 1]
    expected = linear_model.Lasso(alpha=0.01).fit(samples.numpy(), scores.numpy(), sample_weight=weights.numpy()).coef_
    assert np.allclose(found.numpy(), expected, atol=1e-9)
    assert samples.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 180))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (ExponentialKernel(), math.exp(-((1 - 3 / 5) ** 2) / 2)),
        (ExponentialKernel("cosine", 0.25), math.exp(-((1 - 3 / 5) ** 2) / (2 * 0.25**2))),
        (get_exp_kernel_similarity_function("euclidean", 2.0), math.exp(-(4**2) / (2 * 2.0**2))),
    ],
    ids=repr,
)
def test_similarities(kernel, expected):
    both = torch.tensor([[3.0]]), torch.tensor([[4.0]])
    one = torch.tensor([[3.0]]), torch.tensor([[0.0]])
    assert float(kernel(both, one, None)) == pytest.approx(expected)
    assert float(kernel(torch.cat(both), torch.cat(one))) == pytest.approx(expected)


def test_a_similarity_of_ones_own_sees_one_example_at_a_time():
    calls = []

    def similarity(original, perturbed, sample, **facts):
        calls.append((original, perturbed, sample, facts))
        return 1.0 if len(calls) % 2 else torch.tensor([0.5])

    mask = torch.tensor([0, 0, 0, 1, 1, 1])
    Lime(CASE.model, linear_model.Ridge(), similarity).attribute(
        CASE.inputs, 0.5, target=1, feature_mask=mask, n_samples=4
    )
    assert len(calls) == 12
    for k, (original, perturbed, sample, facts) in enumerate(calls):
        assert torch.equal(original, CASE.inputs[k // 4 : k // 4 + 1])
        assert torch.equal(perturbed, torch.where(sample[0, mask] == 1, original, 0.5))
        assert torch.equal(facts["feature_mask"], mask[None])
        assert torch.equal(facts["baselines"], torch.full_like(original, 0.5))
        assert facts["num_interp_features"] == 2


def test_similarities_weigh_the_fit():
    """With all weight on the first of two samples and the last two of four, these alone decide."""
    plan = torch.tensor([[1, 1], [0, 0], [1, 0], [0, 1]])

    def samples(original, **facts):
        yield from plan[:, None]

    def product(x):
        return x[:, 0] * x[:, 1]

    def weigh(original, perturbed, sample, **facts):
        return 0.0 if sample.tolist() == [[0, 0]] else 1.0

    found = Lime(product, linear_model.LinearRegression(), weigh, samples).attribute(torch.ones(1, 2), n_samples=4)
    assert torch.allclose(found, torch.ones(1, 2), atol=1e-6)  # through (1, 1), (1, 0), (0, 1): x + y - 1
    even = Lime(product, linear_model.LinearRegression(), lambda *_, **__: 1.0, samples).attribute(
        torch.ones(1, 2), n_samples=4
    )
    assert torch.allclose(even, torch.full((1, 2), 0.5), atol=1e-6)


def test_samples_of_ones_own():
    asked = []

    def perturb(original, **facts):
        asked.append((original, facts["num_interp_features"]))
        return torch.bernoulli(torch.full((1, facts["num_interp_features"]), 0.5))

    lime = Lime(CASE.model, linear_model.LinearRegression(), perturb_func=perturb)
    torch.manual_seed(0)
    one = lime.attribute(CASE.inputs, target=1, n_samples=12)
    other = lime.attribute(CASE.inputs, target=1, n_samples=12)
    torch.manual_seed(0)
    assert torch.equal(one, lime.attribute(CASE.inputs, target=1, n_samples=12))
    assert not torch.equal(one, other)  # it draws from the global state, which goes on
    assert len(asked) == 3 * 3 * 12
    assert asked[0][1] == 6


def test_a_generator_may_end_early():
    def samples(original, **facts):
        yield torch.tensor([[0, 0]])
        yield torch.tensor([[1, 0]])
        yield torch.tensor([[0, 1]])

    found = Lime(lambda x: 2 * x[:, 0] - x[:, 1], linear_model.LinearRegression(), perturb_func=samples).attribute(
        torch.ones(2, 2)
    )
    assert torch.allclose(found, torch.tensor([[2.0, -1.0]]).expand(2, 2), atol=1e-6)


def test_the_given_model_is_not_changed():
    ridge = linear_model.Ridge(alpha=0.5)
    Lime(CASE.model, ridge).attribute(CASE.inputs, target=1)
    assert not hasattr(ridge, "coef_")


def test_models_in_captums_form():
    class Mean:
        """Gives the weighted mean of the scores to every feature."""

        def fit(self, loader):
            ((x, y, weights),) = loader
            self.found = ((y * weights).sum() / weights.sum()).expand(1, x.shape[1])

        def representation(self):
            return self.found

    found = Lime(CASE.model, Mean(), lambda *_, **__: 1.0).attribute(0 * CASE.inputs, target=1)
    expected = CASE.model(0 * CASE.inputs)[:, 1:2].detach()
    assert torch.allclose(found, expected.expand(3, 6), atol=1e-6)


def test_values_by_id():
    mask = torch.tensor([[4, 4, 0, 0, 9, 9], [0, 0, 0, 0, 0, 0], [4, 4, 4, 0, 0, 0]])
    lime = Lime(CASE.model, linear_model.Ridge())
    by_id = lime.attribute(CASE.inputs, target=1, feature_mask=mask, return_input_shape=False)
    in_shape = lime.attribute(CASE.inputs, target=1, feature_mask=mask)
    assert by_id.shape == (3, 3)  # of the ids 0, 4, 9
    assert torch.equal(by_id[0], in_shape[0, [2, 0, 4]])
    assert by_id[1].tolist() == [in_shape[1, 0], 0, 0]
    assert by_id[2].tolist() == [in_shape[2, 3], in_shape[2, 0], 0]


def test_several_inputs_share_groups():
    mask = (torch.tensor([0, 1]), torch.tensor([1, 2]))
    x = torch.ones(1, 2), torch.ones(1, 2)
    model = lambda x, y: x @ torch.tensor([1.0, 2]) + y @ torch.tensor([10.0, 20])  # noqa: E731
    found = Lime(model, linear_model.LinearRegression()).attribute(x, feature_mask=mask, n_samples=20)
    assert torch.allclose(torch.cat(found), torch.tensor([[1.0, 12], [12, 20]]), atol=1e-5)


def test_one_value_for_the_whole_batch_gives_one_row():
    weights = torch.tensor([1.0, -2, 3])
    x = torch.ones(4, 3)
    found = Lime(lambda x: (x @ weights).sum(), linear_model.LinearRegression()).attribute(x, n_samples=20)
    assert torch.allclose(found, 4 * weights[None], atol=1e-5)


def test_an_example_alone_is_as_in_a_batch_also_beside_other_masks():
    mask = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 4], [3, 3, 9, 9, 4, 4]])
    together = Lime(CASE.model).attribute(CASE.inputs, target=CASE.targets, feature_mask=mask)
    for e in range(3):
        row = slice(e, e + 1)
        alone = Lime(CASE.model).attribute(CASE.inputs[row], target=CASE.targets[e], feature_mask=mask[row])
        assert torch.allclose(together[row], alone, atol=1e-10)


def test_seeds():
    def run(seed):
        return Lime(CASE.model).attribute(CASE.inputs, target=1, seed=seed)

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
    own = run(RandomStream(0, ("a", "b", "c")))
    alone = Lime(CASE.model).attribute(CASE.inputs[1:2], target=1, seed=RandomStream(0, ("b",)))
    assert torch.allclose(own[1:2], alone, atol=1e-10)


@pytest.mark.parametrize("at_a_time", [2, 5, 1000])
def test_the_size_of_a_pass_does_not_change_the_result(at_a_time):
    found = Lime(CASE.model).attribute(CASE.inputs, target=1, perturbations_per_eval=at_a_time)
    assert torch.allclose(found, Lime(CASE.model).attribute(CASE.inputs, target=1), atol=1e-10)


def test_cost_and_progress(capsys):
    with counted(CASE.model) as counter:
        Lime(CASE.model).attribute(CASE.inputs, target=1, n_samples=7, show_progress=True)
    assert counter.rows == Lime(CASE.model).cost(CASE.inputs, n_samples=7) == 21
    assert "samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "arguments", "error", "message"),
    [
        ((), {"n_samples": 0}, ArgumentError, "n_samples: expected a whole number >= 1, got 0"),
        (
            (),
            {"feature_mask": torch.zeros(5)},
            ShapeError,
            r"feature_mask: expected a shape that broadcasts to \(3, 6\)",
        ),
        ((None, None, lambda x, **_: torch.ones(1, 5)), {}, ShapeError, r"samples of shape \(1, 6\), got \[\(1, 5\)\]"),
        ((None, None, lambda x, **_: [1] * 6), {}, ShapeError, r"perturb_func: expected samples .*, got \['list'\]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_calls_are_refused(made, arguments, error, message):
    with pytest.raises(error, match=message):
        Lime(CASE.model, *made).attribute(CASE.inputs, **{"target": 1} | arguments)


def test_wrong_kernels_are_refused():
    with pytest.raises(ArgumentError, match="distance_mode: expected 'cosine' or 'euclidean', got 'l1'"):
        ExponentialKernel("l1")
    with pytest.raises(ArgumentError, match="kernel_width: expected a number > 0, got 0"):
        ExponentialKernel(kernel_width=0)


def test_a_model_with_other_weights_is_refused():
    class Two:
        def fit(self, x, y, sample_weight):
            self.coef_ = np.zeros(2)

    with pytest.raises(ArgumentError, match=r"interpretable_model: expected 6 weights of Two, got \(2,\)"):
        Lime(CASE.model, Two()).attribute(CASE.inputs, target=1)
