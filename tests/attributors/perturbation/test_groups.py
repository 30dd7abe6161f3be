"""Masks read into groups, looked up, and turned back into maps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError

X, Y = torch.zeros(2, 2, 3), torch.zeros(2, 4)


def test_without_a_mask_every_element_is_a_group_of_its_own():
    groups = Groups.of(None, (X, Y))
    assert groups.sizes == (10,)
    assert torch.equal(groups.ids[0], torch.arange(6).reshape(1, 2, 3))
    assert torch.equal(groups.ids[1], torch.arange(6, 10).reshape(1, 4))


@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([3, -7, 3]),
        torch.tensor([0.5, -0.5, 0.5]),
        torch.tensor([True, False, True]),
        torch.tensor([[[3, -7, 3]]]),
        torch.tensor([[[9, 2, 9], [9, 2, 9]]], dtype=torch.uint8),
    ],
    ids=repr,
)
def test_ids_may_be_any_numbers_and_broadcast(mask):
    groups = Groups.of(mask, (X,))
    assert groups.sizes == (2,)
    assert groups.ids[0].expand(2, 2, 3).tolist() == [[[1, 0, 1]] * 2] * 2


def test_one_id_in_two_inputs_is_one_group():
    groups = Groups.of((torch.tensor([5, 6, 6]), torch.tensor([6, 1, 1, 5])), (X, Y))
    assert groups.ids[0].flatten().tolist() == [1, 2, 2]
    assert groups.ids[1].flatten().tolist() == [2, 0, 0, 1]


def test_each_example_numbers_its_groups_by_itself():
    mask = torch.tensor([[4, 4, 9, 9], [1, 2, 3, 3]])
    groups = Groups.of(mask, (Y,))
    assert groups.sizes == (2, 3)
    assert groups.ids[0].tolist() == [[0, 0, 1, 1], [0, 1, 2, 2]]
    alone = Groups.of(mask[1:], (Y[1:],))
    assert torch.equal(alone.ids[0], groups.ids[0][1:])


def test_values_by_id_leave_absent_ones_zero():
    groups = Groups.of(torch.tensor([[4, 4, 9, 9], [1, 9, 3, 3]]), (Y,))
    values = torch.tensor([[10.0, 20, 0], [1, 2, 3]])
    assert groups.by_label(values).tolist() == [[0, 0, 10, 20], [1, 2, 0, 3]]  # of the ids 1, 3, 4, 9
    shared = Groups.of(torch.tensor([7, 7, 0, 2]), (Y,))
    assert torch.equal(shared.by_label(values), values)


@given(st.integers(1, 3), st.booleans(), st.data())
def test_looking_up_and_spreading_are_plain_loops(examples, per_example, data):
    rows = examples if per_example else 1
    ids = [[data.draw(st.integers(-2, 2)) for _ in range(4)] for _ in range(rows)]
    x = torch.zeros(examples, 2, 2)
    groups = Groups.of(torch.tensor(ids).reshape(rows, 2, 2), (x,))
    count = max(groups.sizes)
    table = torch.randn(examples, 3, count)
    found = groups.look_up(0, table, range(examples))
    maps = groups.spread(table[:, 0], (x,))[0]
    for e in range(examples):
        labels = sorted(set(ids[e % rows]))
        for place, label in enumerate(ids[e % rows]):
            group = labels.index(label)
            assert found[:, e].reshape(3, 4)[:, place].tolist() == table[e, :, group].tolist()
            assert maps[e].flatten()[place] == table[e, 0, group]


def test_maps_take_the_dtype_of_what_they_explain():
    ids = torch.zeros(2, 2, dtype=torch.long)
    groups = Groups.of(None, (X.half(), ids))
    maps = groups.spread(torch.ones(2, 8, dtype=torch.float64), (X.half(), ids))
    assert [m.dtype for m in maps] == [torch.float16, torch.float64]


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.zeros(2), ShapeError, r"feature_mask: expected a shape that broadcasts to \(2, 2, 3\), got \(2,\)"),
        (torch.zeros(1, 1, 2, 3), ShapeError, r"got \(1, 1, 2, 3\)"),
        (torch.zeros(3, 2, 3), ShapeError, r"got \(3, 2, 3\)"),
        ((torch.zeros(3), torch.zeros(3)), ArgumentError, "expected one mask for each of 1 inputs, got 2"),
        ("superpixels", ArgumentError, "feature_mask: expected a tensor or a tuple of tensors, got str"),
        (torch.tensor([0, float("nan"), 1]), NonFiniteError, "feature_mask: expected finite numbers"),
    ],
    ids=repr,
)
def test_wrong_masks_are_refused(mask, error, message):
    with pytest.raises(error, match=message):
        Groups.of(mask, (X,))
