"""Relative attributing propagation equals the paper's steps, worked out neuron by neuron."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pnpxai.attributors import LRP
from pnpxai.attributors.propagation.rap import relative_composite
from pnpxai.explainers.propagation.lrp_rules import RAP
from pnpxai.testing.zoo import CASES

pytestmark = pytest.mark.usefixtures("double")


def by_size(x, w, relevance):
    """The layer of the output: each input gets its share of the sizes of contributions."""
    found = torch.zeros_like(x)
    for j in range(len(w)):
        sizes = (x * w[j]).abs()
        found += relevance[j] * sizes / sizes.sum()
    return found


def relative(x, w, relevance):
    """A layer below: contributions of both signs share relevance, then all active inputs give back the surplus."""
    found = torch.zeros_like(x)
    for j in range(len(w)):
        positive, negative = (x * w[j]).clamp(min=0), -(x * w[j]).clamp(max=0)
        if positive.sum() > 0:
            found += relevance[j] * positive / positive.sum()
        found += relevance[j] * negative / (positive.sum() + negative.sum())
    active = found != 0
    return found - active * (found.sum() - relevance.sum()) / active.sum()


def boxed(x, w, relevance):
    """The layer of the inputs, a convolution: the z-box rule between an example's smallest and largest value."""
    low, high = x.min(), x.max()
    found = torch.zeros_like(x)
    for j in range(len(w)):
        terms = x * w[j] - low * w[j].clamp(min=0) - high * w[j].clamp(max=0)
        found += relevance[j] * terms / terms.sum()
    return found


def test_three_linear_layers():
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    x = torch.randn(3, 6)  # negative ones too
    found = RAP(net).attribute(x, [2, 0, 1])
    for k, target in enumerate([2, 0, 1]):
        with torch.no_grad():
            one = net[0](x[k]).relu()
            two = net[2](one).relu()
            relevance = by_size(two, net[4].weight[target : target + 1], net[4](two)[target : target + 1])
            relevance = relative(one, net[2].weight, relevance)
            expected = relative(x[k], net[0].weight, relevance)
        assert torch.allclose(found[k], expected, atol=1e-6)
    assert (found < 0).any()
    assert (found > 0).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions(channels):
    first, second, head = nn.Conv1d(channels, 3, 2), nn.Conv1d(3, 2, 2), nn.Linear(2, 2)
    net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), head)
    x = torch.randn(2, channels, 5)
    found = RAP(net).attribute(x, 1)

    def matrix(layer, at):
        return torch.autograd.functional.jacobian(lambda v: layer(v[None]).flatten(), at).flatten(1)

    for k in range(2):
        with torch.no_grad():
            one = net[:2](x[k : k + 1])[0]
            two = net[2:4](one[None])[0]
            pooled = two.mean(-1)
            relevance = by_size(pooled, head.weight[1:], head(pooled)[1:])
            relevance = relevance[:, None] * torch.where(two > 0, two / two.sum(-1, keepdim=True), 0.0)
        relevance = relative(one.flatten(), matrix(second, one), relevance.flatten())
        expected = boxed(x[k].flatten(), matrix(first, x[k]), relevance)
        assert torch.allclose(found[k].flatten(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn", "skip_cnn", "series", "two_inputs"])
def test_relevance_sums_to_the_score(name):
    case = CASES[name]()
    found = LRP(case.model, relative_composite(1e-9, boxed=True), epsilon=1e-9).relevance(case.inputs, case.targets)
    assert found.gap.abs().max() < 1e-9
    assert found.bias.abs().max() < 1e-9
    assert ((found.epsilon + found.rest).abs() < 1e-6 * found.score.abs()).all()


def test_branches_share_by_size_and_constants_get_nothing():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 1, bias=False)

        def forward(self, x):
            return self.head(x - 2 * x.flip(1) + torch.tensor([5.0, -1.0, 2.0]))

    net, x = Skip(), torch.tensor([[1.0, 2.0, 4.0]])
    with torch.no_grad():
        net.head.weight.copy_(torch.tensor([[1.0, 2.0, -1.0]]))
        z = x - 2 * x.flip(1) + torch.tensor([5.0, -1.0, 2.0])  # (-2, -3, 4)
    score = net(x).item()
    above = score * torch.tensor([2.0, 6.0, 4.0]) / 12  # by the size of contributions to the output
    assert z.tolist() == [[-2.0, -3.0, 4.0]]
    kept, mirrored = above * torch.tensor([1 / 9, 1 / 3, 4 / 6]), above * torch.tensor([8 / 9, 2 / 3, 2 / 6])
    assert torch.allclose(RAP(net).attribute(x)[0], kept + mirrored.flip(0), atol=1e-5)


def test_what_helped_less_gets_negative_relevance():
    # all inputs help; of two relevances above, the second is not reached by the first input
    net = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[8.0, 1.0, 1.0], [0.0, 1.0, -0.5]]))
        net[2].weight.fill_(1.0)
    (found,) = RAP(net).attribute(torch.ones(1, 3))
    # R = (10, 0.5); shares (8, 1 + 0.5, 1 + 0.5 / 3), surplus 0.5 / 3 given back by three
    expected = torch.tensor([8.0, 1.5, 1.0 + 0.5 / 3]) - 0.5 / 9
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["tokens", "vit"])
def test_beyond_the_paper_gates_and_attention_weights_are_constants(name):
    case = CASES[name]()
    found = RAP(case.model).explain(case.inputs, case.targets)
    assert found.gap.abs().max() < 1e-9
    # what a class token is told by no input stays with it, and is accounted for
    assert (found.sinks["bias"].abs() > 1e-2 * found.scores.abs()).any() == (name == "vit")


@pytest.mark.parametrize(
    "filled",
    [
        lambda x: pad_packed_sequence(pack_padded_sequence(x, torch.full((len(x),), 3), True), True, total_length=4)[0],
        lambda x: x.tril(),
        lambda x: F.unfold(x[:, None], (4, 2), padding=(0, 1)).transpose(1, 2)[:, :4, :4],
        lambda x: x[:, 0].diag_embed(),
    ],
    ids=["padded", "lower triangle", "unfolded", "diagonal"],
)
def test_relevance_of_places_that_are_filled_is_noted(filled):
    class Filled(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)
            nn.init.normal_(self.norm.bias)

        def forward(self, x):
            return self.head(self.norm(filled(x)).sum(1))

    found = RAP(Filled()).explain(torch.randn(2, 4, 4), 1)
    assert (found.gap.abs() < 1e-6 * found.scores.abs()).all()
