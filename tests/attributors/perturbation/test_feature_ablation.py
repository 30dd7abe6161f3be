"""Groups of the inputs' elements that are replaced one after the other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.attributors import FeatureAblation, Occlusion
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.testing.answers import check_ignored_features, check_linear
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES

WEIGHTS = torch.tensor([1.0, -2.0, 3.0, 0.5])


def linear(x):
    return x @ WEIGHTS.to(x)


def test_of_a_linear_model():
    subject = Subject.of_attributor(FeatureAblation)
    check_linear(subject, lambda weights, inputs: weights * inputs)
    check_ignored_features(subject)
    check_linear(Subject.of_attributor(FeatureAblation, baselines=0.5), lambda weights, x: weights * (x - 0.5))


def test_a_group_shares_what_is_lost_without_all_of_it():
    x = torch.tensor([[1.0, 2, 3, 4]])
    found = FeatureAblation(linear).attribute(x, feature_mask=torch.tensor([-1.5, 8, 8, 100]))
    assert found.tolist() == [[1, 5, 5, 2]]  # the second group: -2 * 2 + 3 * 3


def test_an_id_in_two_inputs_is_ablated_jointly():
    found = FeatureAblation(lambda x, y: (x * y).sum(1)).attribute(
        (torch.tensor([[2.0, 3.0]]), torch.tensor([[5.0, 7.0]])),
        baselines=1.0,
        feature_mask=(torch.tensor([0, 1]), torch.tensor([0, 2])),
    )
    # 2 * 5 becomes 1 * 1, 3 * 7 becomes 1 * 7 or 3 * 1
    assert [f.tolist() for f in found] == [[[9, 14]], [[9, 18]]]


def test_a_mask_for_each_example():
    x = torch.tensor([[1.0, 2, 3, 4], [1, 2, 3, 4]])
    mask = torch.tensor([[0, 0, 1, 1], [5, 6, 7, 5]])
    assert FeatureAblation(linear).attribute(x, feature_mask=mask).tolist() == [[-3, -3, 11, 11], [3, -4, 9, 3]]


@given(st.lists(st.integers(-2, 3), min_size=6, max_size=6), st.sampled_from([1, 2, 100]))
def test_it_is_the_plain_loop_over_groups(ids, at_a_time):
    case = CASES["mlp"]()
    mask, expected = torch.tensor(ids), torch.zeros_like(case.inputs)
    with torch.no_grad():
        for group in set(ids):
            ablated = torch.where(mask == group, 0.25, case.inputs)
            lost = (case.model(case.inputs) - case.model(ablated))[range(3), case.targets]
            expected += torch.where(mask == group, lost[:, None], 0.0)
    found = FeatureAblation(case.model).attribute(
        case.inputs, 0.25, case.targets, feature_mask=mask, perturbations_per_eval=at_a_time
    )
    assert torch.allclose(found, expected, atol=1e-12)


def test_windows_that_do_not_overlap_are_groups():
    case = CASES["cnn"]()
    blocks = torch.arange(16).reshape(1, 4, 4).repeat_interleave(2, 1).repeat_interleave(2, 2)
    by_groups = FeatureAblation(case.model).attribute(case.inputs, 0.5, target=2, feature_mask=blocks)
    by_windows = Occlusion(case.model).attribute(case.inputs, (2, 2, 2), (2, 2, 2), 0.5, target=2)
    assert torch.allclose(by_groups, by_windows, atol=1e-12)


def test_ids_may_be_ablated():
    case = CASES["tokens"]()
    found = FeatureAblation(case.model).attribute(case.inputs, baselines=3, target=1)
    other = case.inputs.clone()
    other[:, 2] = 3
    expected = case.model(case.inputs)[:, 1] - case.model(other)[:, 1]
    assert found.dtype == torch.float64
    assert torch.allclose(found[:, 2], expected.detach())


@pytest.mark.parametrize("shape", [(3, 2, 8, 8), (1, 2, 8, 8), (2, 8, 8), (8, 8), (2, 1, 1), (8,), (1,)], ids=str)
def test_baselines_broadcast(shape):
    case = CASES["cnn"]()
    baselines = torch.randn(shape, dtype=torch.float64)
    mask = torch.arange(2)[:, None, None]
    found = FeatureAblation(case.model).attribute(case.inputs, baselines, case.targets, feature_mask=mask)
    whole = baselines.expand(case.inputs.shape)
    assert torch.equal(
        found, FeatureAblation(case.model).attribute(case.inputs, whole, case.targets, feature_mask=mask)
    )


class TestOneValueForTheWholeBatch:
    """Then all examples lose a group at once, and the map has one row."""

    case = CASES["mlp"]()

    def score(self, x):
        return self.case.model(x)[:, 1].square().sum()

    def expected(self, mask):
        x = self.case.inputs
        lost = [self.score(x) - self.score(torch.where(mask == group, 0.0, x)) for group in range(int(mask.max()) + 1)]
        return torch.stack(lost).detach()[mask][None]

    @pytest.mark.parametrize("at_a_time", [1, 4])
    def test_of_groups(self, at_a_time):
        mask = torch.tensor([0, 1, 1, 2, 2, 2])
        found = FeatureAblation(self.score).attribute(
            self.case.inputs, feature_mask=mask, perturbations_per_eval=at_a_time
        )
        assert found.shape == (1, 6)
        assert torch.allclose(found, self.expected(mask), atol=1e-12)

    def test_of_windows(self):
        found = Occlusion(self.score).attribute(self.case.inputs, (2,), (2,))
        assert torch.allclose(found, self.expected(torch.tensor([0, 0, 1, 1, 2, 2])), atol=1e-12)

    def test_as_a_number(self):
        found = FeatureAblation(lambda x: float(self.score(x))).attribute(self.case.inputs)
        assert torch.allclose(found, self.expected(torch.arange(6)), atol=1e-12)

    def test_of_a_single_example(self):
        found = FeatureAblation(lambda x: self.case.model(x)[:, 1].sum()).attribute(self.case.inputs[:1])
        plain = FeatureAblation(self.case.model).attribute(self.case.inputs[:1], target=1)
        assert torch.allclose(found, plain, atol=1e-12)

    def test_a_mask_for_each_example_is_refused(self):
        with pytest.raises(ArgumentError, match="returns one value for a whole batch"):
            FeatureAblation(self.score).attribute(self.case.inputs, feature_mask=torch.arange(18).reshape(3, 6))


def test_whole_numbers_are_scores_too():
    found = FeatureAblation(lambda x: (x > 1).sum(1)).attribute(torch.tensor([[2.0, 0, 3]]))
    assert found.tolist() == [[1, 0, 1]]


def test_cost():
    case = CASES["two_inputs"]()
    mask = (torch.zeros(6, 6), torch.tensor([0, 1, 2, 2]))
    with counted(case.model) as counter:
        FeatureAblation(case.model).attribute(case.inputs, target=1, feature_mask=mask)
    assert counter.rows == FeatureAblation(case.model).cost(case.inputs, feature_mask=mask) == 3 * (1 + 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"feature_mask": torch.zeros(7)}, ShapeError, r"feature_mask: expected a shape that broadcasts to \(3, 6\)"),
        ({"baselines": torch.zeros(5)}, ShapeError, r"baselines: expected shape \(3, 6\).*got \(5,\)"),
        ({"baselines": torch.zeros(1, 3, 6)}, ShapeError, r"got \(1, 3, 6\)"),
        ({"baselines": (0, 0)}, ArgumentError, "baselines: expected one for each of 1 inputs, got 2"),
        ({"baselines": float("inf")}, NonFiniteError, "baselines: expected finite numbers"),
        ({"perturbations_per_eval": 0}, ArgumentError, "perturbations_per_eval: expected a whole number >= 1, got 0"),
        ({"perturbations_per_eval": 2.5}, ArgumentError, "expected a whole number >= 1, got 2.5"),
        ({"perturbations_per_eval": True}, ArgumentError, "expected a whole number >= 1, got True"),
        ({"target": None}, ArgumentError, "say which one to explain, such as target=0"),
        ({"target": 4}, ArgumentError, "expected an index from 0 to 3"),
    ],
    ids=str,
)
def test_wrong_calls_are_refused(arguments, error, message):
    case = CASES["mlp"]()
    with pytest.raises(error, match=message):
        FeatureAblation(case.model).attribute(case.inputs, **{"target": 1} | arguments)


def test_progress_is_shown_on_request(capsys):
    FeatureAblation(linear).attribute(torch.ones(1, 4), show_progress=True)
    assert "groups" in capsys.readouterr().err
    FeatureAblation(linear).attribute(torch.ones(1, 4))
    assert not capsys.readouterr().err
