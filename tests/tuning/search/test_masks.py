"""Metrics that compare with what is known to matter are tuned for, given masks."""

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.localisation import RelevanceMassAccuracy
from pnpxai.recommender import rank
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from tests.small import Bright, examples

IMAGE = Traits.image()


def _masks(n: int = 16) -> torch.Tensor:
    return torch.rand(n, 8, 8, generator=torch.Generator().manual_seed(7)) > 0.7


def _tuned(masks: object, **options: object) -> TuningResult:
    given = {"traits": IMAGE, "n_trials": 50, "n_seeds": 0, "show_progress": False} | options
    return tune(Gradient(Bright()), examples(Bright()), "RelevanceMassAccuracy", masks=masks, **given)  # type: ignore[arg-type]


def test_each_example_is_judged_by_its_own_mask() -> None:
    net, data, masks = Bright(), examples(Bright()), _masks()
    found = _tuned(masks)
    order = {key: number for number, key in enumerate(data.keys)}
    for part, value in zip(data.split(0.5, 0), (found.value, found.held_out.mean), strict=True):  # type: ignore[union-attr]
        expected = []
        for batch in part:
            maps = found.postprocessor(found.explainer.attribute(batch.inputs, batch.targets))
            own = torch.stack([masks[order[key]] for key in batch.keys])
            expected += RelevanceMassAccuracy(net).evaluate(batch.inputs, batch.targets, maps, masks=own).tolist()
        assert value == pytest.approx(sum(expected) / len(expected))
    assert data.with_masks(masks).batches[1].masks.equal(masks[8:])


def test_examples_that_have_masks_need_no_others() -> None:
    data = examples(Bright()).with_masks(_masks())
    found = tune(
        Gradient(Bright()), data, ["AbPC", "RelevanceMassAccuracy"], traits=IMAGE, n_trials=8, n_seeds=0,
        limits={"RelevanceMassAccuracy": 0.01}, show_progress=False,
    )  # fmt: skip
    assert {name for _, values in found.front for name in values} == {"AbPC", "RelevanceMassAccuracy"}


def test_masks_that_do_not_fit_are_refused_before_anything_runs() -> None:
    for masks, message in (
        (_masks(15), "masks: expected one for each"),
        (_masks(17), "masks: expected one for each of 16 examples, got 17"),
        (_masks()[:, :4], r"masks: expected shape \(8, 8, 8\), one value for a position"),
        (_masks() * 3, "masks: expected truth values"),
        ((_masks(), _masks()), "masks: expected one for each of 1 inputs, got 2"),
        (None, "metric: RelevanceMassAccuracy compares with what is known to matter in each example: give masks="),
    ):
        with pytest.raises(ArgumentError, match=message):
            _tuned(masks)


def test_other_masks_are_another_run(tmp_path) -> None:  # noqa: ANN001
    _tuned(_masks(), storage=tmp_path, n_trials=2)
    assert _tuned(_masks(), storage=tmp_path, n_trials=3).trials == 3
    with pytest.raises(ArgumentError, match="it differs in examples"):
        _tuned(~_masks(), storage=tmp_path, n_trials=3)


def test_a_ranking_goes_by_masks_too() -> None:
    given = {"explainers": ["Gradient", "GradientXInput"], "deciding": ["AUROC"], "n_trials": 2}
    net = Bright()
    found = rank(net, examples(net), IMAGE, masks=_masks(), show_progress=False, **given)
    assert set(found.means["AUROC"]) >= {"Gradient", "GradientXInput", "RandomMap"}
    with pytest.raises(ArgumentError, match="deciding: AUROC compares with what is known to matter"):
        rank(net, examples(net), IMAGE, show_progress=False, **given)
