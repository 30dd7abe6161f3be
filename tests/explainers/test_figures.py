"""Figures of explanations: every kind of input in its own form, with the right colours at the right places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.testing.zoo import CASES


def explanation(inputs, maps, targets=1):
    size = len(inputs)
    return Explanation("Made", {}, (maps,), (inputs,), targets, torch.arange(float(size)), None, 0.0)


def is_red(colour):
    return colour[0] > colour[2] + 0.1


def is_blue(colour):
    return colour[2] > colour[0] + 0.1


def test_words_are_coloured_by_what_they_say():
    maps = torch.tensor([[[1.0, 1.0], [0.0, 0.0], [-3.0, 1.0]]])
    explained = explanation(torch.tensor([[4, 5, 6]]), maps)
    (axes,) = explained.plot(names=lambda ids: [f"word{i}" for i in ids]).axes
    assert [text.get_text() for text in axes.texts] == ["word4", "word5", "word6"]
    colours = [text.get_bbox_patch().get_facecolor() for text in axes.texts]
    assert is_red(colours[0])
    assert is_blue(colours[2])
    assert not is_red(colours[1])
    assert not is_blue(colours[1])


def test_what_was_tuned_is_what_is_drawn(tmp_path):
    """The signs of a gradient say nothing of a map whose channels' largest sizes were tuned."""
    inputs, maps = torch.rand(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    maps[0, :, 1, 1] = torch.tensor([-3.0, 1.0])
    made = replace(explanation(inputs, maps), postprocessor=PostProcessor("maxnorm", "minmax"))
    for shown in (made, Explanation.load(made.save(tmp_path)), made[0]):
        (summed, drawn) = (one.plot().axes[1].images[0].get_array() for one in (explanation(inputs, maps), shown))
        assert is_blue(summed[1, 1])
        assert is_red(drawn[1, 1])
    beside = replace(made, attributions=(maps, maps), inputs=(inputs, inputs))
    both = replace(beside, postprocessor=PostProcessor("maxnorm", "minmax", channel_dim=(1, 1)))
    assert is_red(both.plot(member=1).axes[1].images[0].get_array()[1, 1])
    assert both._repr_html_().count("<img") == 2


def test_long_texts_go_on_in_the_next_line_and_dollars_are_no_mathematics(tmp_path):
    explained = explanation(torch.zeros(1, 60, dtype=torch.long), torch.rand(1, 60))
    (axes,) = explained.plot(names=[["price$"] * 60]).axes
    places = [text.get_position() for text in axes.texts]
    assert len({y for _, y in places}) == 5
    assert max(x + len("price$") for x, _ in places) <= 90
    assert len(set(places)) == 60
    axes.figure.savefig(tmp_path / "words.png")


def test_without_words_there_are_ids():
    (axes,) = explanation(torch.tensor([[4, 12]]), torch.rand(1, 2)).plot().axes
    assert [text.get_text() for text in axes.texts] == ["4", "12"]


def test_columns_are_ordered_by_their_share():
    explained = explanation(torch.tensor([[0.5, 7.0, 9.0]]), torch.tensor([[0.1, -2.0, 1.0]]))
    (axes,) = explained.plot(names=["a", "b", "c"]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b = 7", "c = 9", "a = 0.5"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([-2.0, 1.0, 0.1])
    assert is_blue(axes.patches[0].get_facecolor())
    assert is_red(axes.patches[1].get_facecolor())
    assert axes.yaxis_inverted()


def test_of_many_columns_the_largest_are_shown():
    shares = torch.arange(50.0)[None]
    (axes,) = explanation(torch.zeros(1, 50), shares).plot().axes
    assert [bar.get_width() for bar in axes.patches] == list(range(49, 33, -1))


def test_a_series_is_a_line_on_its_colours():
    x = torch.tensor([[[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]]])
    maps = torch.tensor([[[1.0, 0.0, -1.0], [0.0, 0.0, 0.5]]])
    (axes,) = explanation(x, maps).plot(names=["up", "flat"]).axes
    rising, level = (line.get_ydata() for line in axes.lines)
    assert np.all(np.diff(rising) < 0)  # the axis points down
    assert np.ptp(level) == 0
    colours = axes.images[0].get_array()
    assert colours.shape == (2, 3, 4)
    assert is_red(colours[0, 0] / 255)
    assert is_blue(colours[0, 2] / 255)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["up", "flat"]


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_a_picture_stands_beside_its_map(last):
    x, maps = torch.rand(2, 3, 5, 7), torch.zeros(2, 3, 5, 7)
    maps[:, :, 1, 2] = 1
    if last:
        x, maps = x.movedim(1, -1), maps.movedim(1, -1)
    picture, first, *_ = explanation(x, maps).plot().axes
    assert picture.images[0].get_array().shape == (5, 7, 4)
    colours = first.images[0].get_array() / 255
    assert is_red(colours[1, 2])
    assert not is_red(colours[3, 3])


def test_titles_say_which_example_target_and_score():
    shown = explanation(torch.rand(3, 4), torch.rand(3, 4), [5, 6, 7]).plot(limit=2)
    assert [axes.get_title(loc="left") for axes in shown.axes] == ["#0  target 5  score 0", "#1  target 6  score 1"]


def test_each_of_several_inputs_is_drawn():
    case = CASES["two_inputs"]()
    explained = Gradient(case.model).explain(case.inputs, case.targets)
    assert len(explained.plot(member=0).axes) == 6
    assert len(explained.plot(member=1).axes[0].patches) == 4
    with pytest.raises(ArgumentError, match="member: expected 0 to 1, got 2"):
        explained.plot(member=2)


def test_a_layer_without_positions_is_drawn_alone():
    case = CASES["tokens"]()
    explained = Gradient(case.model, layer="head").explain(case.inputs, case.targets)
    assert len(explained.plot().axes) == 3
    assert replace(explained, inputs=(torch.rand(3, 9),)).plot(kind="table").axes


@pytest.mark.parametrize(
    ("inputs", "names"),
    [(torch.rand(1, 3), ["a"]), (torch.zeros(1, 3).long(), lambda ids: ["a"])],
    ids=["table", "ids"],
)
def test_wrong_names_are_refused(inputs, names):
    with pytest.raises(ArgumentError, match="names: expected 3 for example 0, got 1"):
        explanation(inputs, torch.rand(1, 3)).plot(names=names)
