"""A ReLU written by hand passes back what a ReLU does; what is not one passes back its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import Deconvolution, GuidedBackprop
from pnpxai.errors import RuleError
from tests.small import Rectified

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Between(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(5, 6).double(), nn.Linear(6, 3).double()

    def forward(self, x):
        return self.second(self.function(self.first(x)))


def _filled(t):
    return t.masked_fill_(t < 0, 0.0)


RECTIFIERS = {
    "clamp": lambda t: t.clamp(min=0),
    "clamp by position": lambda t: torch.clamp(t, 0),
    "clamp in place": lambda t: t.clone().clamp_(min=0),
    "clamp_min": lambda t: t.clamp_min(0),
    "maximum": lambda t: torch.maximum(t, torch.zeros_like(t)),
    "max": lambda t: torch.max(torch.zeros((), dtype=t.dtype), t),
    "where": lambda t: torch.where(t > 0, t, 0.0),
    "where turned round": lambda t: torch.where(t <= 0, torch.zeros_like(t), t),
    "mask": lambda t: t * (t > 0),
    "mask in numbers": lambda t: (t > 0).to(t.dtype) * t,
    "mask turned round": lambda t: t * ~(t < 0),
    "masked_fill": lambda t: t.masked_fill(t < 0, 0),
    "masked_fill in place": lambda t: _filled(t.clone()),
    "threshold": lambda t: nn.functional.threshold(t, 0.0, 0.0),
    "absolute value": lambda t: (t + t.abs()) / 2,
    "absolute value in place": lambda t: t.abs().add_(t).div_(2),
    "absolute value as a root": lambda t: 0.5 * t + 0.5 * (t * t).sqrt(),
    "sign": lambda t: t * (t.sign() + 1) / 2,
    "without the negative part": lambda t: t - t.clamp(max=0),
    "and the negative part's ReLU": lambda t: t + torch.relu(-t),
    "minimum": lambda t: -torch.minimum(-t, torch.zeros_like(t)),
    "zero times itself": lambda t: torch.maximum(t, 0 * t),
    "a leak of zero": lambda t: nn.functional.leaky_relu(t, 0.0),
    "a mask without gradients": lambda t: t * torch.heaviside(t.detach(), t.new_zeros(())),
    "largest of a pair": lambda t: torch.stack([t, torch.zeros_like(t)]).max(0).values,
    "each column read twice": lambda t: torch.stack([torch.where(t[:, k] > 0, t[:, k], 0.0) for k in range(6)], 1),
    "a mask in ten steps": lambda t: t * (((((((t > 0).to(t.dtype) + 1) * 2 - 2) * 2) / 2 + 1) - 1) / 2),
    "scattered": lambda t: torch.zeros_like(t).masked_scatter(t > 0, t[t > 0]),
}
OTHERS = {
    "a bound above": lambda t: t.clamp(0, 0.5),
    "another bound": lambda t: t.clamp_min(0.1),
    "another mask": lambda t: t * (t.flip(1) > 0),
    "another threshold": lambda t: torch.where(t > 0.3, t, 0.0),
    "a leak": lambda t: torch.where(t > 0, t, 0.1 * t),
    "a neighbour": lambda t: t.roll(1, 1) * (t > 0),
    "neighbours computed alike": lambda t: torch.where(t.roll(1, 1) > 0, t.roll(2, 1), 0.0),
    "an absolute value": lambda t: (t + 3 * t.abs()) / 4,
}


@pytest.mark.parametrize("method", [GuidedBackprop, Deconvolution])
@pytest.mark.parametrize("name", RECTIFIERS)
def test_a_relu_by_hand_is_one(name, method):
    right = method(Between(torch.relu)).attribute(X, 1)
    assert torch.allclose(method(Between(RECTIFIERS[name]), needs_relu=True).attribute(X, 1), right)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_relu_passes_its_gradient(name):
    model = Between(OTHERS[name])
    leaf = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    assert torch.allclose(GuidedBackprop(model).attribute(X, 1), slope)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_the_largest_of_rectified_values_is_no_relu_of_its_own(axis):
    def spread(t):
        return t.expand(2, 2, 2, 3).reshape(4, 6)

    before = Between(lambda t: spread(torch.relu(t).reshape(2, 2, 2, 3).amax(axis, keepdim=True)))
    after = Between(lambda t: spread(torch.relu(t.reshape(2, 2, 2, 3).amax(axis, keepdim=True))))
    assert torch.allclose(GuidedBackprop(before).attribute(X, 1), GuidedBackprop(after).attribute(X, 1))


def test_factors_of_a_relu_count():
    factors = torch.rand(6, generator=torch.Generator().manual_seed(0), dtype=X.dtype)
    by_hand = GuidedBackprop(Between(lambda t: torch.where(t > 0, factors * t, 0.0))).attribute(X, 1)
    assert torch.allclose(by_hand, GuidedBackprop(Between(lambda t: factors * torch.relu(t))).attribute(X, 1))


def test_a_hidden_relu_is_refused():
    with pytest.raises(RuleError, match="GuidedBackprop: .* out of sight"):
        GuidedBackprop(Between(Rectified.apply)).attribute(X, 1)
