"""Targets as values: what they give, whose rows they follow, and that the rules reach through them."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from pnpxai.attributors import LRP, DeepLift, IntegratedGradients, NoiseTunnel, Saliency
from pnpxai.declare.registry import every
from pnpxai.engine.running.score import Score
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.explainers import AttnLRP
from pnpxai.targets import (
    Box,
    Class,
    Contrast,
    Horizon,
    LogProbability,
    Mean,
    Pixels,
    Probability,
    Similarity,
    TargetValue,
    target_from,
)

OUT = torch.tensor([[1.0, 2.0, 4.0], [0.5, -1.0, 3.0]], dtype=torch.float64)
MAP = torch.arange(24.0).reshape(2, 3, 2, 2)
DETECTED = [
    {
        "boxes": torch.tensor([[0.0, 0, 2, 2], [4, 4, 8, 8]]),
        "scores": torch.tensor([0.5, 0.9]),
        "labels": torch.tensor([1, 2]),
    }
] * 2

VALUES = [
    (Class(1), OUT, OUT[:, 1]),
    (Class(-1), OUT, OUT[:, 2]),
    (Class([2, 0]), OUT, torch.tensor([4.0, 0.5])),
    (Class(torch.tensor([2, 0])), OUT, torch.tensor([4.0, 0.5])),
    (Class(2, at=(0, 1)), MAP, MAP[:, 2, 0, 1]),
    (Class(1, at=(-1, 0), axis=-1), MAP, MAP[:, -1, 0, 1]),
    (Contrast(2, 0), OUT, OUT[:, 2] - OUT[:, 0]),
    (Contrast((0, 1), 2), OUT, torch.tensor([-3.0, -4.0])),
    (Probability(1), OUT, OUT.softmax(1)[:, 1]),
    (LogProbability((0, 2)), OUT, OUT.log_softmax(1)[[0, 1], [0, 2]]),
    (Probability(0), OUT[:, :1], torch.sigmoid(-OUT[:, 0])),
    (LogProbability(1), OUT[:, 0], torch.sigmoid(OUT[:, 0]).log()),
    (Mean(1), MAP, MAP[:, 1].mean((1, 2))),
    (Mean(), MAP, MAP.mean((1, 2, 3))),
    (Pixels(0, torch.eye(2)), MAP, MAP[:, 0].diagonal(0, 1, 2).mean(1)),
    (Pixels((0, 2), torch.stack([torch.eye(2), torch.ones(2, 2)])), MAP, torch.tensor([1.5, MAP[1, 2].mean()])),
    (Horizon(1), OUT, OUT[:, 1:].mean(1)),
    (Horizon(0, 2, channel=1), MAP[:, :, 0], MAP[:, :2, 0, 1].mean(1)),
    (Similarity(OUT[0], measure="product"), OUT, OUT @ OUT[0]),
    (Similarity(OUT.flip(0)), {"image_embeds": OUT}, torch.nn.functional.cosine_similarity(OUT, OUT.flip(0))),
    (Box((4.0, 4.0, 8.0, 8.0)), DETECTED, torch.tensor([0.9, 0.9])),
    (Box(((4.0, 4.0, 8.0, 8.0), (0.0, 0.0, 2.0, 1.0))), DETECTED, torch.tensor([0.9, 0.25])),
    (Box((4.0, 4.0, 8.0, 8.0), label=1), DETECTED, torch.tensor([0.0, 0.0])),
    (Box((4.0, 4.0, 8.0, 8.0), label=(2, 1)), DETECTED, torch.tensor([0.9, 0.0])),
]


@pytest.mark.parametrize(("target", "output", "value"), VALUES, ids=lambda v: repr(v)[:40])
def test_values(target, output, value):
    assert torch.allclose(target(output).double(), value.double())


@pytest.mark.parametrize("target", [v[0] for v in VALUES], ids=repr)
def test_they_go_through_json_and_print(target):
    assert TargetValue.from_dict(json.loads(json.dumps(target.to_dict()))) == target
    assert repr(target).startswith(type(target).__name__ + "(")


def test_every_kind_is_tested():
    assert {type(v[0]) for v in VALUES} == set(every(TargetValue, within="pnpxai.targets"))


def test_what_belongs_to_the_examples_follows_them():
    target = Pixels((0, 1), torch.stack([torch.eye(2), torch.ones(2, 2)]))
    taken = target.take(torch.tensor([1, 1, 0]))
    assert taken.index == (1, 1, 0)
    assert taken.mask.shape == (3, 2, 2)
    score = Score.of(lambda x: x, (MAP,), target)
    assert torch.equal(score.take(torch.tensor([1])).select(MAP[1:]), score.select(MAP)[1:])
    with pytest.raises(ArgumentError, match="expected one for each of 3 examples, got 2"):
        Score.of(lambda x: x, (MAP[[0, 1, 1]],), target)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.layers = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 4)).double()

    def forward(self, x):
        return self.layers(x)


X = torch.randn(6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
OF_NET = [
    Class(2),
    Class((0, 1, 2, 3, 0, 1)),
    Contrast(0, (3, 2, 1, 3, 2, 1)),
    Probability(1),
    LogProbability(1),
    Mean(),
    Horizon(1, 3),
    Similarity(torch.tensor([0.3, -1.0, 0.5, 0.2])),
    Similarity(torch.randn(6, 4, generator=torch.Generator().manual_seed(3))),
]


@pytest.mark.parametrize("target", OF_NET, ids=repr)
def test_rules_reach_through_them(target):
    """The gap is as small as for an index, alone as in a batch."""
    net = Net()
    scores = target(net(X)).detach()
    explanation = AttnLRP(net).explain(X, target)
    assert torch.allclose(explanation.scores, scores)
    missing = scores - explanation.attributions[0].sum(1) - sum(explanation.sinks.values())
    assert (missing.abs() <= 1e-6 * scores.abs()).all()
    _, delta = DeepLift(net).attribute(X, None, target, return_convergence_delta=True)
    assert delta.abs().max() <= 1e-9 * scores.abs().max()
    for method in (LRP(net), DeepLift(net)):
        whole = method.attribute(X, target=target)
        for k in (0, 4):
            alone = method.attribute(X[k : k + 1], target=target.take(torch.tensor([k])))
            assert torch.allclose(alone[0], whole[k], atol=1e-9 * float(whole.abs().max()))


@pytest.mark.parametrize("target", OF_NET, ids=repr)
def test_steps_and_copies_have_the_target_of_their_example(target):
    net = Net()
    path, delta = IntegratedGradients(net).attribute(X, target=target, n_steps=80, return_convergence_delta=True)
    assert delta.abs().max() < 1e-4
    noisy = NoiseTunnel(Saliency(net)).attribute(X, target=target, stdevs=0.0, nt_samples=3, abs=False)
    leaf = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(target(net(leaf)).sum(), leaf)
    assert torch.allclose(noisy, slope)


def test_relevance_of_pixels_stays_in_their_reach():
    net, x = nn.Conv2d(1, 2, 1, bias=False).double(), torch.rand(2, 1, 4, 4, dtype=torch.float64)
    mask = torch.zeros(4, 4)
    mask[:2] = 1
    found = LRP(net).attribute(x, target=Pixels(1, mask))
    assert torch.allclose(found, (net.weight[1, 0, 0, 0] * x * mask / 8).detach(), rtol=1e-6)


def test_they_are_read_from_text():
    assert target_from("Contrast(282, 281)") == Contrast(282, 281)
    assert target_from(" LogProbability(3, at=(-1,), axis=-1)") == LogProbability(3, at=(-1,), axis=-1)
    for wrong in ("Contrast", "Class(__import__('os'))", "3 + 4", "Class(3"):
        with pytest.raises(ArgumentError, match="expected a name with plain values"):
            target_from(wrong)
    with pytest.raises(ArgumentError, match=r"did you mean '?Contrast"):
        target_from("Contras(1, 2)")


@pytest.mark.parametrize(
    ("target", "output", "error", "words"),
    [
        (Class(3), OUT, ArgumentError, "from 0 to 2"),
        (Class(0), MAP, ArgumentError, "at: expected 2 indices"),
        (Probability(2), OUT[:, 0], ArgumentError, "class 0 or 1"),
        (Pixels(0, torch.ones(3, 3)), MAP, ShapeError, r"expected sides \(2, 2\)"),
        (Pixels(0, torch.zeros(2, 2)), MAP, ArgumentError, "at least one pixel"),
        (Horizon(3), OUT, ArgumentError, "steps from 0 to 2"),
        (Similarity(torch.ones(4)), OUT, ShapeError, r"\(examples, 4\)"),
        (Class(0, output="heat"), {"logits": OUT}, ArgumentError, "'heat'"),
    ],
)
def test_what_does_not_fit_is_refused(target, output, error, words):
    with pytest.raises(error, match=words):
        target(output)


def test_of_smaller_pictures_masks_and_boxes_are_smaller():
    half = Pixels((0, 1), torch.stack([torch.eye(4), torch.zeros(4, 4)])).scaled(0.5)
    assert torch.equal(half.mask, torch.stack([torch.eye(2) / 2, torch.ones(2, 2)]))
    assert Box((2.0, 4.0, 8.0, 8.0)).scaled(0.5) == Box((1.0, 2.0, 4.0, 4.0))
    assert Box(((0.1, 0.2, 0.5, 1.0),)).scaled(0.5) == Box(((0.1, 0.2, 0.5, 1.0),))
    assert Class(1).scaled(0.5) == Class(1)
