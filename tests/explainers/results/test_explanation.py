"""What an explanation holds and says, and how examples are picked from it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.propagation.deeplift import DeepLiftShap
from pnpxai.explainers.propagation.lrp import LRPEpsilonPlus
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.tensors import as_tuple
from pnpxai.testing.zoo import CASES

CASE, TWO, CNN, TOKENS = (CASES[name]() for name in ("mlp", "two_inputs", "cnn", "tokens"))


@pytest.fixture(scope="module")
def explained():
    return IntegratedGradients(CASE.model, n_steps=6, baseline_fn="mean").explain(CASE.inputs, CASE.targets)


def test_it_holds_what_attribute_gives_and_what_belongs_to_it(explained):
    made = IntegratedGradients(CASE.model, n_steps=6, baseline_fn="mean")
    for k, steps in enumerate(explained.used["n_steps"].tolist()):  # six may miss by more than 1 %
        alone = made.replace(n_steps=steps).attribute(CASE.inputs[k : k + 1], CASE.targets[k])
        assert torch.allclose(explained.attributions[0][k], alone[0], atol=1e-12)
    assert torch.equal(explained.inputs[0], CASE.inputs)
    assert torch.allclose(explained.scores, CASE.model(CASE.inputs)[range(3), CASE.targets].detach())
    assert explained.targets == CASE.targets
    assert explained.explainer == "IntegratedGradients"
    assert explained.settings["n_steps"] == 6
    assert set(explained.used["n_steps"].tolist()) == {6, 24}
    assert len(explained) == 3
    assert explained.warnings == ()
    assert explained.seconds > 0


def test_the_gap_is_what_completeness_misses(explained):
    blank = CASE.inputs.mean(1, keepdim=True).expand_as(CASE.inputs)
    with torch.no_grad():
        difference = (CASE.model(CASE.inputs) - CASE.model(blank))[range(3), CASE.targets]
    assert torch.allclose(explained.gap, explained.attributions[0].sum(1) - difference, atol=1e-10)
    assert Gradient(CASE.model).explain(CASE.inputs, 1).gap is None


def test_a_gap_that_matters_is_warned_of_with_what_narrows_it():
    def steep(x):
        return torch.sigmoid(800 * (x.sum(1) - 0.1))

    inputs = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    rough = IntegratedGradients(steep, n_steps=2).explain(inputs)
    (told,) = rough.warnings
    assert "more than 1%" in told
    assert "n_steps (here 320)" in told
    share = float((rough.gap / (steep(inputs) - steep(0 * inputs))).abs().max())
    assert f"{share:.2g} of the score's scale" in str(rough)
    assert IntegratedGradients(steep, n_steps=1000).explain(inputs).warnings == ()
    assert Explanation.joined([rough, rough]).warnings == rough.warnings


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
    assert text.startswith("IntegratedGradients(n_steps=6, baseline_fn=Mean(")
    assert "attributions  (3, 6)" in text
    assert "targets       [0, 1, 2]" in text
    assert "gap           at most" in text


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


def _own_part(targets, k):
    """Return what a target says of one example."""
    return targets[k : k + 1] if isinstance(targets, (list, torch.Tensor, np.ndarray)) else targets


FORMS = [[0, 1, 2], torch.tensor([0, 1, 2]), np.array([0, 1, 2]), [(0,), (1,), (2,)], 2, np.int64(2), (2,), None]


@pytest.mark.parametrize("targets", FORMS, ids=lambda t: f"{type(t).__name__} {t}")
def test_one_example_is_what_explaining_it_alone_gives(targets):
    made = IntegratedGradients(TWO.model, n_steps=3)
    explained = made.explain(TWO.inputs, targets)
    assert len(list(explained)) == 3
    for k, one in enumerate(explained):
        alone = made.explain(tuple(x[k : k + 1] for x in TWO.inputs), _own_part(targets, k))
        assert len(one) == 1
        for name in ("attributions", "inputs", "scores", "gap"):
            pairs = zip(as_tuple(getattr(one, name)), as_tuple(getattr(alone, name)), strict=True)
            assert all(torch.allclose(a, b, atol=1e-12) for a, b in pairs)
        assert str(one.targets) == str(alone.targets)


def test_several_examples_are_picked_in_any_order(explained):
    assert explained[[2, 0]].targets == [2, 0]
    assert torch.equal(explained[[2, 0]].attributions[0], explained.attributions[0][[2, 0]])
    assert explained[1:] == explained[[1, 2]]
    assert explained[-1] == explained[2]
    with pytest.raises(IndexError):
        explained[3]


def test_joined_parts_are_the_whole(explained):
    made = IntegratedGradients(CASE.model, n_steps=6, baseline_fn="mean")
    parts = [made.explain(CASE.inputs[:2], CASE.targets[:2]), made.explain(CASE.inputs[2:], CASE.targets[2:])]
    whole = Explanation.joined(parts)
    assert whole.targets == CASE.targets
    assert torch.allclose(whole.attributions[0], explained.attributions[0], atol=1e-12)
    assert torch.allclose(whole.gap, explained.gap, atol=1e-12)
    assert whole.seconds == parts[0].seconds + parts[1].seconds
    with pytest.raises(ArgumentError, match="targets: expected the same for all batches"):
        Explanation.joined([made.explain(CASE.inputs, 0), made.explain(CASE.inputs, 1)])


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (-1, [2]),
        (slice(1, None), [1, 2]),
        ([0, 2], [0, 2]),
        ([True, False, True], [0, 2]),
        (torch.tensor([2, 0]), [2, 0]),
    ],
    ids=str,
)
def test_examples_are_picked_as_from_an_array(explained, index, rows):
    assert torch.equal(explained[index].inputs[0], CASE.inputs[rows])


@pytest.mark.parametrize("index", [3, "a", 1.5], ids=str)
def test_examples_that_there_are_not(explained, index):
    with pytest.raises(IndexError, match="index|indices"):
        explained[index]


def test_it_takes_another_precision_but_ids_stay_ids():
    explained = Gradient(TOKENS.model).explain(TOKENS.inputs, TOKENS.targets)
    narrow = explained.to(dtype=torch.float32)
    assert torch.equal(narrow.inputs[0], TOKENS.inputs)
    assert torch.equal(narrow.attributions[0], explained.attributions[0].float())
    assert narrow.scores.dtype == torch.float32
    assert explained.to("meta").scores.device.type == "meta"
    assert explained.to(dtype=torch.float64) == explained
    assert narrow != explained


def test_sinks_say_where_relevance_went():
    explained = LRPEpsilonPlus(CNN.model).explain(CNN.inputs, CNN.targets)
    assert set(explained.sinks) == {"bias", "epsilon", "rest"}
    kept = explained.attributions[0].flatten(1).sum(1)
    assert torch.allclose(kept + sum(explained.sinks.values()) + explained.gap, explained.scores, atol=1e-10)
    assert "sinks         bias at most" in str(explained)
    assert torch.equal(explained[1].sinks["bias"], explained.sinks["bias"][1:2])


def test_settings_are_as_json_has_them():
    rows = torch.zeros(2, 6, dtype=torch.float64)
    explained = DeepLiftShap(CASE.model, rows, lambda x: x, layer=None).explain(CASE.inputs, 1)
    assert explained.settings == {
        "background_data": "tensor (2, 6)",
        "forward_arg_extractor": "test_settings_are_as_json_has_them.<locals>.<lambda>",
    }
    at_layers = Gradient(CASE.model, layer=[CASE.model.first]).explain(CASE.inputs, 1)
    assert at_layers.settings == {"layer": [{"layer": "first"}]}
    assert str(at_layers).startswith("Gradient(layer=['first'])")


def test_nothing_is_predicted_where_a_row_is_no_class():
    class Dense(torch.nn.Module):
        def forward(self, x):
            return x.unsqueeze(1) * torch.ones(1, 2, 1)

    with pytest.raises(ArgumentError, match="say which one to explain"):
        Gradient(Dense()).explain(CASE.inputs)
    assert Gradient(Dense()).explain(CASE.inputs, (1, 4)).targets == (1, 4)
