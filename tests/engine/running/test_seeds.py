"""Draws depend on the seed, their number and the example, on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.engine.running.seeds import RandomStream, generator
from pnpxai.errors import ArgumentError
from pnpxai.testing.audit import audit

X = torch.zeros(3, 4)


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6))
def test_a_shared_draw_does_not_depend_on_the_batch(seed, size, other):
    stream = RandomStream(seed)
    assert torch.equal(
        stream.normal(torch.zeros(size, 4), "noise", 2), stream.normal(torch.zeros(other, 4), "noise", 2)
    )


def test_a_draw_depends_on_seed_and_path():
    draws = [
        RandomStream(s).normal(X, *path) for s, path in ((0, ("a", 1)), (1, ("a", 1)), (0, ("b", 1)), (0, ("a", 2)))
    ]
    assert len({tuple(d.flatten().tolist()) for d in draws}) == 4


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True))
def test_an_example_with_an_id_has_its_own_draw_wherever_it_stands(rows):
    ids = tuple(f"example {k}" for k in range(10))
    whole = RandomStream(3, ids).normal(torch.zeros(10, 4), "noise")
    part = RandomStream(3, ids).take(rows).normal(torch.zeros(len(rows), 4), "noise")
    assert torch.equal(part, whole[rows])
    assert len(set(whole[:, 0].tolist())) == 10


def test_draws_have_the_promised_distribution():
    like = torch.zeros(1, 20000)
    normal, uniform = RandomStream(0).normal(like, "n"), RandomStream(0).uniform(like, "u")
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03
    assert abs(float(uniform.mean()) - 0.5) < 0.01
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_every_dtype_sees_the_same_numbers(dtype):
    drawn = RandomStream(0).normal(X.to(dtype), "noise")
    assert drawn.dtype == dtype
    assert torch.equal(drawn, RandomStream(0).normal(X, "noise").to(dtype))


def test_global_states_are_not_touched():
    with audit():
        RandomStream(0, ("a", "b", "c")).normal(X, "noise")
        generator(1, "x")


@pytest.mark.parametrize("seed", [np.int64(3), torch.tensor(3), 3])
def test_any_whole_number_is_a_seed(seed):
    assert RandomStream.of(seed) == RandomStream(3)


def test_a_stream_is_a_seed():
    stream = RandomStream(1, ("a",))
    assert RandomStream.of(stream) is stream


@pytest.mark.parametrize("seed", [1.5, "1", None, True])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ArgumentError, match="seed: expected a whole number, got"):
        RandomStream.of(seed)


def test_a_part_of_disturbed_copies_has_the_originals_of_its_rows() -> None:
    originals = torch.arange(6.0).reshape(3, 2)
    part = RandomStream(1).of_copies((originals,)).fork("a").take([2, 0, 2])
    assert part.ids is None
    assert part.originals is not None
    assert torch.equal(part.originals[0], originals[[2, 0, 2]])
