"""What stands beside and beneath the maps, and which map stands where."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pnpxai.experiment.results import InputMaps
from pnpxai.pictures import coloured, pictured
from pnpxai.report.maps import Gallery, gallery
from tests.report.results_by_hand import made, pixels


def shown(results) -> Gallery:
    found = gallery(results)
    assert found is not None
    return found


def tiles(results, member=0):
    return [example.rows[member].tiles for example in shown(results).shown]


def test_every_map_is_there_pixel_by_pixel_best_explainer_first():
    results = made()
    found = shown(results)
    assert (found.reduced, found.several, found.kinds) == ([], False, {"image"})
    for k, example in enumerate(found.shown):
        (row,) = example.rows
        assert row.style.endswith("--ratio: 1.0")
        assert (pixels(row.style) == pictured(results.inputs[k])).all()
        assert example.values == [
            (results.values("AbPC", label)[k], "no reason was given") for label in results.explainers
        ]
        for tile, label in zip(row.tiles, results.explainers, strict=True):
            assert (pixels(tile.drawn) == coloured(results.maps[label][k])).all()
            assert tile.alt.startswith(f"{label}, example {k}: strongest ")
            assert tile.share is None


def test_targets_that_are_not_the_label_are_marked():
    found = shown(made())
    assert [example.differs for example in found.shown] == [False, False, True, False, False, False]
    assert (found.shown[2].target, found.shown[2].label, found.shown[2].label_name) == (2, 7, "7")
    assert found.targets == [(0, "0", 2), (1, "1", 2), (2, "2", 2)]
    named = made()
    named.facts["views"] = [
        {"kind": None, "channel_dim": 1, "display": None, "names": [], "words": [], "classes": "abc"}
    ]
    assert shown(named).targets == [(0, "a", 2), (1, "b", 2), (2, "c", 2)]
    assert (shown(named).shown[2].class_name, shown(named).shown[2].label_name) == ("c", "7")


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
    assert [of[0].alt for of in tiles(replace(results, maps={"A": peaked}))] == [
        "A, example 0: strongest for the target: 94 % from the left, 6 % from the top",
        "A, example 1: strongest against the target: 6 % from the left, 81 % from the top",
        "A, example 2: zero everywhere",
    ]


def test_missing_and_undefined_maps(hostile_label):
    found = shown(hostile_label)
    labels = hostile_label.explainers
    column = {label: [example.rows[0].tiles[k] for example in found.shown] for k, label in enumerate(labels)}
    assert [tile.drawn is None for tile in column["SmoothGrad"]] == [True] * 6
    first = column[labels[0]]
    assert [tile.drawn is None for tile in first] == [True, *[False] * 5]
    assert pixels(first[1].drawn)[0, 0, 3] == 0
    value, reason = found.shown[0].values[labels.index("SmoothGrad")]
    assert np.isnan(value)
    assert reason == "the <i>map</i> is zero & flat"


def test_too_few_maps_are_not_given_to_the_wrong_examples():
    results = made()
    results.maps["GradCam"] = results.maps["GradCam"][:3]
    k = results.explainers.index("GradCam")
    assert all(of[k].drawn is None for of in tiles(results))


def test_no_maps_no_gallery():
    assert gallery(made(maps={})) is None


def test_large_maps_are_reduced_by_their_number():
    few = shown(made(("A",), (), kept=2, positions=(300, 300), inputs=(3, 300, 300)))
    assert few.reduced == [(300, 256)]
    many = shown(made(kept=30, examples=30, positions=(300, 150), inputs=(3, 300, 150)))
    ((_, side),) = many.reduced
    assert side < 256
    (row,) = many.shown[0].rows
    assert pixels(row.tiles[0].drawn).shape == (side, round(side / 2), 4)
    assert row.style.endswith("--ratio: 0.5")


def question(results, **words):
    """Return results of pictures and questions."""
    given = InputMaps(
        torch.arange(30).reshape(6, 5), {label: torch.tensor(row).expand(6, 5) for label, row in words.items()}
    )
    return replace(results, further=(given,))


def test_every_input_has_a_row_with_its_weight():
    results = made(("A", "B"), (), inputs=(3, 8, 8))
    half = results.maps["A"].abs().flatten(1).sum(1)
    results = question(results, A=[0.0, 0.0, 1.0, -2.0, 0.0], B=[0.0] * 5)
    found = shown(results)
    assert found.several
    assert found.kinds == {"image", "tokens"}
    for k, example in enumerate(found.shown):
        (a, b), (words, none) = example.rows[0].tiles, example.rows[1].tiles
        assert a.share is not None
        assert a.share == pytest.approx(float(half[k] / (half[k] + 3)))
        assert words.share == pytest.approx(1 - a.share)
        assert (b.share, none.share) == (1, 0)
        assert words.alt == f"A, example {k}: strongest against the target: {5 * k + 3}"
        assert none.alt == f"B, example {k}: zero everywhere"


def test_an_input_that_an_explainer_does_not_map_is_said_to_be_none_of_its():
    results = question(made(("A", "B"), ("C",)), A=[1.0] * 5)
    first, second = shown(results).shown[0].rows
    assert [tile.drawn is None for tile in first.tiles] == [False] * 3
    assert [tile.share for tile in first.tiles] != [None] * 3
    assert [tile.alt for tile in second.tiles[1:]] == [
        "B, example 0: says nothing of this input",
        "C, example 0: says nothing of this input",
    ]
    assert (first.tiles[1].share, second.tiles[1].share) == (None, None)
    nothing = shown(replace(results, maps={"A": results.maps["A"]})).shown[0].rows
    assert nothing[0].tiles[1].alt == "B, example 0: no map"
