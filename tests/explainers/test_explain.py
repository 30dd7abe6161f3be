"""Every explainer's ``explain``: what ``attribute`` gives, and a gap that is true."""

from __future__ import annotations

import pytest
import torch

from pnpxai.explainers.results.explanation import Explanation
from pnpxai.tensors import as_tuple
from pnpxai.testing.zoo import CASES
from tests.explainers.each import EXPLAINERS, each, fits, made

NAMES = ("skip_cnn", "two_inputs", "tokens", "vit", "mlp")
CELLS = [(e, name) for e in EXPLAINERS for name in NAMES if fits(e, name)]
GAPS = {
    "DeepLift", "DeepLiftShap", "GradientShap", "IntegratedGradients", "LRP", "LRPEpsilonAlpha2Beta1",
    "LRPEpsilonGammaBox", "LRPEpsilonPlus", "LRPUniformEpsilon", "RAP", "AttnLRP",
}  # fmt: skip
"""Those that promise a sum."""
EXACT = {"noise_level": 0.0}
"""With noise, what is promised is of noisy inputs."""

cells = pytest.mark.parametrize(("explainer", "name"), CELLS, ids=lambda v: getattr(v, "__name__", v))


def explained(explainer, name):
    case = CASES[name]()
    settings = EXACT if explainer.__name__ == "GradientShap" else {}
    return case, made(explainer, case.model, **settings)


@cells
def test_an_explanation_is_what_attribute_gives(explainer, name):
    case, it = explained(explainer, name)
    explanation = it.explain(case.inputs, case.targets, seed=3)
    attributions = as_tuple(it.attribute(case.inputs, case.targets, seed=3))
    for one, other in zip(explanation.attributions, attributions, strict=True):
        assert torch.allclose(one, other, atol=1e-12 * float(other.abs().max()))
    assert explanation.explainer == explainer.__name__
    assert explanation.targets == case.targets
    assert [told for told in explanation.warnings if not told.startswith("gap: ")] == []
    with torch.no_grad():
        scores = case.model(*case.tensors)[range(len(case)), case.targets]
    assert torch.allclose(explanation.scores, scores)


@cells
def test_a_gap_is_told_by_those_that_promise_a_sum_and_is_true(explainer, name):
    case, it = explained(explainer, name)
    explanation = it.explain(case.inputs, case.targets)
    assert (explanation.gap is not None) == (explainer.__name__ in GAPS)
    if explanation.gap is None:
        return
    total = sum(a.flatten(1).sum(1) for a in explanation.attributions)
    if explanation.sinks:  # relevance: shares and sinks make up the score
        expected = explanation.scores - total - sum(explanation.sinks.values())
    else:
        expected = total - (explanation.scores - _at_zero(case))
    assert torch.allclose(explanation.gap, expected, atol=1e-10)


def _at_zero(case):
    """Return the scores at the baseline that every method has by default."""
    with torch.no_grad():
        if case.layer is None:
            outputs = case.model(*(torch.zeros_like(x) for x in case.tensors))
        else:
            states, _ = case.model.lstm(torch.zeros(*case.inputs.shape, 5, dtype=torch.float64))
            outputs = case.model.head(states[:, -1])
    return outputs[range(len(case)), case.targets]


@each(EXPLAINERS)
def test_an_explanation_can_be_kept(explainer, tmp_path):
    name = next(name for name in NAMES if fits(explainer, name))
    case, it = explained(explainer, name)
    explanation = it.explain(case.inputs, case.targets)
    assert Explanation.load(explanation.save(tmp_path)) == explanation
    assert explainer.__name__ in str(explanation)
    assert explanation.plot(limit=2).axes
    assert explanation[1].scores.tolist() == explanation.scores[1:2].tolist()


def test_those_that_promise_a_sum_exist():
    assert {e.__name__ for e in EXPLAINERS} >= GAPS
