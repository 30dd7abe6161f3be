"""Baselines from other examples and from chance."""

from __future__ import annotations

import pytest
import torch

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.drawn_baselines import Background, ClassConditional, Uniform

SERIES = torch.randn(3, 2, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROWS = torch.arange(12.0).reshape(4, 3)


def test_noise_is_uniform_over_the_range_of_each_channel():
    noise = Uniform()(SERIES)
    low, high = SERIES.amin(2, keepdim=True), SERIES.amax(2, keepdim=True)
    shares = (noise - low) / (high - low)
    assert shares.min() >= 0
    assert shares.max() <= 1
    quantiles = torch.quantile(shares, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), dim=2)
    assert torch.allclose(quantiles, torch.tensor([0.1, 0.5, 0.9]).double()[:, None, None].expand(3, 3, 2), atol=0.03)


def test_noise_goes_by_content_and_seed():
    x = SERIES[:, :, :5].contiguous()
    assert torch.equal(Uniform()(x.flip(0)), Uniform()(x).flip(0))
    assert not torch.equal(Uniform()(x), Uniform(seed=1)(x))
    assert not torch.equal(Uniform()(x)[0], Uniform()(torch.zeros_like(x) + x[:1] * 1.0001)[0])


def test_a_background_row_goes_with_each_example():
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    drawn = Background(ROWS)(x)
    counts = [(drawn == row).all(1).sum().item() for row in ROWS]
    assert sum(counts) == 400
    assert min(counts) > 60  # of 100 expected
    assert torch.equal(Background(ROWS)(x[7:8]), drawn[7:8])
    assert not torch.equal(Background(ROWS, seed=1)(x), drawn)


def test_a_background_may_be_of_ids():
    ids = torch.tensor([[3, 4], [5, 6]])
    assert Background(torch.tensor([[1, 2]]))(ids).tolist() == [[1, 2], [1, 2]]


def test_the_mean_of_the_nearest_other_class():
    rows = torch.tensor([[0.0, 0.0], [2.0, 0.0], [10.0, 4.0], [12.0, 4.0], [30.0, 0.0], [32.0, 0.0]])
    baseline = ClassConditional(rows, torch.tensor([5, 5, 6, 6, 7, 7]))
    means = {5: [1, 0], 6: [11, 4], 7: [31, 0]}
    # in units of the columns' deviations (13.9 and 2.1), the class of 5 is nearer to that of 6 than to that of 7
    assert baseline(torch.tensor([[1.0, 0.0], [11.0, 4.0], [31.0, 1.0]])).tolist() == [means[6], means[5], means[6]]
    assert baseline.replace(label=7)(rows[:2]).tolist() == [means[7], means[7]]


def test_a_constant_column_has_no_units():
    baseline = ClassConditional(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 1]))
    assert baseline(torch.tensor([[0.1, 1.0], [0.9, 1.0]])).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: Background(torch.zeros(0, 3)), ArgumentError, r"Background: examples: expected at least one row"),
        (
            lambda: Background(ROWS)(torch.zeros(2, 4)),
            ShapeError,
            r"Background: examples: expected rows of shape \(4,\), as the inputs have, got \(3,\)",
        ),
        (
            lambda: ClassConditional(ROWS, torch.tensor([0, 1])),
            ArgumentError,
            r"ClassConditional: labels: expected 4 whole numbers, got torch.int64 of shape \(2,\)",
        ),
        (
            lambda: ClassConditional(ROWS, torch.tensor([0, 1, 1, 0]), label=2),
            ArgumentError,
            r"label: expected one of \[0, 1\], got 2",
        ),
        (lambda: ClassConditional(ROWS, torch.ones(4).long()), ArgumentError, r"at least two classes, got \[1\]"),
    ],
)
def test_what_does_not_fit_is_refused(made, error, message):
    with pytest.raises(error, match=message):
        made()
