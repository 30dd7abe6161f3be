"""Where values hold a map is read off their shapes, and folding keeps every position in its place."""

from __future__ import annotations

import pytest
import torch

from pnpxai.engine.seeing.token_grid import MapLayout, layout_of, reductions

SQUARE, WIDE = (32, 32), (32, 48)


@pytest.mark.parametrize(
    ("shape", "sides", "grids", "expected"),
    [
        # channels first, known or not
        ((2, 8, 4, 4), SQUARE, [(4, 4)], MapLayout((4, 4))),
        ((2, 8, 5, 5), SQUARE, [(4, 4)], MapLayout((5, 5))),
        ((2, 4, 4, 4), SQUARE, [(4, 4)], MapLayout((4, 4))),
        ((2, 8, 4, 6), WIDE, [], MapLayout((4, 6))),
        # channels last: by what is known, or by the input's proportions
        ((2, 4, 4, 8), SQUARE, [(4, 4)], MapLayout((4, 4), True)),
        ((2, 2, 2, 8), SQUARE, [(4, 4)], MapLayout((2, 2), True)),
        ((2, 7, 7, 96), (224, 224), [], MapLayout((7, 7), True)),
        ((2, 4, 6, 8), WIDE, [], MapLayout((4, 6), True)),
        # tokens: none, one, two, five that stand for no position
        ((2, 16, 8), SQUARE, [(4, 4)], MapLayout((4, 4), True)),
        ((2, 17, 8), SQUARE, [(4, 4)], MapLayout((4, 4), True)),
        ((2, 18, 8), SQUARE, [(4, 4)], MapLayout((4, 4), True)),
        ((2, 29, 8), WIDE, [(4, 6)], MapLayout((4, 6), True)),
        ((2, 9, 8), SQUARE, [(2, 2)], MapLayout((2, 2), True)),
        # merged, once and twice, odd sides too
        ((2, 4, 8), SQUARE, [(4, 4)], MapLayout((2, 2), True)),
        ((2, 6, 8), (40, 24), [(5, 3)], MapLayout((3, 2), True)),
        # the grid that leaves the fewest tokens over, of two patch embeddings
        ((2, 401, 8), (240, 240), [(20, 20), (14, 14)], MapLayout((20, 20), True)),
        # nothing known: the input's proportions
        ((2, 197, 8), (224, 224), [], MapLayout((14, 14), True)),
        ((2, 201, 8), (224, 224), [], MapLayout((14, 14), True)),
        ((2, 99, 8), (224, 112), [], MapLayout((14, 7), True)),
        # examples behind the tokens
        ((17, 2, 8), SQUARE, [(4, 4)], MapLayout((4, 4), True, batch=1)),
        # along time, and in space
        ((2, 6, 7), (16,), [(7,)], MapLayout((7,))),
        ((2, 7, 6), (16,), [(7,)], MapLayout((7,), True)),
        ((2, 6, 4, 4, 4), (8, 8, 8), [], MapLayout((4, 4, 4))),
        # no map
        ((2, 8), SQUARE, [(4, 4)], None),
        ((2, 8, 1, 1), SQUARE, [(4, 4)], None),
        ((2, 1, 8), SQUARE, [(4, 4)], None),
        ((3, 5, 8), SQUARE, [(4, 4)], None),
        ((2, 8, 4, 4, 4), SQUARE, [(4, 4)], None),
    ],
)
def test_layouts(shape, sides, grids, expected):
    assert layout_of(shape, 2, sides, grids) == expected


def test_a_grid_is_halved_upwards_down_to_one():
    assert list(reductions((5, 3))) == [(5, 3), (3, 2), (2, 1)]


@pytest.mark.parametrize("others", [0, 1, 5])
@pytest.mark.parametrize("batch", [0, 1])
def test_folding_keeps_rows_columns_channels_and_examples(others, batch):
    maps = torch.randn(2, 3, 4, 6)
    tokens = torch.cat([torch.full((2, others, 3), 9.0), maps.flatten(2).transpose(1, 2)], dim=1)
    layout = MapLayout((4, 6), True, batch)
    assert torch.equal(layout.fold(tokens.transpose(0, batch)), maps)


def test_folding_of_channels_behind_and_before():
    maps = torch.randn(2, 3, 4, 6)
    assert torch.equal(MapLayout((4, 6), True).fold(maps.permute(0, 2, 3, 1)), maps)
    assert torch.equal(MapLayout((4, 6)).fold(maps), maps)
