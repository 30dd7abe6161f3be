"""What a metric follows is a probability where there are classes, once, and the output as it is elsewhere."""

import pytest
import torch
from torch import nn

from pnpxai.metrics import AbPC, Deletion, MoRF
from pnpxai.metrics.faithfulness.removal import probability


def _rows(n: int, d: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _net(end: nn.Module | None = None) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    if end is not None:
        net.append(end)
    return net.eval()


@pytest.mark.parametrize("metric", [MoRF, AbPC, Deletion])
def test_a_softmax_at_the_end_changes_nothing(metric: type) -> None:
    x, maps, targets = _rows(8, 6), _rows(8, 6, 2), torch.arange(8) % 3
    for dtype in (torch.float32, torch.bfloat16):
        nets = (_net().to(dtype), _net(nn.Softmax(1)).to(dtype))
        logits, ended = (metric(net).evaluate(x.to(dtype), targets, maps) for net in nets)
        torch.testing.assert_close(ended, logits, atol=1e-5 if dtype == torch.float32 else 0.02, rtol=0)


def test_a_sigmoid_at_the_end_is_followed_as_it_is() -> None:
    x, maps, net = _rows(8, 6), _rows(8, 6, 2), _net(nn.Sigmoid())
    start = MoRF(net).measure(x, torch.arange(8) % 3, maps).curves["morf"][:, 0]
    torch.testing.assert_close(start, net(x).gather(1, (torch.arange(8) % 3)[:, None])[:, 0].detach())


def test_classes_of_a_picture_are_on_the_second_axis() -> None:
    scores = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(probability(scores), scores.softmax(1))
    torch.testing.assert_close(probability(probability(scores)), scores.softmax(1))


@pytest.mark.parametrize(
    "target", [None, lambda output: 100 * (output[:, 0] - output[:, 1])], ids=["output", "contrast"]
)
def test_a_reversed_map_is_as_bad_as_the_right_one_is_good(target: object) -> None:
    """On a linear score a map and its negative have opposite areas, whatever the unit: nothing is clamped."""
    net = nn.Linear(18, 1 if target is None else 2, bias=False)
    x = _rows(6, 18)
    weight = net.weight[0] if target is None else net.weight[0] - net.weight[1]
    right = (weight * x).detach()
    good, bad = (AbPC(net).evaluate(x, target, maps) for maps in (right, -right))
    torch.testing.assert_close(good, -bad)
    net.weight.data *= 1000
    torch.testing.assert_close(AbPC(net).evaluate(x, target, right), good * 1000, rtol=1e-4, atol=0)


def test_a_bound_holds_where_it_is_asked_for() -> None:
    net, x = nn.Linear(18, 1, bias=False), _rows(6, 18)
    worst = -(net.weight * x).detach() * 100
    assert AbPC(net, lb=-0.01).evaluate(x, None, worst).min() >= -0.01


class Summed(nn.Module):
    """Adds up what a mask, given by position, leaves of each row."""

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        total = (x * attention_mask).sum(1)
        return torch.stack([total, -total], 1)


class Padded(nn.Module):
    """The same, with torch's word for what is left out."""

    def forward(self, x: torch.Tensor, key_padding_mask: torch.Tensor) -> torch.Tensor:
        total = (x * ~key_padding_mask).sum(1)
        return torch.stack([total, -total], 1)


@pytest.mark.parametrize("net", [Summed(), Padded()], ids=["attention_mask", "key_padding_mask"])
def test_padding_given_by_position_is_no_feature(net: nn.Module) -> None:
    x, mask = _rows(5, 10), torch.ones(5, 10, dtype=torch.bool)
    mask[:, 7:] = False
    given = mask if isinstance(net, Summed) else ~mask
    metric = AbPC(net, forward_arg_extractor=lambda i: i[0], additional_forward_arg_extractor=lambda i: i[1])
    maps = torch.where(mask, x, 100.0)  # what a map says of padding does not count
    padded = metric.evaluate((x, given), 0, maps)
    short = AbPC(net, forward_arg_extractor=lambda i: i[0], additional_forward_arg_extractor=lambda i: i[1])
    torch.testing.assert_close(padded, short.evaluate((x[:, :7], given[:, :7]), 0, maps[:, :7]))
