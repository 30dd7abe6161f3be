"""What people hand over by mistake: each gives an answer, or an error that says which argument and how to mend it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.explainers import GradCam, Gradient, IntegratedGradients, Lime, LRPEpsilonPlus, Occlusion
from pnpxai.metrics import AbPC
from tests.small import pictures

torch.manual_seed(0)
MODEL = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)).eval()
X, Y = pictures(4), torch.tensor([0, 1, 2, 0])
SOME = pytest.mark.parametrize(
    "explainer", [Gradient, IntegratedGradients, Lime, GradCam, LRPEpsilonPlus, Occlusion], ids=lambda e: e.__name__
)


@SOME
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "inputs: expected a tensor .*, got NoneType"),
        (X[:0], "inputs: expected at least one example"),
        (X.tolist(), "inputs: expected a tensor .*, got list"),
        (X.numpy(), "torch.from_numpy makes a tensor of it"),
        ("a text", "inputs: expected a tensor .*, got str"),
        ((), "inputs: expected at least one tensor"),
        ({}, "inputs: expected a mapping with tensors"),
        (torch.tensor(1.0), "inputs: expected a batch dimension"),
        (X * torch.nan, "inputs: expected finite numbers"),
        (X / 0, "inputs: expected finite numbers"),
    ],
    ids="None empty list array text tuple mapping number NaN infinity".split(),
)
def test_inputs_of_a_wrong_kind(explainer, inputs, message):
    with pytest.raises(ArgumentError, match=message):
        explainer(MODEL).attribute(inputs, Y)
    with pytest.raises(ArgumentError, match=message):
        explainer(MODEL).explain(inputs, Y)


@SOME
@pytest.mark.parametrize(
    "targets",
    [7, -9, "cat", ["a"] * 4, 1.0, Y.float(), True, Y > 0, Y[:2], [], torch.eye(3)[Y], torch.nan, {}, slice(1), None],
    ids=str,
)
def test_targets_of_a_wrong_kind(explainer, targets):
    with pytest.raises(ArgumentError, match="target: "):
        explainer(MODEL).attribute(X, targets)


@SOME
def test_targets_in_every_right_form(explainer):
    expected = explainer(MODEL).attribute(X, 1)
    for targets in (torch.tensor(1), np.int64(1), np.array([1] * 4), [1] * 4, (1,), torch.ones(4, 1).long(), -2):
        assert torch.allclose(explainer(MODEL).attribute(X, targets), expected, atol=1e-6)


@SOME
def test_the_callers_state_does_not_matter_and_stays(explainer):
    expected = explainer(MODEL).attribute(X, Y)
    with torch.no_grad():
        assert torch.equal(explainer(MODEL).attribute(X, Y), expected)
    with torch.inference_mode():
        x, y = X.clone(), MODEL(X).argmax(1) * 0 + Y  # made here, so not to be differentiated through
        assert torch.equal(explainer(MODEL).attribute(x, y), expected)
    strided = X.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.allclose(explainer(MODEL).attribute(strided, Y), expected, atol=1e-6)
    try:
        MODEL.train().requires_grad_(False)
        assert torch.equal(explainer(MODEL).attribute(X.clone().requires_grad_(), Y), expected)
        assert MODEL.training
        assert not any(p.requires_grad for p in MODEL.parameters())
    finally:
        MODEL.eval().requires_grad_(True)


def test_the_front_door_under_inference_mode():
    with torch.inference_mode():
        auto = pnpxai.auto_explain(MODEL, X.clone())
        for name in ("Gradient", "GradCam", "Occlusion"):
            assert len(auto.explain(name, count=4)) == 4


@pytest.mark.parametrize("model", [None, "resnet18", nn.Linear, 3], ids=str)
def test_what_is_no_model(model):
    with pytest.raises(ArgumentError, match="model: expected"):
        Gradient(model)
    with pytest.raises(ArgumentError, match="model: expected"):
        pnpxai.auto_explain(model, X).explain("Gradient")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"target": "cat"}, "target: expected the index of an output, or a function of the output, got 'cat'"),
        ({"target_extractor": 3}, "target_extractor: expected a function, got 3"),
        ({"label_extractor": "y"}, "label_extractor: expected a function, got 'y'"),
        ({"modality": "picture"}, "modality: no modality 'picture'"),
        ({"display": "x"}, "display: expected a Display"),
        ({"layer": "nope"}, "layer: no layer or forward argument 'nope'"),
        ({"feature_names": ["a"]}, "feature_names: image data has none"),
        ({"class_names": "cat"}, "class_names, feature_names: expected a list"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_facts_of_a_wrong_kind(facts, message):
    with pytest.raises(ArgumentError, match=message):
        pnpxai.auto_explain(MODEL, X, **facts).explain("Gradient")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"count": 0}, "count: expected a whole number >= 1, got 0"),
        ({"count": -1}, "count: expected a whole number >= 1, got -1"),
        ({"count": "a"}, "count: expected a whole number >= 1, got 'a'"),
        ({"numbers": []}, r"examples: expected numbers from 0 to \d, got \[\]"),
        ({"numbers": [99]}, r"examples: expected numbers from 0 to 3, got \[99\]"),
        ({"numbers": [-1]}, r"examples: expected numbers from 0 to \d, got \[-1\]"),
    ],
    ids=str,
)
def test_examples_that_there_are_not(asked, message):
    with pytest.raises(ArgumentError, match=message):
        pnpxai.auto_explain(MODEL, X).explain("Gradient", **asked)


def test_an_experiment_knows_kinds_of_data_by_name():
    by_name = pnpxai.Experiment(MODEL, X, "image", ["Gradient"])
    assert by_name.traits == pnpxai.Traits.image()
    for wrong in (None, "picture", 3):
        with pytest.raises(ArgumentError, match="modality: "):
            pnpxai.Experiment(MODEL, X, wrong, ["Gradient"])


def test_a_single_name_is_a_list_of_one():
    results = pnpxai.auto_explain(MODEL, X).compare("Gradient", "Complexity", show_progress=False)
    assert "Gradient" in results.explainers
    assert set(results.table["metric"]) == {"Complexity"}


@pytest.mark.parametrize(
    ("maps", "targets", "message"),
    [
        (torch.rand(2, 3), Y, "attributions: expected 4 examples, got 2"),
        (X.tolist(), Y, "attributions: expected a tensor"),
        (None, Y, "expected attributions, or an explainer"),
        (X, 9, "target: expected an index from 0 to 2"),
    ],
    ids=["shape", "list", "None", "target"],
)
def test_what_metrics_cannot_judge(maps, targets, message):
    with pytest.raises(ArgumentError, match=message):
        AbPC(MODEL).evaluate(X, targets, maps)


def test_half_precision_on_the_processor():
    for dtype in (torch.float16, torch.bfloat16):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).to(dtype)
        explanation = pnpxai.auto_explain(model, X.to(dtype)).explain("IntegratedGradients", count=4)
        assert explanation.attributions[0].dtype == dtype
        assert torch.isfinite(explanation.attributions[0]).all()
