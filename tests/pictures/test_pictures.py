"""Colours of maps: zero is neutral, signs mirror, and nothing that is not a number gets a colour."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.pictures import LEVELS, coloured, inline_png, palette, panel, pictured, png, shrunk

NEUTRAL = palette()[LEVELS // 2]


def level(colour: np.ndarray) -> int:
    (found,) = np.flatnonzero((palette() == colour).all(-1))
    return int(found)


def test_the_palette_goes_from_blue_over_a_pale_grey_to_red():
    assert palette().shape == (LEVELS, 4)
    assert len(np.unique(palette(), axis=0)) == LEVELS
    (least, middle, most) = palette()[[0, LEVELS // 2, -1]].astype(int)
    assert least[2] > 2 * least[0]
    assert most[0] > 2 * most[2]
    assert middle[:3].min() > 240
    assert np.ptp(middle[:3]) <= 1


def test_zero_is_neutral_and_the_largest_value_deepest():
    colours = coloured(torch.tensor([[0.0, 2.0], [-2.0, 1.0]]))
    assert colours.shape == (2, 2, 4)
    assert colours.dtype == np.uint8
    assert (colours[0, 0] == NEUTRAL).all()
    assert (colours[0, 1] == palette()[-1]).all()
    assert (colours[1, 0] == palette()[0]).all()
    assert level(colours[1, 1]) == LEVELS // 2 + round(0.5 * (LEVELS // 2))


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_the_opposite_map_has_the_mirrored_colours(numbers):
    values = torch.tensor(numbers, dtype=torch.float64).reshape(2, 2)
    one, other = coloured(values), coloured(-values)
    for a, b in zip(one.reshape(-1, 4), other.reshape(-1, 4), strict=True):
        assert level(a) + level(b) == LEVELS - 1


def test_scale_does_not_matter_but_a_limit_does():
    values = torch.tensor([[0.5, -0.25]])
    assert (coloured(values) == coloured(1e-9 * values)).all()
    assert (coloured(values, limit=0.5) == coloured(values)).all()
    assert level(coloured(values, limit=1)[0, 0]) < level(coloured(values)[0, 0])
    assert (coloured(values, limit=0.1)[0, 0] == palette()[-1]).all()


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_a_constant_map_is_one_colour(value):
    colours = coloured(torch.full((3, 5), value))
    assert len(np.unique(colours.reshape(-1, 4), axis=0)) == 1
    assert (colours[0, 0] == palette()[(int(np.sign(value)) + 1) * (LEVELS // 2)]).all()


def test_what_is_not_finite_is_transparent_and_does_not_scale():
    colours = coloured(torch.tensor([[float("nan"), float("inf"), 1.0, 0.0]]))
    assert (colours[0, :2] == 0).all()
    assert (colours[0, 2] == palette()[-1]).all()
    assert (colours[0, 3] == NEUTRAL).all()
    assert (coloured(torch.full((2, 2), float("nan"))) == 0).all()


def test_leading_axes_are_added_up():
    values = torch.tensor([[[1.0, 0.0]], [[-1.0, 2.0]]])
    assert (coloured(values) == coloured(torch.tensor([[0.0, 2.0]]))).all()


def test_positions_on_one_axis_become_bars():
    colours = coloured(torch.tensor([1.0, -0.5, 0.0]))
    height, width = colours.shape[:2]
    half, third = height // 2, width // 3
    up, down, none = colours[:, third // 2], colours[:, third + third // 2], colours[:, 2 * third + third // 2]
    assert (up[:half] == palette()[229]).all()
    assert (up[half + 1 :] == NEUTRAL).all()
    assert (down[:half] == NEUTRAL).all()
    assert (down[half + 1 :] == palette()[25]).all(-1).sum() == half // 2
    assert (none[np.arange(height) != half] == NEUTRAL).all()
    assert (coloured(torch.tensor([float("nan")])) == 0).all()


def test_many_bars_stay_one_pixel_wide():
    assert coloured(torch.randn(500)).shape[1] == 500


def test_three_channels_are_colours_first_or_last():
    values = torch.zeros(3, 2, 2)
    values[0, 0, 0], values[2, 1, 1] = 1.0, 0.5
    colours = pictured(values)
    assert colours.shape == (2, 2, 4)
    assert colours[0, 0].tolist() == [255, 0, 0, 255]
    assert colours[1, 1].tolist() == [0, 0, 128, 255]
    assert (pictured(values.permute(1, 2, 0)) == colours).all()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels_are_their_mean_in_grey(channels):
    values = torch.rand(channels, 4, 5, generator=torch.Generator().manual_seed(0))
    assert (pictured(values) == pictured(values.mean(0))).all()
    grey = pictured(values)
    assert grey.shape == (4, 5, 4)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 0].min(), grey[..., 0].max()) == (0, 255)


def test_a_picture_is_scaled_by_its_own_range():
    values = torch.tensor([[-3.0, 0.0, 1.0]])
    assert pictured(values)[0, :, 0].tolist() == [0, 191, 255]
    assert pictured(torch.tensor([[-3, 0, 1]]))[0, :, 0].tolist() == [0, 191, 255]


@pytest.mark.parametrize("values", [torch.full((1, 2, 2), 0.7), torch.full((3, 2, 2), float("nan"))])
def test_a_constant_or_undefined_picture_is_drawn(values):
    colours = pictured(values)
    assert (colours[..., :3] == 0).all()
    assert (colours[..., 3] == 255).all()


def test_an_input_with_one_axis_becomes_grey_bars():
    colours = pictured(torch.tensor([1.0, -1.0]))
    greys = colours[colours[..., 3] > 0]
    assert np.ptp(greys[:, :3].astype(int), axis=1).max() <= 1
    assert (colours[0, 0] != colours[-1, 0]).any()


def test_shrunk_takes_means_of_neighbours():
    values = torch.arange(16.0).reshape(1, 4, 4)
    assert shrunk(values, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    assert shrunk(values, 4).tolist() == values.tolist()
    assert shrunk(torch.arange(6.0), 3, positions=1).tolist() == [0.5, 2.5, 4.5]
    assert shrunk(torch.ones(3, 10, 20), 7).shape == (3, 4, 7)
    assert np.allclose(shrunk(torch.ones(3, 10, 20), 7), 1)


@pytest.mark.parametrize("shape", [(2, 3), (40, 30), (300, 1)])
@pytest.mark.parametrize("transparent", [False, True])
def test_png_keeps_every_pixel(shape, transparent):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if transparent:
        values[0, 0] = float("nan")
    colours = coloured(values)
    back = np.asarray(Image.open(io.BytesIO(png(colours))).convert("RGBA"))
    assert (back == colours).all()


def test_png_of_many_colours_keeps_every_pixel():
    colours = pictured(torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0)))
    assert (np.asarray(Image.open(io.BytesIO(png(colours))).convert("RGBA")) == colours).all()
    assert inline_png(colours).startswith("data:image/png;base64,iVBOR")


def images(figure):
    return [(axes.get_title(), np.asarray(axes.images[0].get_array())) for axes in figure.axes if axes.images]


def test_a_panel_shows_each_input_beside_its_map():
    maps = [torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 1.0]])]
    inputs = [torch.rand(3, 1, 2), torch.rand(1, 1, 2)]
    shown = images(panel(maps, ["a", "b"], inputs))
    assert [title for title, _ in shown] == ["input", "a", "input", "b"]
    assert (shown[1][1] == coloured(maps[0])).all()
    assert (shown[2][1] == pictured(inputs[1])).all()
    assert [title for title, _ in images(panel(maps, ["a", "b"]))] == ["a", "b"]
    assert images(panel([], [])) == []


def test_a_panel_wants_a_title_and_a_picture_for_each_map():
    with pytest.raises(ArgumentError, match="titles: expected one for each of 1 maps, got 0"):
        panel([torch.ones(2, 2)], [])
    with pytest.raises(ArgumentError, match="pictures: expected one for each of 1 maps, got 2"):
        panel([torch.ones(2, 2)], ["a"], [torch.ones(2, 2)] * 2)


@pytest.mark.parametrize("shape", [(3, 5, 6), (1, 4, 4)])
def test_an_explanation_plots_inputs_and_maps(shape):
    maps, inputs = torch.randn(4, *shape), torch.rand(4, *shape)
    explanation = Explanation("A", {}, (maps,), (inputs,), [0] * 4, torch.arange(4.0), None, 0.1)
    shown = images(explanation.plot(limit=3))
    assert [title for title, _ in shown] == [t for k in range(3) for t in ("input", f"#{k}  target 0  score {k}")]
    assert (shown[2][1] == pictured(inputs[1])).all()
    assert (shown[3][1] == coloured(maps[1])).all()
    buffer = io.BytesIO()
    explanation.plot().savefig(buffer)
    width, height = Image.open(buffer).size
    assert width > height
