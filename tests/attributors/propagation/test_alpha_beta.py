"""The alpha-beta rule equals its formula, also where one sign has no contributions, or next to none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pnpxai.attributors import LRP
from pnpxai.attributors.propagation.composites import Composite, rule_named
from pnpxai.attributors.propagation.relevance.kernels import Kernel
from pnpxai.attributors.propagation.relevance.ledger import Ledger

Call = Callable[[Tensor, Tensor, Tensor | None], Tensor]

WEIGHTS = {
    "positive weights": lambda w: w.abs(),
    "negative weights": lambda w: -w.abs(),
    "mixed weights": lambda w: w,
    "each neuron's own": lambda w: w.abs() * torch.tensor([1.0, -1.0, 0.0, 1.0])[:, None].to(w),
}
INPUTS = {
    "after a ReLU": lambda x: x.relu(),
    "below zero": lambda x: -x.abs(),
    "mixed": lambda x: x,
    "zero": torch.zeros_like,
    "a row of zeros": lambda x: x * torch.tensor([1.0, 0.0, 1.0])[:, None].to(x),
}
BIASES = {
    "no bias": None,
    "biases of both signs": (0.5, -0.7, 0.0, 1e-3),
    "positive biases": (0.5, 0.7, 0.1, 1.0),
    "negative biases": (-0.5, -0.7, -0.1, -1.0),
}


def by_formula(x: Tensor, w: Tensor, bias: Tensor | None, relevance: Tensor, alpha: float) -> tuple[Tensor, ...]:
    """Return what the inputs (rows, n) get, and the sums over rows of what biases get and of what nothing takes."""
    bias = torch.zeros(len(w)).to(w) if bias is None else bias
    found, kept, rest = torch.zeros_like(x), torch.zeros(len(x)).to(x), torch.zeros(len(x)).to(x)
    for sign, weight in ((1, alpha), (-1, 1 - alpha)):
        parts = (sign * x[:, None] * w).clamp(min=0)
        constant = (sign * bias).clamp(min=0)
        total = parts.sum(2) + constant
        share = torch.where(total > 0, weight * relevance / total.where(total > 0, 1.0), 0.0)
        found += (share[..., None] * parts).sum(1)
        kept += (share * constant).sum(1)
        rest += torch.where(total > 0, 0.0, weight * relevance).sum(1)
    return found, kept, rest


def by_rule(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    relevance: Tensor,
    alpha: float,
    biases: bool = True,
    call: Call = F.linear,
) -> tuple[Tensor, Ledger]:
    rule = rule_named("alpha_beta", alpha=alpha, beta=alpha - 1, stabilizer=1e-30, biases=biases)
    ledger = Ledger(len(x))
    made = rule(Kernel("linear", x, w, bias, call), ledger)
    with torch.enable_grad():
        (found,) = made.share((x,), relevance)
    return found, ledger


def drawn(seed: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    shapes = ((3, 6), (4, 6), (3, 4))
    return tuple(torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype) for shape in shapes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_shares_are_the_formulas(weights: str, inputs: str, bias: str, alpha: float, dtype: torch.dtype) -> None:
    x, w, relevance = drawn(0, dtype)
    x, w = INPUTS[inputs](x), WEIGHTS[weights](w)
    b = None if BIASES[bias] is None else torch.tensor(BIASES[bias], dtype=dtype)
    near = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    for use in (True, False) if b is not None else (True,):
        found, ledger = by_rule(x, w, b, relevance, alpha, use)
        expected, kept, rest = by_formula(*(x, w, b if use else None, relevance), alpha)
        torch.testing.assert_close(found, expected, **near)
        torch.testing.assert_close(torch.as_tensor(ledger.bias).to(kept).expand(3), kept, **near)
        torch.testing.assert_close(torch.as_tensor(ledger.rest).to(rest).expand(3), rest, **near)


@pytest.mark.parametrize("least", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_small_part_is_no_empty_one(sign: int, least: float) -> None:
    """One contribution against others a thousand to a thousand million times as large takes all of its sign."""
    x, relevance = torch.ones(2, 9, dtype=torch.float64), torch.tensor([[1.0], [-3.0]], dtype=torch.float64)
    w = torch.full((1, 9), -float(sign), dtype=torch.float64)
    w[0, 4] = sign * least
    found, ledger = by_rule(x, w, None, relevance, 2.0)
    of_one, of_others = (2.0, -1 / 8) if sign > 0 else (-1.0, 2 / 8)
    expected = relevance * torch.full((1, 9), of_others, dtype=torch.float64).index_fill(1, torch.tensor([4]), of_one)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert float(torch.as_tensor(ledger.rest).abs().max()) < 1e-12


def in_another_basis(x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """Return the linear layer's output, summed in another basis, as fast convolutions do; its last digits differ."""
    turn, _ = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], generator=torch.Generator().manual_seed(4)))
    return F.linear(x @ turn, w @ turn, bias)


@pytest.mark.parametrize("call", [F.linear, in_another_basis])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("bias", [None, 1e-4])
def test_what_rounding_leaves_of_an_empty_part_takes_nothing(
    bias: float | None, alpha: float, sign: int, call: Call
) -> None:
    """In single precision, a sum and the sum of sizes may differ in the last digits where they should be equal."""
    draw = torch.Generator().manual_seed(3)
    signs = torch.randn(700, generator=draw).sign()
    x, w = signs * torch.rand(16, 700, generator=draw), sign * signs * torch.rand(8, 700, generator=draw)
    apart = sign * call(x, w, None) - call(x.abs(), w.abs(), None)
    assert bool(apart.any()) == (call is in_another_basis)
    b, relevance = None if bias is None else torch.full((8,), -sign * bias), torch.ones(16, 8)
    found, ledger = by_rule(x, w, b, relevance, alpha, call=call)
    expected, kept, rest = by_formula(x.double(), w.double(), None if b is None else b.double(), relevance, alpha)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.as_tensor(ledger.bias).double().expand(16), kept, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.as_tensor(ledger.rest).double().expand(16), rest, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("weights", ["positive weights", "negative weights", "mixed weights"])
def test_through_a_network_of_convolutions(weights: str, alpha: float) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 3, 3), nn.Flatten()).double()
    with torch.no_grad():
        net[0].bias.fill_(2.0)  # so that something passes
        net[2].weight.copy_(WEIGHTS[weights](net[2].weight.transpose(0, 1).flatten(1)).reshape(4, 3, 3).transpose(0, 1))
    x = torch.randn(2, 2, 6, dtype=torch.float64)
    rule = rule_named("alpha_beta", alpha=alpha, beta=alpha - 1, stabilizer=1e-30)
    found = LRP(net, Composite(rule, rule), epsilon=0.0).relevance(x, 5)
    with torch.no_grad():
        hidden = net[1](net[0](x))
        seed = net(x) * F.one_hot(torch.tensor(5), 12)
    expected = seed
    for layer, at in ((net[2], hidden), (net[0], x)):
        matrix = torch.autograd.functional.jacobian(lambda v, layer=layer: layer(v[None]), at[0])
        bias = layer(torch.zeros_like(at[:1])).detach().flatten()
        expected, *_ = by_formula(at.flatten(1), matrix.reshape(len(bias), -1), bias, expected, alpha)
    torch.testing.assert_close(found.attributions.flatten(1), expected, rtol=1e-9, atol=1e-12)
    assert float(found.gap.abs().max()) < 1e-10
