"""Every way to write an operation gets its rule, or a refusal that names it; none gets a silent gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors import LRP
from pnpxai.errors import RuleError

X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
C = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)


class Between(nn.Module):
    """An operation between two linear layers."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(4, 4).double(), nn.Linear(4, 2).double()

    def forward(self, x):
        return self.second(self.operation(self.first(x)))


def relevance(operation):
    return LRP(Between(operation)).relevance(X, 1)


def _set(x):
    y = x.clone()
    y[:, 0] = x[:, 1]
    return y


def _edited(x, name, *args):
    y = x * 1
    getattr(y, name)(*args)
    return y


SAME = {
    "relu": [
        lambda x: torch.relu(x),
        lambda x: x.relu(),
        lambda x: F.relu(x),
        lambda x: nn.ReLU()(x),
        lambda x: F.relu(x.clone(), inplace=True),
        lambda x: F.relu(x.clone(), True),
        lambda x: nn.ReLU(inplace=True)(x.clone()),
        lambda x: _edited(x, "relu_"),
        lambda x: torch.relu_(x.clone()),
        lambda x: F.relu_(x.clone()),
    ],
    "leaky relu": [
        lambda x: F.leaky_relu(x, 0.2),
        lambda x: nn.LeakyReLU(0.2)(x),
        lambda x: nn.LeakyReLU(0.2, inplace=True)(x.clone()),
        lambda x: F.leaky_relu_(x.clone(), 0.2),
    ],
    "sum with a constant": [
        lambda x: x + C,
        lambda x: C + x,
        lambda x: torch.add(x, C),
        lambda x: x - (-C),
        lambda x: _edited(x, "add_", C),
        lambda x: _edited(x, "__iadd__", C),
        lambda x: torch.zeros_like(x).add_(C).add_(x),
    ],
    "difference from a constant": [
        lambda x: C - x,
        lambda x: -x + C,
        lambda x: torch.sub(C, x),
        lambda x: torch.rsub(x, C),
    ],
    "product with a constant": [
        lambda x: x * C,
        lambda x: C * x,
        lambda x: x / (1 / C),
        lambda x: torch.mul(x, C),
        lambda x: torch.div(x, 1 / C),
        lambda x: _edited(x, "mul_", C),
        lambda x: _edited(x, "div_", 1 / C),
        lambda x: F.linear(x, torch.diag(C)),
        lambda x: x @ torch.diag(C),
        lambda x: (torch.diag(C) @ x.T).T,
    ],
    "sum with a product": [
        lambda x: torch.addcmul(C, x, 2 * C, value=0.5),
        lambda x: torch.addcmul(C, C, x),
        lambda x: C + x * C,
    ],
    "unit length": [
        lambda x: F.normalize(x, dim=1),
        lambda x: F.normalize(x, p=2.0, dim=-1, eps=1e-9),
        lambda x: x * torch.rsqrt((x * x).sum(1, keepdim=True)),
        lambda x: x / x.norm(dim=1, keepdim=True),
        lambda x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(1e-9),
        lambda x: x * (1 / (x.square().sum(1, keepdim=True) + 1e-30).sqrt()),
        lambda x: x / x.detach().norm(dim=1, keepdim=True),
    ],
    "layer normalisation": [
        lambda x: F.layer_norm(x, (4,), C, C),
        lambda x: C * (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5) + C,
        lambda x: C * (x - x.mean(1, True)) * ((x - x.mean(1, True)) ** 2).mean(1, True).add(1e-5).rsqrt() + C,
    ],
    "gated half": [
        lambda x: F.glu(x.repeat(1, 2)),
        lambda x: nn.GLU()(torch.cat([x, x], 1)),
        lambda x: x.clone() * torch.sigmoid(x),
    ],
    "skip": [
        lambda x: torch.tanh(x) + x,
        lambda x: x + torch.tanh(x),
        lambda x: torch.tanh(x).add_(x),
        lambda x: torch.tanh(x).__iadd__(x),
        lambda x: torch.stack([x, torch.tanh(x)]).sum(0),
        lambda x: torch.sub(x, -torch.tanh(x)),
    ],
    "mean": [
        lambda x: x.mean(1, keepdim=True).expand(-1, 4),
        lambda x: (x.sum(1, keepdim=True) / 4).repeat(1, 4),
        lambda x: F.adaptive_avg_pool1d(x[:, None], 1)[:, 0].expand(-1, 4),
        lambda x: F.avg_pool1d(x[:, None], 4)[:, 0].expand(-1, 4),
    ],
    "nothing": [
        lambda x: x,
        lambda x: x.clone(),
        lambda x: x.reshape(-1, 2, 2).flatten(1),
        lambda x: x.T.contiguous().T,
        lambda x: F.dropout(x, 0.5, training=False),
        lambda x: nn.Identity()(x),
        lambda x: torch.cat([x[:, :2], x[:, 2:]], 1),
        lambda x: torch.cat(x.chunk(2, 1), -1),
        lambda x: x.flip(1).flip(1),
        lambda x: x[:, [0, 1, 2, 3]],
        lambda x: x.to(torch.float64),
    ],
    "largest": [
        lambda x: x.amax(1, keepdim=True).expand(-1, 4),
        lambda x: x.max(1, keepdim=True)[0].expand(-1, 4),
        lambda x: F.max_pool1d(x[:, None], 4)[:, 0].expand(-1, 4),
        lambda x: F.adaptive_max_pool1d(x[:, None], 1)[:, 0].expand(-1, 4),
    ],
    "batch normalisation": [
        lambda x: F.batch_norm(x, C, C**2, C, C),
        lambda x: (x - C) / (C**2 + 1e-5).sqrt() * C + C,
    ],
    "an assignment": [_set, lambda x: torch.cat([x[:, 1:2], x[:, 1:]], 1)],
}  # fmt: skip


