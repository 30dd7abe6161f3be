"""Curves and imputation against loops in NumPy and SciPy that are written from the papers, on colour pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr
from torch import Tensor, nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.metrics.base import Metric
from pnpxai.metrics.faithfulness.erasure import Comprehensiveness, Sufficiency
from pnpxai.metrics.faithfulness.flipping import AbPC, LeRF, MoRF
from pnpxai.metrics.faithfulness.imputation import Linear
from pnpxai.metrics.faithfulness.insertion import Deletion, Insertion, InsertionDeletion
from pnpxai.metrics.faithfulness.road import ROAD
from pnpxai.metrics.rank_correlation import average_ranks, spearman
from tests.metrics.faithfulness.test_imputation import exact

SIDE, STEPS = 5, 6
DRAW = torch.Generator().manual_seed(3)
X = torch.rand(2, 3, SIDE, SIDE, dtype=torch.float64, generator=DRAW) + 0.2
MAPS = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64, generator=DRAW)
TARGETS = [2, 0]
SHARES = (0.04, 0.3, 0.6)
Values = np.ndarray


@pytest.fixture(scope="module")
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        parts = nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)
        return nn.Sequential(*parts).double().eval()


def _probability(net: nn.Module, picture: Values, target: int) -> float:
    """The target's share of the exponentials of all scores."""
    scores = np.exp(net(torch.tensor(picture)[None])[0].detach().numpy())
    return scores[target] / scores.sum()


def _ranked(maps: Values, *, most: bool) -> list[tuple[int, int]]:
    """Pixels (y, x) by the sum of their channels."""
    total = maps.sum(0)
    places = [(y, x) for y in range(SIDE) for x in range(SIDE)]
    return sorted(places, key=lambda place: total[place], reverse=most)


def _emptied(picture: Values, pixels: list[tuple[int, int]]) -> Values:
    found = picture.copy()
    for y, x in pixels:
        found[:, y, x] = 0
    return found


def _curve(net: nn.Module, k: int, counts: list[int], *, most: bool = True, keep: bool = False) -> list[float]:
    """Probabilities without the first pixels (or with them alone)."""
    picture, ranked = X[k].numpy(), _ranked(MAPS[k].numpy(), most=most)
    return [_probability(net, _emptied(picture, ranked[n:] if keep else ranked[:n]), TARGETS[k]) for n in counts]


COUNTS = [round(SIDE**2 * k / (STEPS - 1)) for k in range(STEPS)]
FEW = [round(SIDE**2 * share) for share in SHARES]


def _morf(net: nn.Module, k: int) -> float:
    return float(np.mean(_curve(net, k, COUNTS)))


def _lerf(net: nn.Module, k: int) -> float:
    return float(np.mean(_curve(net, k, COUNTS, most=False)))


def _area(net: nn.Module, k: int, *, keep: bool) -> float:
    return float(np.trapezoid(_curve(net, k, COUNTS, keep=keep), np.linspace(0, 1, STEPS)))


def _lost(net: nn.Module, k: int, *, keep: bool) -> float:
    return _probability(net, X[k].numpy(), TARGETS[k]) - float(np.mean(_curve(net, k, FEW, keep=keep)))


Oracle = Callable[[nn.Module, int], float]
ORACLES: list[tuple[type[Metric], dict[str, object], Oracle]] = [
    (MoRF, {"n_steps": STEPS}, _morf),
    (LeRF, {"n_steps": STEPS}, _lerf),
    (AbPC, {"n_steps": STEPS}, lambda net, k: _lerf(net, k) - _morf(net, k)),
    (Deletion, {"n_steps": STEPS}, lambda net, k: _area(net, k, keep=False)),
    (Insertion, {"n_steps": STEPS, "baseline_fn": "zeros"}, lambda net, k: _area(net, k, keep=True)),
    (
        InsertionDeletion,
        {"n_steps": STEPS, "insertion_fn": "zeros"},
        lambda net, k: _area(net, k, keep=True) - _area(net, k, keep=False),
    ),
    (Comprehensiveness, {"fractions": SHARES}, lambda net, k: _lost(net, k, keep=False)),
    (Sufficiency, {"fractions": SHARES}, lambda net, k: _lost(net, k, keep=True)),
    (ROAD, {"fractions": SHARES, "baseline_fn": "zeros"}, lambda net, k: float(np.mean(_curve(net, k, FEW)))),
]


