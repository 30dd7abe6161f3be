"""Regions of pictures."""

from __future__ import annotations

import warnings

import pytest
import torch
from skimage.filters import sobel
from skimage.segmentation import felzenszwalb, quickshift, slic, watershed

from pnpxai.errors import ArgumentError
from pnpxai.strategies.feature_masks import Grid, Positions
from pnpxai.strategies.superpixels import Auto, Felzenszwalb, Quickshift, Slic, Watershed

SEGMENTERS = (Felzenszwalb(min_size=5), Quickshift(), Slic(), Watershed())
every_segmenter = pytest.mark.parametrize("segmenter", SEGMENTERS, ids=lambda s: s.name)


def pictures(channels, side=40, examples=2):
    """Return blocks of colour with a little noise, far from 0 ... 1."""
    generator = torch.Generator().manual_seed(channels)
    blocks = torch.rand(examples, channels, 4, 4, generator=generator, dtype=torch.float64)
    big = torch.nn.functional.interpolate(blocks, size=(side, side))
    return 3 * big + 0.05 * torch.rand(big.shape, generator=generator, dtype=torch.float64) - 5


def same_groups(one, other):
    one, other = one.flatten(), other.flatten()
    return torch.equal(one[:, None] == one, other[:, None] == other)


def test_they_are_those_of_scikit_image():
    colour = pictures(3)[:1]
    picture = ((colour - colour.min()) / (colour.max() - colour.min()))[0].movedim(0, -1).numpy()
    expected = {
        "felzenszwalb": felzenszwalb(picture, scale=40.0, sigma=0.5, min_size=7),
        "quickshift": quickshift(picture, ratio=0.8, kernel_size=3, max_dist=6, sigma=0.5, rng=42),
        "slic": slic(picture, n_segments=100, compactness=5.0, sigma=0.5, start_label=0),
        "watershed": watershed(sobel(picture.mean(-1)), markers=30, compactness=0.01),
    }
    made = (
        Felzenszwalb(scale=40.0, sigma=0.5, min_size=7),
        Quickshift(ratio=0.8, kernel_size=3.0, max_dist=6, sigma=0.5),
        Slic(n_segments=100, compactness=5.0, sigma=0.5),
        Watershed(markers=30, compactness=0.01),
    )
    for segmenter in made:
        found = segmenter(colour, 1)[0]
        assert int(found.max()) > 3
        assert same_groups(found, torch.as_tensor(expected[segmenter.name]))


@every_segmenter
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_regions_do_not_cross_edges(segmenter, channels):
    """On a board of bright and dark squares, hardly any region is of both."""
    bright = (torch.arange(40)[:, None] // 10 + torch.arange(40) // 10) % 2
    x = pictures(channels) * 0.1 + bright
    for ids in segmenter(x, 1):
        table = torch.zeros(int(ids.max()) + 1, 2)
        table.index_put_((ids.flatten(), bright.flatten()), torch.ones(1), accumulate=True)
        assert float(table.amax(1).sum() / table.sum()) > 0.85


@every_segmenter
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_ids_start_at_zero_and_have_no_gaps(segmenter, channels):
    for ids in segmenter(pictures(channels), 1):
        assert ids.unique().tolist() == list(range(int(ids.max()) + 1))


@every_segmenter
@pytest.mark.parametrize("channels", [1, 3])
def test_the_range_of_values_does_not_matter(segmenter, channels):
    x = pictures(channels)
    found = segmenter(x, 1)
    assert torch.equal(segmenter(x * 64 + 128, 1), found)


@every_segmenter
def test_the_channels_may_be_last_or_missing(segmenter):
    x = pictures(3)
    assert torch.equal(segmenter(x.movedim(1, -1), -1), segmenter(x, 1))
    assert torch.equal(segmenter(x[:, 0]), segmenter(x[:, :1], 1))


@every_segmenter
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 1, 2, 5), (1, 3, 30, 2), (2, 7, 6, 6)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_constant_and_tiny_pictures(segmenter, shape, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (torch.full(shape, 2.0, dtype=dtype), pictures(shape[1], 8)[: shape[0], :, : shape[2], : shape[3]]):
            ids = segmenter(x, 1)
            assert ids.shape == (len(x), *x.shape[2:])


@every_segmenter
@pytest.mark.parametrize("values", [torch.zeros(2, 6), torch.zeros(2, 3, 9), torch.zeros(2, 1, 4, 4).long()])
def test_what_is_no_picture_is_refused(segmenter, values):
    name = type(segmenter).__name__
    with pytest.raises(ArgumentError, match=f"{name}: expected pictures .* feature_mask_fn='auto' or 'positions'"):
        segmenter(values, 1)


def test_auto_takes_superpixels_of_pictures():
    x = pictures(3, 64)
    assert torch.equal(Auto()(x, 1), Felzenszwalb()(x, 1))


def test_auto_cuts_small_and_plain_pictures_by_a_grid():
    small, plain = pictures(3, 31), torch.ones(2, 3, 64, 64)
    assert torch.equal(Auto()(small, 1), Grid()(small, 1))
    both = torch.cat([pictures(3, 64)[:1].float(), plain])
    assert torch.equal(Auto()(both, 1)[1:], Grid()(plain, 1).expand(2, -1, -1))
    assert torch.equal(Auto()(both, 1)[:1], Felzenszwalb()(both[:1], 1))


@pytest.mark.parametrize("values", [torch.zeros(2, 6), torch.zeros(2, 3, 9), torch.tensor([[1, 2]]), torch.zeros(3)])
def test_auto_elsewhere_leaves_every_position_alone(values):
    assert torch.equal(Auto()(values, 1), Positions()(values, 1))
