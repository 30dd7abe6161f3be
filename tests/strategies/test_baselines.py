"""What is left of an input without evidence."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import correlate1d

from pnpxai.errors import ArgumentError
from pnpxai.registry import every
from pnpxai.strategies.baselines import Baseline, GaussianBlur, Mean, Zeros
from pnpxai.traits import Traits

IMAGES = torch.randn(2, 3, 7, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_zeros():
    assert not Zeros()(IMAGES).any()
    assert Zeros()(IMAGES).shape == IMAGES.shape


def test_mean_is_that_of_each_channel():
    blank = Mean()(IMAGES)
    assert blank.shape == IMAGES.shape
    assert torch.allclose(blank[1, 2], IMAGES[1, 2].mean())


def test_mean_of_a_table_is_that_of_the_row():
    assert Mean()(torch.tensor([[1.0, 3.0], [0.0, 8.0]])).tolist() == [[2, 2], [4, 4]]


def test_blur_equals_a_gaussian_filter_with_reflected_borders():
    blur = GaussianBlur(kernel_size_x=5, kernel_size_y=3, sigma_x=1.5, sigma_y=0.7)
    expected = IMAGES.numpy()
    for size, sigma, axis in ((5, 1.5, 3), (3, 0.7, 2)):
        offsets = torch.arange(size, dtype=torch.float64) - size // 2
        weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
        expected = correlate1d(expected, (weights / weights.sum()).numpy(), axis=axis, mode="mirror")
    assert torch.allclose(blur(IMAGES), torch.from_numpy(expected), atol=1e-7)


def test_blur_keeps_a_flat_picture():
    flat = torch.full((1, 1, 6, 6), 2.5)
    assert torch.allclose(GaussianBlur(sigma_x=2.0)(flat), flat)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_kernel_wider_than_the_picture_is_cut(side):
    small = IMAGES[:, :, :side, :side].contiguous()
    assert GaussianBlur(kernel_size_x=11, kernel_size_y=11)(small).shape == small.shape


def test_even_kernels_are_refused():
    with pytest.raises(ArgumentError, match="GaussianBlur: kernel_size_y: expected an odd number, got 4"):
        GaussianBlur(kernel_size_y=4)


def test_only_pictures_are_blurred():
    with pytest.raises(ArgumentError, match="GaussianBlur: expected pictures .* got 2 dimensions"):
        GaussianBlur()(torch.zeros(2, 3))


def test_ids_have_no_numeric_baseline():
    assert [
        b for b in every(Baseline, within="pnpxai.") if b in (Zeros, Mean, GaussianBlur) and b.suits(Traits.text())
    ] == []
    assert not GaussianBlur.suits(Traits.series())
