"""Sums of gradients and scores of perturbed inputs do not depend on how they are cut into passes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.batching import Block
from pnpxai.engine.loops import gradient_sum, perturbed_scores
from pnpxai.engine.score import Score, WholeBatchOutput
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
    found = perturbed_scores(SCORE, _points, 4, CASE.tensors, asked=asked)
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
        perturbed_scores(score, _points, 4, CASE.tensors, asked=2)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_one_value_for_the_batch_is_refused_or_joint_whatever_the_size_of_a_pass(limit):
    total = Score.of(lambda x: CASE.model(x)[:, 0].sum(), CASE.tensors)
    with pytest.raises(WholeBatchOutput, match="model: it returns one value for a whole batch"):
        perturbed_scores(total, _points, 4, CASE.tensors, asked=limit)
    found = perturbed_scores(total, _points, 4, CASE.tensors, asked=limit, joint=True)
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


class _Pictures(nn.Module):
    """Convolutions on (examples, 3, 8, 8), flattened in a way that minds how pictures lie in memory, or not."""

    def __init__(self, how):
        super().__init__()
        self.conv, self.pool, self.how, self.seen = nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), how, []

    def forward(self, x):
        self.seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return self.how(torch.relu(self.pool(self.conv(x)))).square().sum(1)


@pytest.mark.parametrize(
    ("how", "layouts"),
    [(lambda x: x.flatten(1), [True, True]), (lambda x: x.view(len(x), -1), [True, False, False])],
    ids=["flatten", "view"],
)
def test_pictures_lie_as_convolutions_like_them_unless_the_model_minds(how, layouts):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = _Pictures(how), torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        expected = model(x)
    model.seen.clear()
    score = Score.of(model, (x,))
    found = perturbed_scores(score, lambda block: (x.repeat(len(block.steps), 1, 1, 1),), 2, (x,), asked=1)
    assert torch.allclose(found, expected[:, None].expand(4, 2), rtol=1e-5)
    assert model.seen == layouts


def test_other_inputs_stay_as_they_are():
    model, x = _Pictures(lambda x: x.flatten(1)).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    perturbed_scores(Score.of(model, (x,)), lambda block: (x,), 1, (x,))
    assert model.seen == [False]
