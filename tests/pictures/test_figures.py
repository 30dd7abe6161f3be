"""Words, series, waterfalls and overlays: each at its place, on a scale that is right."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.explainers import GradCam, Gradient
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.pictures import (
    LEVELS,
    Display,
    View,
    colour_of,
    coloured,
    largest,
    merged,
    overlaid,
    palette,
    panel,
    pictured,
    waterfall,
    words_html,
)


def explanation(maps, inputs, *views, targets=None, scores=None):
    scores = torch.zeros(len(inputs)) if scores is None else scores
    return Explanation("A", {}, (maps,), (inputs,), targets, scores, None, 0.1, views=views)


def drawn_words(axes):
    return {t.get_text(): np.round(np.array(t.get_bbox_patch().get_facecolor()) * 255) for t in axes.texts}


def test_pieces_of_a_word_are_added_up():
    values = np.array([[1.0, 1.0], [2.0, -1.0], [-1.0, 0.0]])
    assert merged(values, [1, 2]).tolist() == [2.0, 0.0]
    view = View("tokens", words=((("un", 1), ("believable", 2)), (("so", 1), ("so", 1), ("", 1))))
    maps, ids = torch.tensor([[2.0, 1.0, -3.0], [1.0, 0.0, 5.0]]), torch.ones(2, 3).long()
    first, second = explanation(maps, ids, view).plot().axes
    shown = drawn_words(first)
    assert list(shown) == ["un", "believable"]
    assert (shown["un"] == palette()[-1]).all()
    assert (shown["believable"] == palette()[0]).all()
    assert [t.get_text() for t in second.texts] == ["so", "so"]  # padding has no word
    assert [t.get_text() for t in explanation(maps, ids, view)[1].plot().axes[0].texts] == ["so", "so"]


def test_words_in_html_are_escaped_and_coloured():
    page = words_html(np.array([1.0, -1.0, 0.0]), ["<b>", "a&b", "c"])
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert re.findall(r"background:#(\w{6})", page) == [bytes(colour_of(s)[:3]).hex() for s in (1, -1, 0)]


def test_one_scale_makes_examples_comparable():
    maps, rows = torch.tensor([[1.0, -0.5], [0.1, 0.05]]), torch.ones(2, 2)
    apart = [a.get_xlim() for a in explanation(maps, rows).plot().axes]
    together = [a.get_xlim() for a in explanation(maps, rows).plot(shared=True).axes]
    assert apart[0] != apart[1]
    assert together[0] == together[1]
    assert together[0][0] == -together[0][1]
    pictures = torch.rand(2, 1, 1, 2)
    _, first, _, second = explanation(maps[:, None, None], pictures).plot(shared=True).axes
    assert (first.images[0].get_array() == coloured(maps[0][None], 1.0)).all()
    assert (second.images[0].get_array() == coloured(maps[1][None], 1.0)).all()
    assert largest([maps[0], 3 * maps[1]], 1) == 1.0


def test_a_waterfall_ends_at_the_score():
    axes = Figure().subplots()
    waterfall(axes, np.array([0.5, -2.0, 1.0]), np.array([7.0, 8.0, 9.0]), ["a", "b", "c"], score=3.0)
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b = 8", "c = 9", "a = 7"]
    # from 3.5, what nothing explains: a to 4, c to 5, b to the score
    assert np.allclose(spans, [(5.0, 3.0), (4.0, 5.0), (3.5, 4.0)])
    low, high = axes.get_xlim()
    assert low < 3.0
    assert high > 5.0


def test_a_waterfall_of_many_columns_adds_up_the_small_ones():
    axes = Figure().subplots()
    values = np.arange(1.0, 31.0)
    waterfall(axes, values, values)
    bars = [bar.get_width() for bar in axes.patches]
    assert bars[0] == 30
    assert bars[-1] == pytest.approx(values[:14].sum())
    assert axes.get_yticklabels()[-1].get_text() == "14 other columns"
    assert axes.patches[0].get_x() + bars[0] == pytest.approx(values.sum())


def test_series_with_time_first_are_turned():
    x = torch.zeros(1, 5, 2)
    maps = torch.zeros(1, 5, 2)
    maps[0, 3, 1] = 1
    (axes,) = explanation(maps, x, View("series", 2, names=("a", "b"))).plot().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    colours = axes.images[0].get_array()
    assert colours.shape == (2, 5, 4)
    assert (colours[1, 3] == palette()[-1]).all()


def test_pictures_are_shown_as_they_were_before_scaling():
    natural = np.array([[[0.0, 1.0]], [[0.5, 0.25]], [[1.0, 0.0]]])
    display = Display((0.5, 0.4, 0.3), (0.2, 0.1, 0.5))
    scaled = display.apply(torch.tensor(natural)[None])
    shown = explanation(torch.zeros(1, 3, 1, 2), scaled, View("image", display=display)).plot().axes[0]
    assert (shown.images[0].get_array()[..., :3] == np.round(255 * natural).transpose(1, 2, 0)).all()
    assert (pictured(scaled[0]) != shown.images[0].get_array()).any()


def test_over_a_picture_what_says_nothing_stays_grey():
    values = torch.tensor([[0.0, 1.0, -1.0, float("nan")]])
    mixed = overlaid(values, pictured(torch.tensor([[0.0, 1.0, 1.0, 1.0]])))
    assert np.ptp(mixed[0, 0, :3].astype(int)) == 0
    assert (mixed[0, 1, :3] == palette()[-1, :3]).all()
    assert (mixed[0, 2, :3] == palette()[0, :3]).all()
    assert np.ptp(mixed[0, 3, :3].astype(int)) == 0
    maps, x = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    over = explanation(maps, x).plot(style="over").axes[1].images[0].get_array()
    assert (over == overlaid(maps[0], pictured(x[0]))).all()


def test_neutral_is_in_the_middle():
    assert (colour_of(0) == palette()[LEVELS // 2]).all()
    assert (colour_of(7) == palette()[-1]).all()


def test_notebooks_show_facts_and_pictures():
    page = explanation(torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4), targets=[0, 1])._repr_html_()
    assert page.startswith("<pre>A()")
    assert page.count('src="data:image/png;base64,') == 1
    names = View("tokens", classes=("no", "yes"))
    text = explanation(torch.rand(2, 3), torch.ones(2, 3).long(), names, targets=[0, 1])._repr_html_()
    assert "#1  yes" in text
    assert text.count("<span") == 6


def test_a_notebook_shows_the_inputs_of_an_example_together():
    words = View("tokens", words=((("first", 1), ("one", 1)), (("second", 1), ("two", 1))))
    both = Explanation(
        "A", {}, (torch.rand(2, 1, 4, 4), torch.rand(2, 2)), (torch.rand(2, 1, 4, 4), torch.ones(2, 2).long()),
        None, torch.zeros(2), None, 0.1, views=(View("image"), words),
    )  # fmt: skip
    page = re.sub(r'src="[^"]+"', "", both._repr_html_())
    order = [page.index(text) for text in ("maps of #0", ">first<", "maps of #1", ">second<")]
    assert order == sorted(order)
    assert page.count("<img") == 2
    picture_alone = Explanation("A", {}, both.attributions[:1], both.inputs[::-1], None, torch.zeros(2), None, 0.1)
    assert len(picture_alone.plot().axes) == 4  # of the picture, though it is the second input


def tile(figure, number: int = 1) -> np.ndarray:
    return np.asarray(figure.axes[number].images[0].get_array(), dtype=int)[..., :3]


def test_the_positive_part_alone_is_drawn_of_class_activation_maps_and_where_asked():
    x, maps = torch.rand(1, 3, 2, 2), torch.tensor([[[[2.0, -2.0], [1.0, 0.0]]]])
    made = explanation(maps, x)
    both, alone = tile(made.plot()), tile(made.plot(signed=False))
    assert (both[0, 0] == alone[0, 0]).all()
    assert (both[1, 1] == alone[0, 1]).all()  # the colour of zero
    assert both[0, 1, 2] > 2 * both[0, 1, 0]  # blue
    assert legend(made.plot(signed=False))[0] == "for the target alone"
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    cam, saliency = GradCam(net, layer="0").explain(x, 0), Gradient(net).explain(x, 0)
    assert [found.signed for found in (cam, saliency)] == [False, True]
    assert legend(cam.plot())[0] == "for the target alone"
    assert legend(cam.plot(signed=True))[:2] == ["for the target", "against it"]


def test_colours_opacity_lines_and_numbers_on_request():
    x, maps = torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    maps[0, 0, :2, :2], maps[0, 0, 3, 3] = 2.0, -1.0
    made, natural = explanation(maps, x), tile(explanation(maps, x).plot(), 0)
    half = tile(made.plot(style="over", alpha=0.5, clip=1))
    assert np.abs(half - (natural + tile(made.plot(clip=1))) / 2).max() <= 1
    assert (tile(made.plot(style="over", alpha=0.0)) == natural).all()
    green = tile(made.plot(cmap="Greens", signed=False))
    assert green[0, 0, 1] > 1.5 * green[0, 0, 0]
    assert (green[3, 3] == green[2, 0]).all()
    lines = made.plot(style="contour")
    assert (tile(lines) == natural).all()
    assert lines.axes[1].collections
    bar = made.plot(colour_bar=True, clip=1).axes[2]
    assert bar.get_ylim() == pytest.approx((-2, 2))


def legend(figure):
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def test_a_legend_says_what_colours_mean_and_on_what_scale():
    maps = torch.tensor([[1.0, -0.5], [0.1, 0.05]])
    own = ["for the target", "against it", "each on its own scale"]
    one = ["for the target", "against it", "all on one scale, to \N{PLUS-MINUS SIGN}1"]
    series, pictures, ids = torch.rand(2, 1, 2), torch.rand(2, 1, 1, 2), torch.ones(2, 2).long()
    for of, x in ((maps, torch.ones(2, 2)), (maps[:, None], series), (maps[:, None, None], pictures), (maps, ids)):
        clipped = " (to 99.5 % of |a|)" if x is pictures else ""
        assert legend(explanation(of, x).plot()) == [*own[:2], own[2] + clipped]
        shared = explanation(of, x).plot(shared=True)
        assert legend(shared) == [*one[:2], one[2] + clipped]
        colours = [patch.get_facecolor() for patch in shared.legends[0].get_patches()[:2]]
        assert colours[0][0] > 2 * colours[0][2]  # red
        assert colours[1][2] > 2 * colours[1][0]  # blue
    assert legend(explanation(maps, torch.ones(2, 2)).plot(style="waterfall"))[2:] == [
        "what no column explains",
        "the score",
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_legend_lies_within_its_figure_and_on_nothing_else(count):
    made = panel([torch.rand(4, 4)] * count, ["a title"] * count)
    made.draw_without_rendering()
    whole, drawn = made.bbox, made.legends[0].get_window_extent()
    assert whole.x0 <= drawn.x0
    assert drawn.x1 <= whole.x1
    assert all(axes.get_window_extent().y0 >= drawn.y1 for axes in made.axes)
    assert all(axes.title.get_window_extent().y1 <= whole.y1 + 1 for axes in made.axes)


def test_views_survive_joining_and_files(tmp_path):
    view = View("tokens", words=((("a", 1), ("b", 1)),), classes=("x",))
    one = explanation(torch.rand(1, 2), torch.ones(1, 2).long(), view, targets=torch.tensor([0]))
    both = Explanation.joined([one, one])
    assert len(both.views[0].words) == 2
    assert Explanation.load(both.save(tmp_path)) == both


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"kind": "x"}, "kind: no drawing 'x'; there are: 'graph', 'image', 'series', 'table', 'tokens'"),
        ({"limit": 0}, "limit: expected a whole number >= 1, got 0"),
        ({"limit": "all"}, "limit: expected a whole number >= 1, got 'all'"),
        ({"member": 1}, "member: expected 0 to 0, got 1"),
        ({"member": "x"}, "member: expected 0 to 0, got 'x'"),
    ],
    ids=str,
)
def test_what_cannot_be_plotted_is_told(asked, message):
    with pytest.raises(ArgumentError, match=message):
        explanation(torch.rand(2, 3), torch.rand(2, 3), View()).plot(**asked)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("a", "b"), "Display: mean: expected a number or a tuple, got 'a'"),
        ((0.5, None), "Display: std: expected a number or a tuple, got None"),
        (([[0.1], [0.2, 0.3]], 1), "Display: mean: expected a number or a tuple, got "),
        (({"mea": 0}), "Display: no setting 'mea'; did you mean 'mean'"),
        ((0.5, [1.0, 0.0]), "std: expected numbers other than 0"),
        ({"low": 1}, "low: expected a number below high=1, got 1"),
    ],
    ids=str,
)
def test_a_scaling_that_cannot_be_is_told(given, message):
    with pytest.raises(ArgumentError, match=message):
        Display(**given) if isinstance(given, dict) else Display(*given)
    with pytest.raises(ArgumentError, match=message):
        Display.of(given)


def test_levels_are_numbers_however_they_are_given():
    wanted = Display((0.5, 0.25), 2.0)
    for levels in ([0.5, 0.25], np.array([0.5, 0.25]), torch.tensor([0.5, 0.25]).reshape(2, 1, 1)):
        for std in (2, [2], np.float32(2), torch.tensor(2.0)):
            assert Display(levels, std) == wanted
    assert Display.from_dict(wanted.to_dict()) == wanted
    assert isinstance(wanted.limits[0], tuple)
    assert wanted.limits == ((-0.25, -0.125), (0.25, 0.375))


def test_unknown_looks_are_refused():
    unknown = {"style": "pie", "alpha": 1.5, "cmap": "rose", "clip": True}
    for name, value in unknown.items():
        with pytest.raises(ArgumentError, match=f"{name}: .*{value}"):
            explanation(torch.rand(1, 2), torch.rand(1, 2)).plot(**{name: value})
    assert len(panel([torch.rand(2, 2)], ["a"], limit=3.0).axes) == 1
