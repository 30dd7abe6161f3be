"""Maps drawn under captum's names: the numbers that colours stand for are captum's."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import torch

from pnpxai.attributors import visualization as own
from pnpxai.errors import ArgumentError
from tests.on_demand import CAPTUM

mpl.use("Agg")
RNG = np.random.default_rng(0)
MAP, PICTURE = RNG.normal(size=(6, 5, 3)), RNG.random((6, 5, 3))
SIGNS = ("positive", "absolute_value", "negative", "all")


def _both(name, *arguments, **options):
    return (getattr(source, name)(*arguments, use_pyplot=False, **options) for source in (own, CAPTUM.visualization))


@pytest.mark.smoke
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("outliers", [1, 2, 20])
def test_a_heat_map_has_captums_numbers(sign, outliers):
    (_, here), (_, there) = _both("visualize_image_attr", MAP, None, "heat_map", sign, outlier_perc=outliers)
    drawn = here.images[0].get_array()
    assert np.allclose(drawn, there.images[0].get_array())
    colour = here.images[0].cmap(here.images[0].norm(drawn))[np.unravel_index(drawn.argmin(), drawn.shape)]
    if sign in ("negative", "all"):
        assert colour[2] > colour[0]  # against the target is blue
    else:
        assert min(colour[:3]) > 0.9  # nothing is white


@pytest.mark.parametrize("method", ["original_image", "masked_image", "alpha_scaling", "blended_heat_map"])
@pytest.mark.parametrize("scale", [1, 255])
def test_pictures_under_and_behind_maps_are_captums(method, scale):
    picture = PICTURE if scale == 1 else (255 * PICTURE).astype(int)
    (_, here), (_, there) = _both("visualize_image_attr", MAP, picture, method, "positive")
    assert len(here.images) == len(there.images)
    for one, other in zip(here.images, there.images, strict=True):
        assert np.allclose(one.get_array(), other.get_array(), atol=1)


def test_several_ways_stand_beside_each_other():
    ways, signs = ["original_image", "heat_map"], ["all", "all"]
    for titles in (None, ["picture", "map"]):
        (figure, here), (_, there) = _both("visualize_image_attr_multiple", MAP, PICTURE, ways, signs, titles)
        assert len(here) == len(there) == 2
        assert [axes.get_title() for axes in here] == (titles or ["", ""])
        assert np.allclose(here[1].images[0].get_array(), there[1].images[0].get_array())
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["overlay_individual", "overlay_combined", "colored_graph"])
def test_series_are_drawn_on_their_colours(method):
    attr, data = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 3))
    names = ["x", "y", "z"]
    options = {"show_colorbar": True, "use_pyplot": False}
    _, axes = own.visualize_timeseries_attr(attr, data, None, method, "all", names, **options)
    each = np.atleast_1d(axes)
    assert len(each) == (1 if method == "overlay_combined" else 3)
    if method == "colored_graph":
        offsets = np.asarray(each[1].collections[0].get_offsets())
        assert np.allclose(offsets[:, 1], data[:, 1])
    else:
        assert np.allclose(each[-1].lines[-1].get_ydata(), data[:, 2])
        wanted = attr.sum(1) if method == "overlay_combined" else attr[:, 2]
        drawn = each[-1].images[0].get_array()[0]
        assert np.corrcoef(wanted, drawn)[0, 1] > 0.95


def test_texts_are_a_table():
    record = (torch.tensor([0.9, -0.4]), 0.75, "good", "good", "good", 0.5, ["fine", "<b>"], 0.01)
    shown = own.visualize_text([own.VisualizationDataRecord(*record)])
    for words in ("Predicted label", "good (0.75)", "fine", "&lt;b&gt;", "red: for the class"):
        assert words in shown.data
    assert shown._repr_html_() == shown.data
    assert "red:" not in own.visualize_text([], legend=False)


def test_wrong_names_are_refused():
    for options, words in (
        ({"method": "heatmap"}, "method: expected 'heat_map'"),
        ({"sign": "both"}, "sign: expected 'positive'"),
        ({"method": "masked_image"}, "original_image: expected a picture"),
        ({"outlier_perc": 120}, "outlier_perc: expected 0 to 100"),
    ):
        with pytest.raises(ArgumentError, match=words):
            own.visualize_image_attr(MAP, use_pyplot=False, **options)
    with pytest.raises(ArgumentError, match="not 'all'|got 'all'"):
        own.visualize_image_attr(MAP, PICTURE, "alpha_scaling", "all", use_pyplot=False)
    with pytest.raises(ArgumentError, match="attr: expected"):
        own.visualize_timeseries_attr(MAP[0], MAP[1, :2], use_pyplot=False)
    with pytest.raises(ArgumentError, match="signs: expected one for each"):
        own.visualize_image_attr_multiple(MAP, PICTURE, ["heat_map"], ["all", "all"])
