import torch

from pnpxai.attributors.base import Outcome


def needed(values, errors, groups=None, draws=10):
    mask = None if groups is None else (torch.tensor(groups),)
    return Outcome(
        torch.tensor(values),
        standard_error=torch.tensor(errors),
        feature_mask=mask,
        draws=torch.full((len(values),), draws),
    ).needed_draws


def test_values_are_told_from_noise_where_their_errors_are_below_half_their_spread():
    """Two values at a distance of 2 have a squared spread of 2, a quarter of which is .5."""
    found = needed([[0.0, 2.0], [0.0, 2.0], [1.0, 1.0]], [[0.4, 0.4], [0.6, 0.6], [0.1, 0.1]])
    assert found[0] == 0
    assert torch.isclose(found[1], torch.tensor(10 * 0.72 / 2 / 0.05).double())
    assert found[2] > 1e6


def test_a_group_counts_once_and_what_is_held_does_not():
    groups = [[0, 0, 0, 1, -1]]
    found = needed([[0.0, 0.0, 0.0, 2.0, 0.0]], [[0.6, 0.6, 0.6, 0.6, 0.0]], groups)
    assert torch.allclose(found, needed([[0.0, 2.0]], [[0.6, 0.6]]))


def test_nothing_is_said_of_errors_that_are_unknown_or_of_a_single_value():
    assert needed([[0.0, 2.0]], [[float("nan"), 0.1]]).tolist() == [0]
    assert needed([[1.0]], [[9.0]]).tolist() == [0]
    assert Outcome(torch.ones(2, 3), draws=torch.ones(2)).needed_draws.tolist() == [0, 0]
    assert Outcome(torch.ones(2, 3)).needed_draws is None
