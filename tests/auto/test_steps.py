"""The front door does an experiment's steps, by number and by name."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from pnpxai import AutoExplanationForImageClassification as Auto
from pnpxai import auto_explain
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Experiment
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from tests.small import Bright, pictures

X, Y = pictures(10), torch.arange(10) % 2
TRUTH = pictures(10, seed=1)[:, 0] > 0.6
NET = Bright()


def _loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y, TRUTH), batch_size=4)


@pytest.mark.parametrize("data", [_loader(), (X, Y), [(X[:7], Y[:7]), (X[7:], Y[7:])]], ids=["loader", "whole", "list"])
def test_steps_are_those_of_an_experiment(data: Any) -> None:
    auto = Auto(NET, data)
    expected = Experiment(NET, (X, Y), auto.traits, list(auto.recommended))
    assert auto.experiment.explainers == expected.explainers
    ids = [8, 1, 3]
    for _ in range(2):  # data is read again
        found, other = auto.run_batch("SmoothGrad", 0, "Complexity", ids), expected.run_batch("SmoothGrad", 0, 3, ids)
        assert torch.equal(found["inputs"], X[ids])
        assert torch.equal(found["labels"], Y[ids])
        for name in ("outputs", "targets", "explanation", "postprocessed", "evaluation"):
            assert torch.allclose(found[name], other[name], atol=1e-6), name
    number = [type(e) for e in auto.experiment.explainers].index(SmoothGrad)
    assert torch.allclose(auto.explain_batch(ids, number), found["explanation"])
    assert torch.allclose(auto.postprocess_batch(ids, "SmoothGrad"), found["postprocessed"])
    assert torch.allclose(auto.evaluate_batch(ids, "SmoothGrad", 0, "Complexity"), found["evaluation"])
    assert torch.allclose(auto.predict_batch(), NET(X).detach())
    with pytest.raises(ArgumentError, match="no 'SmothGrad'; did you mean 'SmoothGrad'"):
        auto.run_batch("SmothGrad")


def test_data_that_comes_once_is_kept_for_the_steps() -> None:
    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield from zip(X.split(4), Y.split(4), strict=True)

    auto = Auto(NET, batches())
    assert torch.equal(auto.run_batch("Gradient", data_ids=[9])["inputs"], X[[9]])
    assert torch.equal(auto.run_batch("Gradient", data_ids=[0])["inputs"], X[[0]])


def test_single_examples_are_read_alone() -> None:
    read = []

    class Noted(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            read.append(index)
            return super().__getitem__(index)

    auto = Auto(NET, DataLoader(Noted(X, Y), batch_size=2))
    assert len(auto.experiment.explainers) > 5
    read.clear()
    auto.explain_batch([9], "Gradient")
    assert read == [9]


def test_an_explainer_is_optimized_by_name() -> None:
    found = auto_explain(NET, (X, Y)).optimize(range(6), "SmoothGrad", "AbPC", n_trials=2, show_progress=False)
    assert isinstance(found.explainer, SmoothGrad)
    assert found.trials == 2


def test_what_is_known_to_matter_comes_out_of_batches() -> None:
    auto = Auto(NET, _loader(), mask_extractor=itemgetter(2))
    plain: dict[str, Any] = {"show_progress": False, "controls": False}
    found = auto.compare(["GradientXInput"], ["PointingGame"], **plain)
    beside = Auto(NET, (X, Y)).compare(["GradientXInput"], ["PointingGame"], masks=TRUTH, **plain)
    assert found.table["value"].notna().all()
    assert found.values("PointingGame", "GradientXInput").tolist() == (
        beside.values("PointingGame", "GradientXInput").tolist()
    )
    assert torch.equal(torch.cat([b.masks for b in auto.examples()]), TRUTH)
