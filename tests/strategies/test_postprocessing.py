"""Attributions become maps: pooled, then normalised."""

from __future__ import annotations

import pytest
import torch

from pnpxai.errors import ArgumentError
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


def test_declaration():
    check_round_trip(PostProcessor(pooling_fn="l2norm"))
    check_defaults(PostProcessor)
    check_unknown_setting(PostProcessor)
    assert "identity" not in PostProcessor.get_tunables(Traits.image())["pooling_fn"][1]["choices"]


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ArgumentError, match="attributions: expected a tensor"):
        PostProcessor()("maps")
