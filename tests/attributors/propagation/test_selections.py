"""DeepLift of what selects values: the largest has the mean gradient along the straight way, ties decide nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors import DeepLift


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Weighed(nn.Module):
    """A selection of the inputs, each selected value with a weight of its own."""

    def __init__(self, selection):
        super().__init__()
        self.selection = selection

    def forward(self, x):
        chosen = self.selection(x).flatten(1)
        return (chosen * torch.linspace(-1, 2, chosen.shape[1]).to(chosen)).sum(1)


LARGEST = {
    "windows of a series": ((2, 9), lambda x: F.max_pool1d(x, 3)),
    "windows that overlap and reach beyond": ((2, 9), lambda x: F.max_pool1d(x, 4, 2, 1, dilation=2, ceil_mode=True)),
    "windows of a picture": ((2, 7, 6), lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=(1, 0))),
    "windows by name": ((2, 7, 6), lambda x: F.max_pool2d(x, kernel_size=3, padding=1, stride=2)),
    "windows of a volume": ((2, 4, 5, 4), lambda x: F.max_pool3d(x, 2, stride=(2, 1, 2), ceil_mode=True)),
    "windows that fit": ((2, 7, 5), lambda x: F.adaptive_max_pool2d(x, (3, 2))),
    "windows that fit a series": ((2, 7), lambda x: F.adaptive_max_pool1d(x, 3)),
    "an axis": ((5, 4), lambda x: x.amax(1)),
    "axes": ((2, 3, 4), lambda x: x.amin((1, -1))),
    "everything of an example": ((6,), lambda x: torch.stack([row.max() for row in x])[:, None]),
    "of two": ((6,), lambda x: torch.maximum(x, x.flip(1).square())),
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_has_the_mean_gradient_along_the_straight_way(name):
    shape, selection = LARGEST[name]
    model, x, start = Weighed(selection), drawn(3, *shape), drawn(3, *shape, seed=1)
    found, delta = DeepLift(model).attribute(x, start, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    steps = 2000 if name != "of two" else 0  # the square has a slope, not the mean of its derivatives
    leaves = [(start + (k + 0.5) / steps * (x - start)).requires_grad_() for k in range(steps)]
    if steps:
        every = torch.cat(leaves)
        mean = torch.autograd.grad(model(every).sum(), leaves)
        mean = torch.stack(mean).mean(0) * (x - start)
        assert torch.allclose(found, mean, atol=5e-3 * float(mean.abs().max()))


@pytest.mark.parametrize("name", LARGEST)
def test_ties_at_the_baseline_decide_nothing(name):
    """Rounding says which of equal values is the largest; the map does not follow it."""
    shape, selection = LARGEST[name]
    model, x = Weighed(selection), drawn(3, *shape)
    equal = torch.full_like(x, 0.3)
    maps = [DeepLift(model).attribute(x, equal + 1e-15 * drawn(3, *shape, seed=seed)) for seed in (1, 2)]
    assert torch.allclose(*maps, atol=1e-10)


@pytest.mark.parametrize(
    "selection",
    [
        lambda x: x.sort(1).values,
        lambda x: x.topk(3).values,
        lambda x: x.kthvalue(2, 1).values[:, None],
        lambda x: x.median(1, keepdim=True).values,
        lambda x: x.cummax(1).values,
    ],
    ids=["sort", "topk", "kthvalue", "median", "cummax"],
)
def test_ties_decide_nothing_of_what_is_selected_by_rank(selection):
    model, x = Weighed(selection), drawn(3, 6)
    equal = torch.full_like(x, 0.3)
    found = [DeepLift(model).attribute(x, equal + 1e-16 * drawn(3, 6, seed=seed).clamp(-2, 2)) for seed in (1, 2)]
    assert torch.allclose(*found, atol=1e-12)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).sum(), leaf)
    assert torch.allclose(found[0], gradient * (x - 0.3), atol=1e-12)  # each rank is where it is
