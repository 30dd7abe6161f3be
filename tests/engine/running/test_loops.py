"""Sums of gradients and scores of perturbed inputs do not depend on how they are cut into passes."""

from __future__ import annotations

import pytest
import torch

from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.loops import gradient_sum, perturbed_scores
from pnpxai.engine.running.score import Score, WholeBatchOutput
from pnpxai.errors import ArgumentError
from pnpxai.testing.zoo import CASES

CASE = CASES["mlp"]()
SCORE = Score.of(CASE.model, CASE.tensors, CASE.targets)
SCALES = [0.0, 0.5, 1.0, 1.5]
WEIGHTS = [0.1, 0.2, 0.3, 0.4]


def _points(block: Block):
    part = slice(block.examples.start, block.examples.stop)
    return (torch.cat([SCALES[step] * CASE.inputs[part] for step in block.steps]),)


def _oracle():
    total = torch.zeros_like(CASE.inputs)
    for weight, scale in zip(WEIGHTS, SCALES, strict=True):
        x = (scale * CASE.inputs).requires_grad_()
        total += weight * torch.autograd.grad(CASE.model(x)[range(3), CASE.targets].sum(), x)[0]
    return total


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 100])
def test_a_weighted_sum_of_gradients_is_the_plain_loop_for_every_size_of_pass(limit):
    (found,) = gradient_sum(SCORE, CASE.tensors, _points, WEIGHTS, limit)
    assert torch.allclose(found, _oracle(), atol=1e-12)


@pytest.mark.parametrize("asked", [None, 1, 2, 3])
def test_perturbed_scores_are_those_of_the_model(asked):
    found = perturbed_scores(SCORE, _points, 4, CASE.tensors, at_most=asked)
    expected = torch.stack([CASE.model(s * CASE.inputs)[range(3), CASE.targets] for s in SCALES], 1)
    assert torch.allclose(found, expected, atol=1e-12)
    assert not found.requires_grad


def test_a_failed_pass_leaves_no_trace_in_the_sum():
    failed = []

    def forward(x):
        if len(x) > 2:
            failed.append(len(x))
            raise torch.OutOfMemoryError
        return CASE.model(x)

    score = Score.of(forward, CASE.tensors, CASE.targets)
    (found,) = gradient_sum(score, CASE.tensors, _points, WEIGHTS, 100)
    assert failed
    assert torch.allclose(found, _oracle(), atol=1e-12)
    scores = perturbed_scores(score, _points, 4, CASE.tensors)
    assert torch.allclose(scores, perturbed_scores(SCORE, _points, 4, CASE.tensors), atol=1e-12)


def test_a_model_with_one_value_for_its_batch_is_run_whole():
    score = Score.of(lambda x: CASE.model(x)[:, 0].sum(), CASE.tensors)
    (found,) = gradient_sum(score, CASE.tensors, _points, WEIGHTS, 2)
    (expected,) = gradient_sum(Score.of(CASE.model, CASE.tensors, 0), CASE.tensors, _points, WEIGHTS, 100)
    assert torch.allclose(found, expected, atol=1e-12)


def test_perturbations_need_one_value_per_example():
    score = Score.of(lambda x: CASE.model(x)[:, 0].sum(), CASE.tensors)
    with pytest.raises(WholeBatchOutput, match="model: it returns one value for a whole batch"):
        perturbed_scores(score, _points, 4, CASE.tensors, at_most=2)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_one_value_for_the_batch_is_refused_or_joint_whatever_the_size_of_a_pass(limit):
    total = Score.of(lambda x: CASE.model(x)[:, 0].sum(), CASE.tensors)
    with pytest.raises(WholeBatchOutput, match="model: it returns one value for a whole batch"):
        perturbed_scores(total, _points, 4, CASE.tensors, at_most=limit)
    found = perturbed_scores(total, _points, 4, CASE.tensors, at_most=limit, joint=True)
    each = perturbed_scores(Score.of(CASE.model, CASE.tensors, 0), _points, 4, CASE.tensors)
    assert torch.allclose(found, each.sum(0, keepdim=True), atol=1e-12)


def test_one_value_for_a_batch_of_one_is_that_examples():
    x = CASE.inputs[:1]
    score = Score.of(lambda x: CASE.model(x)[:, 0].sum(), (x,))
    found = perturbed_scores(score, lambda block: (torch.cat([SCALES[s] * x for s in block.steps]),), 4, (x,))
    expected = torch.stack([CASE.model(scale * x)[:, 0] for scale in SCALES], 1)
    assert torch.allclose(found, expected, atol=1e-12)


def test_ids_cannot_be_summed_along():
    ids = CASES["tokens"]()
    score = Score.of(ids.model, ids.tensors, ids.targets)
    with pytest.raises(ArgumentError, match="got torch.int64; for token ids, explain the embedding"):
        gradient_sum(score, ids.tensors, lambda block: ids.tensors, [1.0], 10)
