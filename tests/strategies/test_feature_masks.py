"""Every position belongs to one feature."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.strategies.feature_masks import Patches, Positions

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)


@given(SHAPES)
def test_positions_are_numbered_one_by_one(shape):
    ids = Positions()(torch.zeros(2, *shape))
    assert ids.shape == (1, *shape)
    assert ids.flatten().tolist() == list(range(ids.numel()))


@given(SHAPES, st.integers(1, 5))
def test_patches_are_boxes_that_cover_everything(shape, size):
    ids = Patches(size=size)(torch.zeros(2, *shape))[0]
    assert ids.shape == shape
    expected = {}
    for where in torch.cartesian_prod(*(torch.arange(side) for side in shape)).reshape(-1, len(shape)).tolist():
        box = tuple(place // size for place in where)
        assert expected.setdefault(box, int(ids[tuple(where)])) == int(ids[tuple(where)])
    assert sorted(expected.values()) == list(range(len(expected)))
