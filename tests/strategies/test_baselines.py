"""What is left of an input without evidence."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import correlate1d

from pnpxai.declare.registry import every
from pnpxai.errors import ArgumentError
from pnpxai.strategies.baselines import Baseline, EachBaseline, GaussianBlur, Invert, LocalMean, Mean, Zeros
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


def test_the_mean_over_channels_leaves_shapes():
    blank = Mean(over="channels")(IMAGES)
    assert torch.allclose(blank[0, 2, 3, 4], IMAGES[0, :, 3, 4].mean())
    assert torch.equal(blank[:, 0], blank[:, 1])


def test_a_negative_within_the_range_of_each_channel():
    x = torch.tensor([[[0.0, 1.0, 4.0], [-1.0, 1.0, 0.0]]])
    assert Invert()(x).tolist() == [[[4, 3, 0], [1, -1, 0]]]


def test_a_negative_within_a_range_that_is_known():
    x = torch.tensor([[[[0.25]], [[0.5]]]])
    assert Invert(low=0.0, high=1.0)(x).flatten().tolist() == [0.75, 0.5]
    normalised = Invert(low=(-2.0, -1.0), high=(2.0, 3.0))(x)
    assert normalised.flatten().tolist() == [-0.25, 1.5]


def test_a_negative_undone_is_the_picture():
    assert torch.allclose(Invert()(Invert()(IMAGES)), IMAGES)


def test_a_local_mean_is_that_of_the_steps_around():
    x = torch.tensor([[[1.0, 2.0, 6.0, 0.0, 4.0]]])
    assert LocalMean(size=3)(x).tolist() == [[[1.5, 3, pytest.approx(8 / 3), pytest.approx(10 / 3), 2]]]
    assert torch.allclose(LocalMean(size=3, dim=1)(x.transpose(1, 2)).transpose(1, 2), LocalMean(size=3)(x))
    assert torch.allclose(LocalMean(size=31)(x), x.mean().expand_as(x))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: LocalMean(size=4), "LocalMean: size: expected an odd number, got 4"),
        (lambda: Invert(low=0.0), "Invert: low, high: expected both or neither, got 0.0 and None"),
        (lambda: Invert(low=(0.0, 1.0), high=1.0)(IMAGES), "Invert: low: expected one number or one per channel"),
        (
            lambda: Mean()(torch.tensor([[1, 2]])),
            "Mean: expected floating point numbers, got torch.int64; of ids",
        ),
        (lambda: EachBaseline(3), "EachBaseline: strategies: expected a tuple, got 3"),
    ],
)
def test_wrong_settings_and_values_are_refused(made, message):
    with pytest.raises(ArgumentError, match=message):
        made()


@pytest.mark.parametrize(
    ("traits", "suitable"),
    [
        (Traits.image(), {"zeros", "mean", "invert", "gaussian_blur", "uniform"}),
        (Traits.series(), {"zeros", "mean", "local_mean", "uniform"}),
        (Traits.table(), {"zeros", "mean"}),
        (Traits.text(), {"token", "pad"}),
    ],
    ids=lambda v: getattr(v, "modality", ""),
)
def test_what_suits_which_data(traits, suitable):
    found = {b.name for b in every(Baseline, within="pnpxai.") if b.suits(traits)}
    assert found - {"background", "class_conditional", "each"} == suitable
