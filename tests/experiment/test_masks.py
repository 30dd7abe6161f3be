"""What is known to matter, in a comparison: beside the data, or out of its batches."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from pnpxai.errors import ArgumentError
from pnpxai.experiment import Experiment, Results, Stream, compare
from pnpxai.experiment.storage.store import Store
from pnpxai.explainers.gradient.saliency import GradientXInput
from pnpxai.metrics.localisation import RelevanceRankAccuracy
from pnpxai.traits import Traits
from tests.small import Bright, pictures

QUIET: dict[str, Any] = {"traits": Traits.image(), "show_progress": False, "controls": False, "chunk": 4}
METRICS = ["RelevanceRankAccuracy", "Complexity"]
N = 10
X, Y = pictures(N), torch.arange(N) % 2
TRUTH = pictures(N, seed=1)[:, 0] > 0.6


@pytest.fixture(scope="module")
def net() -> Bright:
    return Bright()


@pytest.fixture(scope="module")
def expected(net: Bright) -> list[float]:
    with torch.no_grad():
        targets = net(X).argmax(1)
    maps = GradientXInput(net).attribute(X, targets)
    return RelevanceRankAccuracy(net).evaluate(X, targets, maps, masks=TRUTH).tolist()


def _values(found: Results) -> list[float]:
    return found.values("RelevanceRankAccuracy", "GradientXInput").tolist()


def test_masks_stand_beside_the_data(net: Bright, expected: list[float]) -> None:
    for masks in (TRUTH, TRUTH.numpy(), list(TRUTH), TRUTH.unsqueeze(1).float()):
        assert _values(compare(net, X, ["GradientXInput"], METRICS, masks=masks, **QUIET)) == pytest.approx(expected)
    loader = DataLoader(TensorDataset(X, Y), batch_size=3)
    assert _values(compare(net, loader, ["GradientXInput"], METRICS, masks=TRUTH, **QUIET)) == pytest.approx(expected)


def test_masks_come_out_of_batches(net: Bright, expected: list[float]) -> None:
    loader = DataLoader(TensorDataset(X, Y, TRUTH), batch_size=3)
    experiment = Experiment(
        net, loader, Traits.image(), ["GradientXInput"], metrics=METRICS, mask_extractor=itemgetter(2)
    )
    assert _values(experiment.compare(show_progress=False, controls=False)) == pytest.approx(expected)
    some = [7, 0, 3]
    assert experiment.evaluate_batch(some, 0).tolist() == pytest.approx([expected[k] for k in some])
    with pytest.raises(ArgumentError, match="masks"):
        Experiment(net, loader, Traits.image(), ["GradientXInput"], metrics=METRICS).evaluate_batch(some, 0)


def test_masks_count_for_what_asks_for_them_alone(tmp_path: Path, net: Bright, expected: list[float]) -> None:
    def run(masks: Any) -> Results:
        return compare(net, X, ["GradientXInput"], METRICS, masks=masks, folder=tmp_path, **QUIET)

    without = run(None)
    rows = without.table[without.table.metric == "RelevanceRankAccuracy"]
    assert rows.value.isna().all()
    assert rows.reason.str.contains("masks").all()
    kept = len(Store(tmp_path / "store").cells())
    assert kept == 3 * N  # the explanation, and two metrics
    found = run(TRUTH)
    assert _values(found) == pytest.approx(expected)
    assert len(Store(tmp_path / "store").cells()) == kept + N  # of Complexity nothing
    assert (found.values("Complexity", "GradientXInput") == without.values("Complexity", "GradientXInput")).all()
    other = TRUTH.clone()
    other[4] = ~other[4]
    changed = run(other)
    assert len(Store(tmp_path / "store").cells()) == kept + N + 1
    assert [a == b for a, b in zip(_values(found), _values(changed), strict=True)] == [k != 4 for k in range(N)]
    assert run(TRUTH).table.equals(found.table)
    assert Results.load(tmp_path).table.equals(found.table)


def test_masks_that_do_not_fit_are_refused(net: Bright) -> None:
    for count, words in {N - 1: f"got {N - 1} for at least", N + 1: f"each of {N} examples, got {N + 1}"}.items():
        with pytest.raises(ArgumentError, match=words):
            compare(net, X, ["GradientXInput"], METRICS, masks=pictures(count)[:, 0] > 0.5, **QUIET)
    with pytest.raises(ArgumentError, match=r"masks: expected shape \(4, 8, 8\)"):
        compare(net, X, ["GradientXInput"], METRICS, masks=TRUTH[:, :4], **QUIET)
    with pytest.raises(ArgumentError, match="masks: expected truth values"):
        compare(net, X, ["GradientXInput"], METRICS, masks=torch.full((N, 8, 8), 0.5), **QUIET)


def test_single_examples_are_read_with_their_masks() -> None:
    stream = Stream.of(DataLoader(TensorDataset(X, Y), batch_size=4))
    (batch,) = Stream(
        stream.batches, stream.inputs, stream.labels, None, stream.collected, stream.length, beside=TRUTH
    ).take([8, 1])
    assert torch.equal(batch.masks, TRUTH[[8, 1]])