@pytest.mark.parametrize(("metric", "settings", "oracle"), ORACLES, ids=lambda part: getattr(part, "__name__", ""))
def test_pixels_of_three_channels_go_one_after_the_other(
    metric: type[Metric], settings: dict[str, object], oracle: Oracle, net: nn.Module
) -> None:
    found = metric(net, **settings).evaluate(X, TARGETS, MAPS)  # type: ignore[call-arg]
    assert found.tolist() == pytest.approx([oracle(net, k) for k in range(2)])


def test_road_fills_in_as_the_exact_solution_does(net: nn.Module) -> None:
    """Every channel by itself, with the equations of the paper."""
    found = ROAD(net, fractions=SHARES, baseline_fn=Linear(noise=0.0, n_iter=400)).measure(X, TARGETS, MAPS)
    for k in range(2):
        ranked, curve = _ranked(MAPS[k].numpy(), most=True), []
        for count in FEW:
            gone = np.zeros((SIDE, SIDE), dtype=bool)
            gone[tuple(zip(*ranked[:count], strict=True))] = True
            filled = np.stack([exact(channel, gone) for channel in X[k].numpy()])
            curve.append(_probability(net, filled, TARGETS[k]))
        assert found.curves["road"][k].tolist() == pytest.approx(curve, abs=1e-6)
        assert found.values[k].item() == pytest.approx(np.mean(curve), abs=1e-6)


def test_what_is_removed_grows_evenly_to_the_very_end() -> None:
    """No last step that takes all that is left."""
    seen: list[Tensor] = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            is_probe() or seen.append(x.clone())
            return x.flatten(1).sum(1, keepdim=True)

    x = torch.ones(1, 1, 10, 10)
    MoRF(Watch()).measure(x, None, torch.rand(1, 1, 10, 10))
    gone = sorted((torch.cat(seen) == 0).flatten(1).sum(1).tolist())
    assert gone == [round(100 * k / 9) for k in range(10)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ranks_of_a_large_picture_are_those_of_scipy(dtype: torch.dtype) -> None:
    """Most values of a heavy-tailed map lie close together; they are no ties for that."""
    draw = torch.Generator().manual_seed(0)
    one = torch.randn(50_000, generator=draw, dtype=torch.float64)
    other = one + 0.5 * torch.randn(50_000, generator=draw, dtype=torch.float64)
    one, other = (v.abs().pow(3).to(dtype) for v in (one, other))
    found, defined = spearman(one[None], other[None])
    assert defined == [True]
    assert found.item() == pytest.approx(spearmanr(one, other).statistic, abs=2e-4)


def test_values_that_differ_by_rounding_share_their_rank() -> None:
    values = torch.tensor([[0.3, 1e-9, 0.1 + 0.2 - 0.3, 0.0, -1e-17, 0.1 + 0.2]], dtype=torch.float64)
    assert average_ranks(values).tolist() == [[5.5, 4.0, 2.0, 2.0, 2.0, 5.5]]
    assert average_ranks(torch.zeros(1, 3)).tolist() == [[2.0, 2.0, 2.0]]
    # gaps are smaller than what is told apart
    even = torch.arange(1000, dtype=torch.float64)[None] * 1e-10 + torch.tensor([[1e3]])
    assert len(average_ranks(even).unique()) == pytest.approx(1000 * 1e-10 / (1e3 * 2.2e-16**0.8), rel=0.3)
    mixed = torch.tensor([[3.0, -1.0, 3.0, 2.0]])
    assert average_ranks(mixed)[0].tolist() == rankdata(mixed[0]).tolist()
