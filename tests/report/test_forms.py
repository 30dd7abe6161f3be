"""Each kind of input in its own form: every number is drawn where it belongs."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from pnpxai.pictures import Display, View, coloured, pictured
from pnpxai.report.forms.choice import form_of
from pnpxai.report.forms.words import DEPTHS, shades
from pnpxai.report.maps import gallery
from tests.report.results_by_hand import made, pixels

GENERATOR = np.random.default_rng(0)


def form(view, x, *maps, ids=False, side=64):
    return form_of(view, x, maps, 0, side=side, name="input-0-0", ids=ids)


def curves(html):
    lines = re.findall(r'<polyline points="([^"]+)"', str(html))
    return [np.array([tuple(map(float, p.split(","))) for p in line.split()]) for line in lines]


def test_a_series_is_a_curve_for_each_channel_on_the_colours_of_its_map():
    x, values = GENERATOR.normal(size=(2, 9)), GENERATOR.normal(size=(2, 9))
    made_of = form(View("series", 1, names=("left", "right")), x, values)
    assert made_of.kind == "series"
    for k, (curve, line) in enumerate(zip(curves(made_of.drawn), x, strict=True)):
        assert (curve[:, 0] == np.arange(9) + 0.5).all()
        share = (line - line.min()) / np.ptp(line)
        assert curve[:, 1] == pytest.approx(100 * k + 90 - 80 * share, abs=0.5)
    assert re.findall(r"<span>(\w+)</span>", str(made_of.drawn)) == ["left", "right"]
    tile = made_of.tile(values, "what <it> shows")
    assert (pixels(tile) == coloured(values)).all()
    assert 'alt="what &lt;it&gt; shows"' in tile
    assert str(tile).count('href="#input-0-0"') == 2
    assert 'id="input-0-0"' in made_of.drawn
    place = np.abs(values).argmax()
    assert made_of.peak(values) == (values.flat[place], f"{('left', 'right')[place // 9]}, step {place % 9 + 1} of 9")


def test_a_series_with_time_first_is_turned_with_its_map():
    x, values = GENERATOR.normal(size=(2, 9)), GENERATOR.normal(size=(2, 9))
    usual, turned = form(View("series", 1), x, values), form(View("series", 2), x.T, values.T)
    assert turned.drawn == usual.drawn
    assert turned.tile(values.T, "a") == usual.tile(values, "a")
    assert turned.peak(values.T) == usual.peak(values)


def test_a_map_without_channels_lies_behind_all_curves():
    values = GENERATOR.normal(size=9)
    made_of = form(View("series", 1), GENERATOR.normal(size=(3, 9)), values)
    assert (pixels(made_of.tile(values, "")) == coloured(values[None])).all()
    assert made_of.peak(values)[1] == f"step {np.abs(values).argmax() + 1} of 9"


def test_a_long_curve_keeps_its_extremes():
    x = np.zeros((1, 5000))
    x[0, 1234], x[0, 4321] = 7, -7
    made_of = form(View("series", 1), x, x)
    (curve,) = curves(made_of.drawn)
    assert len(curve) <= 256
    assert (curve[:, 1].min(), curve[:, 1].max()) == (10, 90)
    assert made_of.reduced == (5000, 256)
    assert pixels(made_of.tile(x, "")).shape == (1, 256, 4)


@pytest.mark.parametrize(("x", "values"), [((13, 20), (13, 20)), ((3, 20), (8, 5))])
def test_what_cannot_be_curves_is_colours(x, values):
    values = GENERATOR.normal(size=values)
    made_of = form(View("series", 1), GENERATOR.normal(size=x), values)
    assert made_of.kind == "image"
    assert (pixels(made_of.tile(values, "")) == coloured(values)).all()


def bars(html):
    found = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="(\d+).15" width="([\d.]+)"/>', str(html))
    return {int(y): (side, float(x), float(width)) for side, x, y, width in found}


def test_columns_are_bars_beside_their_names_and_values():
    x, values = np.array([1.5, -0.25, 3e6]), np.array([0.5, -2.0, 0.0])
    made_of = form(View("table", None, names=("age", "<b>", "income")), x, values)
    lines = re.findall(r"<li><span>(.*?)</span> <b>(.*?)</b></li>", str(made_of.drawn))
    assert lines == [("age", "1.5"), ("&lt;b&gt;", "\N{MINUS SIGN}0.25"), ("income", "3e+06")]
    drawn = bars(made_of.tile(values, "what"))
    assert drawn[0] == ("up", 100, 25)
    assert drawn[1] == ("down", 0, 100)
    assert made_of.peak(values) == (-2, "<b>")
    assert 'aria-label="what"' in made_of.tile(values, "what")


def test_of_many_columns_those_are_shown_that_maps_say_most_of():
    x, first, second = np.arange(40.0), np.zeros(40), np.zeros(40)
    first[30], second[[3, 7]] = 1e-6, (5.0, -4.0)  # each map counts alike
    made_of = form(View("table", None), x, first, second)
    names = re.findall(r"<li><span>(.*?)</span>", str(made_of.drawn))
    assert len(names) == 16
    assert {"column 3", "column 7", "column 30"} <= set(names)
    assert names == sorted(names, key=lambda name: int(name.split()[1]))
    assert "24 columns" in made_of.drawn
    row = names.index("column 30")
    assert bars(made_of.tile(first, ""))[row] == ("up", 100, 100)
    assert bars(made_of.tile(second, ""))[names.index("column 7")] == ("down", 20, 80)


@pytest.mark.parametrize("of_edges", [False, True])
def test_a_graph_has_the_colours_of_its_map_and_no_padding(of_edges):
    view = View("graph", 2, graphs=((3, ((0, 1), (1, 2))),))
    values = np.array([1.0, -2.0, np.nan, np.nan]) if of_edges else np.array([[0.5, 0.5], [0, -2], [0, 0], [9, 9]])
    made_of = form(view, np.zeros(4) if of_edges else np.zeros((4, 2)), values)
    html, count = str(made_of.tile(values, "")), 2 if of_edges else 3
    whole = values[:2] if of_edges else values[:3].sum(1)
    colours = [f"#{bytes(c[:3]).hex()}" for c in coloured(whole[None])[0]]
    assert re.findall(r'stroke="(#\w+)"' if of_edges else r'fill="(#\w+)"', html) == colours
    assert len(colours) == count
    assert html.count("<circle") == str(made_of.drawn).count("<circle") == 3
    assert made_of.peak(np.nan_to_num(values)) == (-2, "edge 1-2" if of_edges else "node 1")


def test_what_is_not_finite_has_no_bar():
    values = np.array([np.nan, np.inf, -1.0])
    assert set(bars(form(View("table", None), np.zeros(3), values).tile(values, ""))) == {2}


def test_words_have_the_class_of_their_colour_and_padding_none():
    view = View("tokens", words=((("un", 1), ("<i>", 2), ("", 1)),))
    values = np.array([[1.0, -0.5], [1.0, 1.0], [-3.0, 0.0], [9.0, 9.0]])  # of words: 0.5, -1, and of padding
    made_of = form(view, np.arange(4), values, ids=True)
    spans = re.findall(r"<b class=w(\d+)>(.*?)</b>", str(made_of.tile(values[:3], "")))
    assert spans == [(str(DEPTHS + DEPTHS // 2), "un"), ("0", "&lt;i&gt;")]


def test_ids_without_words_are_written_out():
    results = replace(made(positions=(20,), inputs=(20,)), inputs=torch.arange(120).reshape(6, 20))
    found = gallery(results)
    assert found is not None
    (row,) = found.shown[1].rows
    assert row.kind == "tokens"
    assert re.sub("<[^>]+>", "", row.drawn) == " ".join(map(str, range(20, 40)))
    assert re.findall(r">(\d+)</b>", str(row.tiles[0].drawn)) == [str(k) for k in range(20, 40)]


def test_shades_mirror_and_can_be_read():
    colours = re.findall(r"\.w(\d+) \{ background: #(\w{6}); color: #(\w{3}); \}", shades())
    assert [int(k) for k, _, _ in colours] == list(range(2 * DEPTHS + 1))
    for _, ground, ink in colours:
        parts = np.array([int(ground[k : k + 2], 16) for k in (0, 2, 4)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        light = float(linear @ [0.2126, 0.7152, 0.0722])
        assert (1.05 / (light + 0.05) if ink == "fff" else (light + 0.05) / 0.05) >= 4.5


def test_pictures_are_shown_as_they_were_before_scaling():
    natural = GENERATOR.uniform(size=(3, 4, 5))
    scaled = (natural - 0.5) / 0.25
    made_of = form(View("image", display=Display(0.5, 0.25)), scaled, np.ones((4, 5)))
    assert (pixels(made_of.style) == pictured(natural, (0.0, 1.0))).all()
    assert made_of.style.endswith("--ratio: 1.25")


def test_channels_may_come_last_and_layers_have_other_sizes():
    x = GENERATOR.uniform(size=(3, 8, 16))
    assert form(View(), x.transpose(1, 2, 0), np.ones((8, 16))).style == form(View(), x, np.ones((8, 16))).style
    of_layer = form(View(), x, np.ones((4, 4)))
    assert of_layer.style.endswith("--ratio: 2.0")
    assert pixels(of_layer.tile(np.ones((4, 4)), "")).shape == (4, 4, 4)
    assert pixels(of_layer.style).shape == (8, 16, 4)
