"""Pictures of maps, and what stands beneath them."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pnpxai.pictures import coloured, pictured
from pnpxai.report.maps import Gallery, gallery
from tests.report.made import made


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))


def shown(results) -> Gallery:
    found = gallery(results)
    assert found is not None
    return found


def test_every_map_is_there_pixel_by_pixel_best_explainer_first():
    results = made()
    found = shown(results)
    assert found.reduced is None
    assert (found.crisp, found.bars, found.ratio) == (True, False, 1)
    for k, example in enumerate(found.shown):
        assert (pixels(example.picture) == pictured(results.inputs[k])).all()
        for tile, label in zip(example.tiles, results.explainers, strict=True):
            assert (pixels(tile.picture) == coloured(results.maps[label][k])).all()
            assert tile.value == results.values("AbPC", label)[k]
            assert tile.alt.startswith(f"{label}, example {k}: strongest ")


def test_targets_that_are_not_the_label_are_marked():
    found = shown(made())
    assert [example.differs for example in found.shown] == [False, False, True, False, False, False]
    assert (found.shown[2].target, found.shown[2].label) == (2, 7)
    assert found.targets == [(0, 2), (1, 2), (2, 2)]


def test_unknown_targets_and_labels_are_none():
    results = made()
    results.table["target"] = results.table["label"] = -1
    found = shown(results)
    assert {(e.target, e.label, e.differs) for e in found.shown} == {(None, None, False)}
    assert found.targets == []


def test_where_a_map_is_largest():
    results = made(("A",), (), kept=3)
    peaked = torch.zeros(3, 8, 8)
    peaked[0, 0, 7], peaked[1, 6, 0] = 2, -3
    found = shown(replace(results, maps={"A": peaked}))
    assert [example.tiles[0].alt for example in found.shown] == [
        "A, example 0: strongest for the target 94 % from the left, 6 % from the top",
        "A, example 1: strongest against the target 6 % from the left, 81 % from the top",
        "A, example 2: zero everywhere",
    ]


def test_missing_and_undefined_maps(awkward):
    found = shown(awkward)
    column = {label: [example.tiles[k] for example in found.shown] for k, label in enumerate(awkward.explainers)}
    assert [tile.picture is None for tile in column["SmoothGrad"]] == [True] * 6
    first = column[awkward.explainers[0]]
    assert [tile.picture is None for tile in first] == [True, *[False] * 5]
    assert pixels(first[1].picture)[0, 0, 3] == 0
    undefined = column["SmoothGrad"][0]
    assert np.isnan(undefined.value)
    assert undefined.reason == "the <i>map</i> is zero & flat"


def test_too_few_maps_are_not_given_to_the_wrong_examples():
    results = made()
    results.maps["GradCam"] = results.maps["GradCam"][:3]
    k = results.explainers.index("GradCam")
    assert all(example.tiles[k].picture is None for example in shown(results).shown)


def test_no_maps_no_gallery():
    assert gallery(made(maps={})) is None


def test_large_maps_are_reduced_by_their_number():
    few = shown(made(("A",), (), kept=2, positions=(300, 300), inputs=(3, 300, 300)))
    assert few.reduced == (300, 256)
    many = shown(made(kept=30, examples=30, positions=(300, 150), inputs=(3, 300, 150)))
    assert many.reduced is not None
    side = many.reduced[1]
    assert side < 256
    assert pixels(many.shown[0].tiles[0].picture).shape == (side, round(side / 2), 4)
    assert (many.ratio, many.crisp) == (0.5, False)


def test_channels_may_come_last():
    results = made(inputs=(3, 8, 8))
    last = replace(results, inputs=results.inputs.movedim(1, -1))
    assert [e.picture for e in shown(last).shown] == [e.picture for e in shown(results).shown]


def test_maps_of_a_layer_need_not_have_the_size_of_the_input():
    found = shown(made(positions=(4, 4), inputs=(3, 8, 16)))
    assert found.ratio == 2
    assert pixels(found.shown[0].tiles[0].picture).shape == (4, 4, 4)
    assert pixels(found.shown[0].picture).shape == (8, 16, 4)


@pytest.mark.parametrize("inputs", [(9,), (1, 9), (3, 9)])
def test_maps_with_one_axis_are_bars(inputs):
    results = made(positions=(9,), inputs=inputs)
    found = shown(results)
    assert found.bars
    assert (pixels(found.shown[0].tiles[0].picture) == coloured(results.maps["Occlusion"][0])).all()
    assert found.shown[0].picture is not None
    if inputs == (1, 9):
        assert (pixels(found.shown[0].picture) == pictured(results.inputs[0, 0])).all()
    assert " % from the left" in found.shown[0].tiles[0].alt


def test_ids_are_no_picture():
    results = replace(made(positions=(20,), inputs=(20,)), inputs=torch.arange(120).reshape(6, 20))
    first = shown(results).shown[0]
    assert first.picture is None
    assert first.text == "0 1 2 3 4 5 6 7 8 9 10 11 …"
