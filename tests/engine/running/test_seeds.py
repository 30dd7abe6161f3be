"""Draws depend on the seed, their number and the example, on nothing else, and are distributed as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.engine.running.seeds import Draws, RandomStream, draws, seed_of
from pnpxai.errors import ArgumentError
from pnpxai.testing.audit import audit

X = torch.zeros(3, 4)


def is_uniform(counts):
    """Say whether counts of equally likely events, (events, cases), pass chi-square tests, together at 1 in 10,000."""
    chances = np.atleast_1d(scipy.stats.chisquare(counts.numpy()).pvalue)
    return chances.min() > 1e-4 / len(chances)


def test_a_draw_depends_on_seed_and_path():
    each = [
        RandomStream(s, ("a",)).draws(name).at(k).normal((4,))
        for s, name, k in ((0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2))
    ]
    assert len({tuple(d.flatten().tolist()) for d in each}) == 4


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), st.booleans())
def test_an_example_has_its_own_draw_wherever_it_stands(rows, with_ids):
    x = torch.arange(20.0).reshape(10, 2)
    stream = RandomStream(3, tuple(f"example {k}" for k in range(10)) if with_ids else None)
    whole = stream.of_examples((x,)).draws("noise").at([5, 2, 7]).normal((4,))
    part = stream.take(rows).of_examples((x[rows],)).draws("noise").at([2]).normal((4,))
    assert torch.equal(part[0], whole[1, rows])
    assert len(set(whole[0, :, 0].tolist())) == 10


def test_double_precision_has_the_draws_of_single():
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, other = (RandomStream(1).of_examples((t,)).draws("noise").normal((4,)) for t in (x, x.float()))
    assert torch.equal(one, other)


def test_a_copy_has_the_draws_of_its_original() -> None:
    stream = RandomStream(1)
    of_copy = stream.of_copies((X + 1,)).of_examples((X,)).draws("noise").normal((4,))
    assert torch.equal(of_copy, stream.of_examples((X + 1,)).draws("noise").normal((4,)))


def test_the_first_numbers_do_not_depend_on_how_many_follow():
    for draw in (draws("a").bits, lambda n: draws("a").normal((n,)), lambda n: draws("a").below(9, (n,))):
        assert torch.equal(draw(3), draw(50)[:3])


def test_every_bit_is_as_often_set_as_not():
    bits = draws(0, "bits").at(range(64)).bits(512).flatten()
    set_bits = torch.stack([((bits >> k) & 1).sum() for k in range(64)])
    assert is_uniform(torch.stack([set_bits, len(bits) - set_bits]))
    # and as often as not where the next number, the next draw or a neighbouring key has it
    keys = Draws(torch.arange(64)).at(range(8)).bits(64)
    for axis in range(3):
        changed = keys ^ keys.roll(1, axis)
        flips = torch.stack([((changed >> k) & 1).sum() for k in range(64)])
        assert is_uniform(torch.stack([flips, changed.numel() - flips]))


@pytest.mark.parametrize("of", ["numbers", "draws", "seeds", "examples"])
def test_numbers_are_uniform_and_independent(of):
    """Pairs of neighbours along each address fill the unit square evenly."""
    streams = {
        "numbers": lambda: draws(0).uniform((20_000,)),
        "draws": lambda: draws(0).at(range(20_000)).uniform(),
        "seeds": lambda: torch.stack([draws(k).uniform() for k in range(4_000)]),
        "examples": lambda: RandomStream(0, tuple(map(str, range(20_000)))).draws("a").uniform(),
    }
    numbers = streams[of]()
    assert 0 <= float(numbers.min()) <= float(numbers.max()) < 1
    cells = (numbers * 8).long()
    assert is_uniform(torch.bincount(8 * cells[:-1:2] + cells[1::2], minlength=64))


def test_normal_numbers_are_normal():
    numbers = draws(0).at(range(100)).normal((1000,)).flatten()
    assert scipy.stats.kstest(numbers.numpy(), "norm").pvalue > 1e-3
    assert float(numbers.abs().max()) > 4
    extreme = Draws(torch.tensor(0))
    object.__setattr__(extreme, "bits", lambda count, device=None: torch.tensor([-(2**63), 2**63 - 1, 0]))
    assert extreme.normal((3,)).isfinite().all()


@pytest.mark.parametrize("limit", [1, 2, 7, 2**53])
def test_whole_numbers_are_uniform(limit):
    numbers = draws("whole").below(limit, (7_000,))
    assert 0 <= int(numbers.min()) <= int(numbers.max()) < limit
    cells = min(limit, 7)
    assert cells == 1 or is_uniform(torch.bincount((numbers / limit * cells).long(), minlength=cells))


def test_permutations_are_uniform():
    orders = draws("orders").at(range(6_000)).permutation(4)
    assert torch.equal(orders.sort(1).values, torch.arange(4).expand(6_000, 4))
    numbers = (orders * torch.tensor([64, 16, 4, 1])).sum(1)
    assert is_uniform(torch.unique(numbers, return_counts=True)[1])
    assert len(numbers.unique()) == math.factorial(4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_every_dtype_sees_the_same_numbers(dtype):
    drawn = draws(0).normal((3, 4), X.to(dtype))
    assert drawn.dtype == dtype
    assert torch.equal(drawn, draws(0).normal((3, 4)).to(dtype))


def test_numbers_are_those_of_splitmix64():
    """Recomputed with Python's whole numbers."""

    def mixed(x):
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    key = seed_of("a")
    for k in (0, 3):
        for c, bits in enumerate(draws("a").at(k).bits(3).tolist()):
            moved = mixed((key + mixed(k * -0x61C8864680B583EB % 2**64)) % 2**64)
            assert bits % 2**64 == mixed((moved + mixed(c * -0x3C5D4C1F8E9A1B2D % 2**64)) % 2**64)


def test_global_states_are_not_touched():
    with audit():
        RandomStream(0, ("a", "b", "c")).draws("noise").normal((4,))


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
