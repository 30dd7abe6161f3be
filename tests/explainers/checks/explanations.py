"""What ``explain`` returns: the maps of ``attribute``, and a gap that is true."""

from __future__ import annotations

import torch

from pnpxai.explainers.results.explanation import Explanation
from pnpxai.tensors import as_tuple
from tests.explainers.checks import check, made
from tests.laws import promises_a_sum

NAMES = ("skip_cnn", "two_inputs", "tokens", "vit", "mlp")
WITHOUT_NOISE = {"GradientShap": {"noise_level": 0.0}}
"""With noise, the sum that is promised is that of noisy inputs."""


def exact(explainer, model):
    return made(explainer, model, **WITHOUT_NOISE.get(explainer.__name__, {}))


@check(*NAMES)
def an_explanation_is_what_attribute_gives(explainer, case):
    one = exact(explainer, case.model)
    explanation = one.explain(case.inputs, case.targets, seed=3)
    for changes, rows in _by_setting(explanation, len(case)):
        attributions = as_tuple(one.replace(**changes).attribute(case.inputs, case.targets, seed=3))
        for maps, expected in zip(explanation.attributions, attributions, strict=True):
            assert torch.allclose(maps[rows], expected[rows], atol=1e-12 * float(expected.abs().max()))
    assert explanation.explainer == explainer.__name__
    assert explanation.targets == case.targets
    of_samples = ("gap: ", "n_samples: ")
    others = [text for text in explanation.warnings if not text.startswith(of_samples) and "from noise" not in text]
    assert others == []
    with torch.no_grad():
        scores = case.model(*case.tensors)[range(len(case)), case.targets]
    assert torch.allclose(explanation.scores, scores)


def _by_setting(explanation, size):
    """Return the settings with which examples were explained, where ``explain`` may raise one, each with its rows."""
    if not explanation.used:
        return [({}, list(range(size)))]
    ((name, values),) = explanation.used.items()
    return [({name: n}, [k for k in range(size) if values[k] == n]) for n in sorted(set(values.tolist()))]


@check(*NAMES)
def a_gap_is_given_by_those_that_promise_a_sum_and_is_true(explainer, case):
    explanation = exact(explainer, case.model).explain(case.inputs, case.targets)
    assert (explanation.gap is not None) == promises_a_sum(explainer)
    if explanation.gap is None:
        return
    total = sum(a.flatten(1).sum(1) for a in explanation.attributions)
    if explanation.sinks:  # relevance: shares and sinks make up the score
        expected = explanation.scores - total - sum(explanation.sinks.values())
    else:
        expected = total - (explanation.scores - scores_at_zero(case))
    assert torch.allclose(explanation.gap, expected, atol=1e-10)


def scores_at_zero(case):
    """Return the scores at the baseline that every method has by default."""
    with torch.no_grad():
        if case.layer is None:
            outputs = case.model(*(torch.zeros_like(x) for x in case.tensors))
        else:
            states, _ = case.model.lstm(torch.zeros(*case.inputs.shape, 5, dtype=torch.float64))
            outputs = case.model.head(states[:, -1])
    return outputs[range(len(case)), case.targets]


def an_explanation_can_be_saved_shown_and_cut(explainer, case, folder):
    explanation = exact(explainer, case.model).explain(case.inputs, case.targets)
    assert Explanation.load(explanation.save(folder)) == explanation
    assert explainer.__name__ in str(explanation)
    assert explanation.plot(limit=2).axes
    assert explanation[1].scores.tolist() == explanation.scores[1:2].tolist()
