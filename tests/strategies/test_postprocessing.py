"""Attributions become maps: pooled, then normalised."""

from __future__ import annotations

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.strategies.normalization import EachNormalization, MinMax
from pnpxai.strategies.pooling import EachPooling
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.testing.declarations import check_defaults, check_round_trip, check_unknown_setting
from pnpxai.traits import Traits

ATTRIBUTIONS = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_it_pools_then_normalises():
    maps = PostProcessor(pooling_fn="l1norm", normalization_fn="maxabs")(ATTRIBUTIONS)
    pooled = ATTRIBUTIONS.abs().sum(1)
    assert torch.allclose(maps, pooled / pooled.amax((1, 2), keepdim=True))


def test_by_default_it_sums():
    assert torch.equal(PostProcessor()(ATTRIBUTIONS), ATTRIBUTIONS.sum(1))


def test_the_channels_may_be_elsewhere_or_nowhere():
    assert torch.equal(PostProcessor(channel_dim=-1)(ATTRIBUTIONS), ATTRIBUTIONS.sum(-1))
    assert torch.equal(PostProcessor(channel_dim=None)(ATTRIBUTIONS), ATTRIBUTIONS)


def test_several_tensors_give_several_maps():
    first, second = PostProcessor()((ATTRIBUTIONS, ATTRIBUTIONS[:, :, :2]))
    assert (first.shape, second.shape) == ((2, 4, 5), (2, 2, 5))


def test_each_of_several_maps_has_a_pooling_and_a_scale_of_its_own():
    each = PostProcessor(
        pooling_fn=EachPooling(("l1norm", "identity")), normalization_fn=EachNormalization(("identity", "minmax"))
    )
    series = ATTRIBUTIONS[:, :, 0]
    first, second = each((ATTRIBUTIONS, series))
    assert torch.equal(first, ATTRIBUTIONS.abs().sum(1))
    assert torch.equal(second, MinMax()(series))
    assert each.of(0)(ATTRIBUTIONS).equal(first)
    assert each.of(1)(series).equal(second)
    with pytest.raises(ArgumentError, match="EachPooling: expected a strategy for each of 1 inputs, got 2"):
        each(ATTRIBUTIONS)
    of_picture_and_row = PostProcessor.on(Traits("image", 1, 2, others=(Traits.table(),)))
    assert of_picture_and_row.pooling_fn == EachPooling(("sum", "identity"))
    assert of_picture_and_row(ATTRIBUTIONS[:, :1]).shape == (2, 4, 5), "the one map of a class activation map"


def test_declaration():
    check_round_trip(PostProcessor(pooling_fn="l2norm"))
    check_defaults(PostProcessor)
    check_unknown_setting(PostProcessor)
    assert "identity" not in PostProcessor.get_tunables(Traits.image())["pooling_fn"][1]["choices"]


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ArgumentError, match="attributions: expected a tensor"):
        PostProcessor()("maps")