@pytest.mark.parametrize("meaning", SAME)
def test_every_way_to_write_an_operation_gives_the_same_relevance(meaning):
    found = [relevance(operation) for operation in SAME[meaning]]
    for other in found:
        assert torch.allclose(other.attributions, found[0].attributions, atol=1e-7)
        assert other.gap.abs().max() < 1e-7 * max(1.0, float(other.bias.abs().max()))
    assert found[0].attributions.abs().max() > 1e-3


ACTIVATIONS = (torch.tanh, torch.sigmoid, F.gelu, F.silu, F.elu, F.softplus, F.hardswish, F.relu6, F.mish)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: activation.__name__)
def test_activations_pass_relevance_through(activation):
    model = Between(activation)
    with torch.no_grad():
        hidden = model.first(X)
        of_hidden = activation(hidden) * model.second.weight[1]
        expected = X * ((of_hidden / hidden) @ model.first.weight)
    assert torch.allclose(LRP(model, epsilon=0.0).attribute(X, 1), expected, atol=1e-10)


def test_an_addition_is_shared_in_proportion():
    # F = 3 x + x^0.. : of 3 a + b, a contributes 3 a
    class Sum(nn.Module):
        def forward(self, x):
            return (3 * x[:, :1] + x[:, 1:2]).squeeze(1)

    found = LRP(Sum()).attribute(torch.tensor([[2.0, 4.0]]))
    assert torch.allclose(found, torch.tensor([[6.0, 4.0]]))


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: torch.div(x, C, rounding_mode="floor") + x, "'div'"),
        (lambda x: x.clone().fill_diagonal_(0), "'fill_diagonal'"),
        (lambda x: x.logcumsumexp(1), "'logcumsumexp'"),
        (lambda x: torch.linalg.inv(x[:, :, None] * x[:, None] + torch.eye(4, dtype=x.dtype))[:, 0], "'linalg_inv'"),
        (lambda x: F.batch_norm(x, None, None, training=True), "'batch_norm'"),
    ],
)
def test_what_has_no_rule_is_refused_by_its_name(operation, name):
    with pytest.raises(RuleError, match=f"LRP: no rule for the .*operation ({name})"):
        relevance(operation)


def test_what_carries_no_relevance_needs_no_rule():
    found = relevance(lambda x: x * C.exp().cumprod(0).softmax(0) + torch.arange(4).float().sin())
    assert found.gap.abs().max() < 1e-7


def test_the_error_is_an_argument_error_that_says_what_to_use_instead():
    with pytest.raises(AssertionError, match="use a gradient or perturbation method instead"):
        relevance(lambda x: x.logcumsumexp(1))
