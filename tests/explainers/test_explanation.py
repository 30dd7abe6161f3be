"""What an explanation holds, shows, and writes."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.explainers.explanation import Explanation
from pnpxai.explainers.gradient import Gradient
from pnpxai.explainers.integrated_gradients import IntegratedGradients
from pnpxai.testing.zoo import CASES

CASE, TWO = CASES["mlp"](), CASES["two_inputs"]()


@pytest.fixture(scope="module")
def explained():
    return IntegratedGradients(CASE.model, n_steps=6, baseline_fn="mean").explain(CASE.inputs, CASE.targets)


def test_it_holds_what_attribute_gives_and_what_belongs_to_it(explained):
    made = IntegratedGradients(CASE.model, n_steps=6, baseline_fn="mean")
    assert torch.equal(explained.attributions[0], made.attribute(CASE.inputs, CASE.targets))
    assert torch.equal(explained.inputs[0], CASE.inputs)
    assert torch.allclose(explained.scores, CASE.model(CASE.inputs)[range(3), CASE.targets].detach())
    assert explained.targets == CASE.targets
    assert explained.explainer == "IntegratedGradients"
    assert explained.settings["n_steps"] == 6
    assert len(explained) == 3
    assert explained.warnings == ()
    assert explained.seconds > 0


def test_the_gap_is_what_completeness_misses(explained):
    blank = CASE.inputs.mean(1, keepdim=True).expand_as(CASE.inputs)
    with torch.no_grad():
        difference = (CASE.model(CASE.inputs) - CASE.model(blank))[range(3), CASE.targets]
    assert torch.allclose(explained.gap, explained.attributions[0].sum(1) - difference, atol=1e-10)
    assert Gradient(CASE.model).explain(CASE.inputs, 1).gap is None


def test_without_targets_the_predictions_are_explained():
    explained = Gradient(CASE.model).explain(CASE.inputs)
    assert torch.equal(explained.targets, CASE.model(CASE.inputs).argmax(1))
    assert torch.allclose(explained.scores, CASE.model(CASE.inputs).amax(1).detach())


def test_warnings_of_the_model_are_kept():
    import warnings

    def model(x):
        warnings.warn("mind the gap", stacklevel=1)
        return x.sum(1)

    assert set(Gradient(model).explain(CASE.inputs).warnings) == {"mind the gap"}


def test_it_prints_itself(explained):
    text = str(explained)
    assert text.startswith("IntegratedGradients(n_steps=6, baseline_fn=Mean())")
    assert "attributions  (3, 6)" in text
    assert "targets       [0, 1, 2]" in text
    assert "gap           at most" in text


@pytest.mark.parametrize(
    "targets", [[0, 1, 2], torch.tensor([0, 1, 2]), 2, None], ids=["list", "tensor", "int", "none"]
)
def test_saved_and_loaded_it_is_the_same(tmp_path, targets):
    explained = IntegratedGradients(TWO.model, n_steps=3).explain(TWO.inputs, targets)
    loaded = Explanation.load(explained.save(tmp_path / "one"))
    for name in ("attributions", "inputs"):
        pairs = zip(getattr(loaded, name), getattr(explained, name), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(torch.as_tensor(loaded.targets), torch.as_tensor(explained.targets))
    assert torch.equal(loaded.scores, explained.scores)
    assert torch.equal(loaded.gap, explained.gap)
    assert (loaded.explainer, loaded.seconds, loaded.warnings) == (
        explained.explainer,
        explained.seconds,
        explained.warnings,
    )
    assert loaded.settings == {"n_steps": 3, "baseline_fn": {"type": "Zeros"}}


def test_files_are_plain_and_complete(explained, tmp_path):
    folder = explained.save(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == ["explanation.json", "tensors.safetensors"]
    assert json.loads((folder / "explanation.json").read_text())["explainer"] == "IntegratedGradients"
    explained.save(tmp_path)  # again, over the old files


def test_a_failed_write_leaves_the_old_file(explained, tmp_path):
    folder = explained.save(tmp_path)
    before = (folder / "explanation.json").read_text()
    broken = dataclasses.replace(explained, settings={"x": {1, 2}}, seconds=float)
    with pytest.raises(TypeError):
        broken.save(tmp_path)
    assert (folder / "explanation.json").read_text() == before


def test_a_folder_without_an_explanation_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="folder: .* holds no explanation.json"):
        Explanation.load(tmp_path)


def test_a_plot_shows_the_first_maps(explained):
    figure = explained.plot(limit=2)
    assert [axes.get_title()[:2] for axes in figure.axes if axes.get_title().startswith("#")] == ["#0", "#1"]


def test_what_the_caller_does_later_does_not_change_it():
    x, targets = CASE.inputs.clone(), torch.tensor(CASE.targets)
    explained = Gradient(CASE.model).explain(x, targets)
    x.zero_()
    targets.zero_()
    assert torch.equal(explained.inputs[0], CASE.inputs)
    assert explained.targets.tolist() == CASE.targets


def test_nothing_can_be_changed(explained):
    with pytest.raises(dataclasses.FrozenInstanceError):
        explained.scores = None
