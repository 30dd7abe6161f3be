"""DeepLift where a condition carries the nonlinearity: the rule of the same function, or a refusal by name."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors import LRP, DeepLift
from pnpxai.errors import RuleError

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
B = torch.randn(5, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


class Between(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(6, 8).double(), nn.Linear(8, 3).double()

    def forward(self, x):
        return self.second(self.function(self.first(x)))


def _set(t, value):
    t = t.clone()
    t[t < 0] = value
    return t


def _without_gradients(t):
    with torch.no_grad():
        return (t > 0).to(t.dtype)


ALIKE = {
    "where": (lambda t: torch.where(t > 0, t, 0.1 * t), lambda t: F.leaky_relu(t, 0.1)),
    "where with an exponential": (lambda t: torch.where(t > 0, t, torch.expm1(t)), F.elu),
    "mask": (lambda t: t * (t > 0), F.relu),
    "mask in numbers": (lambda t: t * t.ge(0).to(t.dtype), F.relu),
    "mask turned round": (lambda t: t * ~(t < 0), F.relu),
    "mask in place": (lambda t: t.clone().mul_(t > 0), F.relu),
    "mask without gradients": (lambda t: t * _without_gradients(t), F.relu),
    "masked_fill": (lambda t: t.masked_fill(t < 0, 0), F.relu),
    "masked_fill in place": (lambda t: t.clone().masked_fill_(t < 0, 0.0), F.relu),
    "written at a mask": (lambda t: _set(t, 0.0), F.relu),
    "two conditions": (lambda t: torch.where((t > -0.5) & (t < 0.5), 0 * t, t), lambda t: F.hardshrink(t, 0.5)),
    "a constant threshold": (lambda t: torch.where(t > torch.full((8,), 0.2).double(), t, 0.0), None),
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_condition_has_the_rule_of_its_function(name):
    written, function = ALIKE[name]
    found, delta = DeepLift(Between(written)).attribute(X, B, 1, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    if function is not None:
        assert torch.allclose(found, DeepLift(Between(function)).attribute(X, B, 1), atol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: torch.where(t > t.flip(1), t, t.flip(1)),
        lambda t: t * (t > t.mean(1, keepdim=True)),
        lambda t: t * (t.sum(1, keepdim=True) > 0),
        lambda t: t * t.sign(),
    ],
)
def test_what_is_compared_with_other_values_is_complete(function):
    assert DeepLift(Between(function)).attribute(X, B, 1, return_convergence_delta=True)[1].abs().max() < 1e-12


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t * torch.zeros_like(t).scatter(1, t.topk(3).indices, 1.0),
        lambda t: F.one_hot(t.argmax(1), 8).to(t.dtype) * t,
        lambda t: torch.where((t > 0) & (t.flip(1) < 1), t, 0.1 * t),
        lambda t: t.masked_select(t > 0).sum() + t,
    ],
)
def test_what_no_single_value_decides_is_refused(function):
    with pytest.raises(RuleError, match="mask, index or condition"):
        DeepLift(Between(function)).attribute(X, B, 1)


def test_a_number_that_leaves_torch_is_refused_where_it_counts():
    with pytest.raises(RuleError, match="a number leaves torch by 'float'"):
        DeepLift(Between(lambda t: t * float(t[0, 0]))).attribute(X, B, 1)
    unused = Between(lambda t: F.relu(t) if float(t.sum()) < 1e9 else t)
    assert torch.equal(DeepLift(unused).attribute(X, B, 1), DeepLift(Between(F.relu)).attribute(X, B, 1))


@pytest.mark.parametrize("name", ALIKE)
def test_relevance_is_conserved_through_conditions(name):
    found = LRP(Between(ALIKE[name][0])).relevance(X, 1)
    assert found.gap.abs().max() < 1e-9 * found.score.abs().max() + 1e-12


def test_detached_values_carry_differences():
    """A derivative stops at a detached value, a difference does not."""
    model = Between(lambda t: t * torch.sigmoid(t).detach())
    found, delta = DeepLift(model).attribute(X, B, 1, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    assert torch.allclose(found, DeepLift(Between(lambda t: t * torch.sigmoid(t))).attribute(X, B, 1))
