"""Each pooling equals its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.declare.registry import every
from pnpxai.strategies.pooling import Pooling
from pnpxai.traits import Traits

DEFINITIONS = {
    "sum": lambda a, axis: a.sum(axis),
    "sumpos": lambda a, axis: np.maximum(a.sum(axis), 0),
    "sumabs": lambda a, axis: np.abs(a.sum(axis)),
    "l1norm": lambda a, axis: np.abs(a).sum(axis),
    "maxnorm": lambda a, axis: np.abs(a).max(axis),
    "l2norm": lambda a, axis: np.sqrt((a**2).sum(axis)),
    "l2normsq": lambda a, axis: (a**2).sum(axis),
    "possum": lambda a, axis: np.maximum(a, 0).sum(axis),
    "posmaxnorm": lambda a, axis: np.maximum(a, 0).max(axis),
    "posl2norm": lambda a, axis: np.sqrt((np.maximum(a, 0) ** 2).sum(axis)),
    "posl2normsq": lambda a, axis: (np.maximum(a, 0) ** 2).sum(axis),
    "identity": lambda a, axis: a,
}
NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=24, max_size=24)


def test_every_pooling_has_its_definition_here():
    assert {pooling.name for pooling in every(Pooling, within="pnpxai.")} - {"each"} == set(DEFINITIONS)


@pytest.mark.parametrize("name", DEFINITIONS)
@given(numbers=NUMBERS, dim=st.sampled_from([1, 2, -1]))
def test_definition(name, numbers, dim):
    values = np.array(numbers).reshape(2, 3, 4)
    found = Pooling.from_name(name)(torch.from_numpy(values), dim)
    np.testing.assert_allclose(found.numpy(), DEFINITIONS[name](values, dim), atol=1e-9)


def test_channels_decide_what_suits():
    for pooling in every(Pooling, within="pnpxai."):
        assert pooling.suits(Traits.table()) == (pooling.name == "identity")
        assert pooling.suits(Traits.image()) == (pooling.name != "identity")
