"""One combination at a time, by place or name, as the original has it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from pnpxai.errors import ArgumentError
from pnpxai.experiment import Experiment
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.metrics.complexity import Complexity
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from tests.small import Bright, pictures

LABELS = torch.arange(10) % 2


@pytest.fixture(scope="module")
def net() -> Bright:
    return Bright()


@pytest.fixture(scope="module")
def experiment(net: Bright) -> Experiment:
    loader = DataLoader(TensorDataset(pictures(10), LABELS), batch_size=4)
    posts = (PostProcessor(), PostProcessor(normalization_fn="minmax"))  # type: ignore[arg-type]
    return Experiment(net, loader, Traits.image(), ["Gradient", SmoothGrad(net)], posts, ["AbPC", Complexity(net)])


def test_every_step_is_what_the_parts_do(net: Bright, experiment: Experiment) -> None:
    ids = [7, 0, 3]
    x = pictures(10)[ids]
    with torch.no_grad():
        scores = net(x)
    found = experiment.run_batch("SmoothGrad", 1, "Complexity", ids)
    assert torch.equal(found["inputs"], x)
    assert torch.equal(found["labels"], LABELS[ids])
    assert torch.allclose(found["outputs"], scores)
    assert torch.equal(found["targets"], scores.argmax(1))
    assert found["explainer"] == SmoothGrad(net)
    assert torch.equal(found["explanation"], experiment.explain_batch(ids, 1))
    maps = experiment.postprocess_batch(ids, "SmoothGrad", 1)
    assert torch.equal(maps, experiment.postprocessors[1](found["explanation"]))
    assert torch.equal(found["postprocessed"], maps)
    assert torch.allclose(found["evaluation"], Complexity(net).evaluate(x, scores.argmax(1), maps))
    assert torch.equal(experiment.evaluate_batch(ids, 1, 1, 1), found["evaluation"])
    assert torch.allclose(experiment.predict_batch(ids), scores)
    gradient = Gradient(net).attribute(x, scores.argmax(1))
    assert torch.allclose(experiment.explain_batch(ids, "Gradient"), gradient)


def test_without_ids_it_is_all_of_them(experiment: Experiment) -> None:
    assert experiment.run_batch(0)["evaluation"].shape == (10,)
    assert torch.equal(experiment.run_batch(0)["inputs"], pictures(10))


def test_what_is_not_there_is_refused(experiment: Experiment) -> None:
    for call, words in {
        lambda: experiment.run_batch("SmothGrad"): "explainer_id: no 'SmothGrad'; did you mean 'SmoothGrad'",
        lambda: experiment.run_batch(2): "explainer_id: expected a name, or a number from 0 to 1, got 2",
        lambda: experiment.evaluate_batch([0], 0, 0, "MoRF"): "metric_id: no 'MoRF'",
        lambda: experiment.explain_batch([10], 0): "data_ids: expected numbers from 0 to 9, got 10",
        lambda: experiment.optimize([0, 1], 0, "AbPC", direction="minimize"): "AbPC is to maximize",
    }.items():
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(ArgumentError, match="modality: no modality 'imag'; did you mean 'image'"):
        Experiment(experiment.model, pictures(2), "imag")
    with pytest.raises(ArgumentError, match="data: expected a DataLoader"):
        Experiment(experiment.model, 3, Traits.image())  # type: ignore[arg-type]


def test_targets_are_labels_or_what_is_made_of_the_output(net: Bright) -> None:
    def least(output: torch.Tensor) -> torch.Tensor:
        return output.argmin(1)

    with torch.no_grad():
        scores = net(pictures(10))
    of_labels = Experiment(net, (pictures(10), LABELS), Traits.image(), ["Gradient"], target_labels=True)
    assert torch.equal(of_labels.run_batch(0, data_ids=[1, 2])["targets"], LABELS[[1, 2]])
    of_output = Experiment(net, pictures(10), Traits.image(), ["Gradient"], target_extractor=least)
    assert torch.equal(of_output.run_batch(0)["targets"], scores.argmin(1))
    assert of_output.run_batch(0)["labels"] is None
    compared = of_output.compare(show_progress=False, controls=False).table
    assert compared[compared.metric == "AbPC"].target.tolist() == scores.argmin(1).tolist()
    with pytest.raises(ArgumentError, match="holds no labels"):
        Experiment(net, pictures(4), Traits.image(), target_labels=True).run_batch(0)


def test_batches_of_an_iterable_are_found_by_number(net: Bright) -> None:
    batches = [(pictures(10)[i : i + 3], LABELS[i : i + 3]) for i in range(0, 10, 3)]
    experiment = Experiment(net, batches, Traits.image(), ["Gradient"], metrics=["Complexity"])
    assert torch.equal(experiment.run_batch(0, data_ids=[9, 2])["inputs"], pictures(10)[[9, 2]])
    with pytest.raises(ArgumentError, match="data_ids: expected numbers from 0 to 9, got 11"):
        experiment.predict_batch([11])


def test_all_at_once_agrees_with_one_at_a_time(experiment: Experiment, tmp_path: Any) -> None:
    results = experiment.compare(folder=tmp_path, show_progress=False, controls=False)
    assert len(results.settings) == 4
    assert len(results.table) == 4 * 2 * 10
    one = experiment.evaluate_batch(None, "Gradient", 1, "AbPC")
    assert results.values("AbPC", "Gradient / sum, minmax").tolist() == pytest.approx(one.tolist(), abs=1e-6)


def test_tuning_starts_from_what_is_there(experiment: Experiment) -> None:
    found = experiment.optimize(range(6), "SmoothGrad", "AbPC", "maximize", n_trials=2, show_progress=False)
    assert isinstance(found.explainer, SmoothGrad)
    assert found.trials == 2
