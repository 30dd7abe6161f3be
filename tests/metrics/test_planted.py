"""A right map beats a random one, and that one the right one reversed; the other metrics order as they say."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pnpxai.declare.registry import every
from pnpxai.explainers.controls import InputOnly, RandomMap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.metrics.base import Metric
from pnpxai.metrics.faithfulness.imputation import Constant
from pnpxai.strategies.baselines import GaussianBlur
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.feature_masks import FeatureMask, Grid, Patches
from tests.mirror import stated

METRICS = every(Metric, within="pnpxai.")
PLANTED = [m for m in METRICS if m.category in ("faithfulness", "localisation")]
PIXELS = (18, 21, 42)
WEIGHTS = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


class Planted(nn.Module):
    """Two classes; three known pixels speak for the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        evidence = 0.3 * (x.flatten(1)[:, list(PIXELS)] @ WEIGHTS.to(x))
        return torch.stack([-evidence, evidence], 1)


def _pictures(n: int) -> torch.Tensor:
    """Dark noise with three bright pixels."""
    generator = torch.Generator().manual_seed(0)
    x = 0.2 * torch.rand(n, 64, dtype=torch.float64, generator=generator)
    x[:, list(PIXELS)] += 1 + torch.rand(n, 3, dtype=torch.float64, generator=generator)
    return x.reshape(n, 1, 8, 8)


def _planted(metric: type[Metric], n: int = 100, **settings: object) -> list[float]:
    """Return means for the right map, a random one and the right one reversed, turned so that more is better."""
    x = _pictures(n)
    right = torch.zeros(n, 64, dtype=torch.float64)
    right[:, list(PIXELS)] = WEIGHTS * x.flatten(1)[:, list(PIXELS)]
    masks = (right > 0).reshape_as(x)
    right = right.reshape_as(x)
    random = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    judge = metric(Planted(), **settings)  # type: ignore[arg-type]
    sign = 1 if metric.higher_is_better else -1
    return [
        sign * judge.evaluate(x, 1, maps, masks=masks).nan_to_num(0).mean().item() for maps in (right, random, -right)
    ]


@pytest.mark.parametrize("metric", PLANTED, ids=lambda m: m.__name__)
def test_right_beats_random_beats_reversed(metric: type[Metric]) -> None:
    right, random, turned = _planted(metric)
    assert right > random > turned


REMOVING = [m for m in PLANTED if "feature_mask_fn" in m._fields]
STAND_INS = {
    "constant": Constant(value=0.1),
    "mean": "mean",
    "blur": GaussianBlur(kernel_size_x=7, kernel_size_y=7, sigma_x=3.0, sigma_y=3.0),
    "noise": "uniform",
    "marginal": Background(examples=0.2 * torch.rand(5, 1, 8, 8, dtype=torch.float64)),
    "linear": "linear",
}


@pytest.mark.parametrize("name", STAND_INS)
@pytest.mark.parametrize("metric", REMOVING, ids=lambda m: m.__name__)
def test_so_it_does_whatever_stands_in(metric: type[Metric], name: str) -> None:
    right, random, turned = _planted(metric, 30, baseline_fn=STAND_INS[name])
    assert right > random > turned


@pytest.mark.parametrize("mask", [Patches(size=2), Grid(cells=4)], ids=["patches", "grid"])
@pytest.mark.parametrize("metric", REMOVING, ids=lambda m: m.__name__)
def test_so_it_does_for_larger_features(metric: type[Metric], mask: FeatureMask) -> None:
    right, random, turned = _planted(metric, feature_mask_fn=mask)
    assert right > random > turned


def _maps(*values: torch.Tensor) -> list[torch.Tensor]:
    return [v.double().expand(4, 1, 8, 8) for v in values]


def _one_pixel() -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(5), 64).reshape(8, 8)


def _by_maps(metric: type[Metric]) -> list[float]:
    judge = metric(Planted())
    half = torch.linspace(0, 1, 64).reshape(8, 8)
    return [judge.evaluate(_pictures(4), 1, m).mean().item() for m in _maps(_one_pixel(), half, torch.ones(8, 8))]


def _by_explainers(metric: type[Metric], model: nn.Module, *explainers: object) -> list[float]:
    x = _pictures(4).to(next(model.parameters()))
    found = [metric(model, e(model)).measure(x, 1) for e in explainers]  # type: ignore[operator]
    return [f.values.mean().item() for f in found]


def _trained() -> nn.Module:
    """Reads the three pixels of its two classes, with a bend; all other weights are next to nothing."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Softplus(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(0.01)
        for k, pixel in enumerate(PIXELS):
            net[1].weight[k, pixel] = 2.0
            net[1].weight[3 + k, pixel + 8] = 2.0
            net[3].weight[1, k], net[3].weight[0, 3 + k] = 1.0, 1.0
    return net


def _completeness(metric: type[Metric]) -> list[float]:
    return _by_explainers(metric, _trained(), lambda m: IntegratedGradients(m, n_steps=50), GradientXInput, RandomMap)


def _stability(metric: type[Metric]) -> list[float]:
    return _by_explainers(metric, _trained(), IntegratedGradients, RandomMap)


ORDERINGS = {
    "Complexity": _by_maps,
    "Sparseness": _by_maps,
    "CompletenessError": _completeness,
    "Sensitivity": _stability,
    "AvgSensitivity": _stability,
    "LocalLipschitz": _stability,
    "RelativeOutputStability": _stability,
    "MPRT": lambda metric: _by_explainers(metric, _trained(), Gradient, InputOnly),
    "EfficientMPRT": lambda metric: _by_explainers(metric, _trained(), Gradient, InputOnly),
    "RandomLogit": lambda metric: _by_explainers(metric, _trained(), Gradient, InputOnly),
}
"""For each other metric, values from the best to the worst."""


OTHERS = [m for m in METRICS if m not in PLANTED]


def _ordering_of(metric: type[Metric]) -> Callable[[type[Metric]], list[float]]:
    """Return the ordering stated here or in the metric's own test file."""
    return ORDERINGS.get(metric.__name__) or stated(metric, "ORDERINGS")


def test_every_other_metric_has_an_ordering() -> None:
    assert all(_ordering_of(metric) for metric in OTHERS)
    assert {metric.__name__ for metric in OTHERS} >= set(ORDERINGS)


@pytest.mark.parametrize("metric", OTHERS, ids=lambda m: m.__name__)
def test_the_other_metrics_order_as_they_say(metric: type[Metric]) -> None:
    values = _ordering_of(metric)(metric)
    assert values == sorted(values, reverse=metric.higher_is_better)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_values_do_not_depend_on_batch_mates(metric: type[Metric]) -> None:
    model = _trained()
    x = _pictures(5)
    maps = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    masks = maps > 0.3
    judge = metric(model, GradientXInput(model))
    whole = judge.evaluate(x, 1, maps, masks=masks)
    mates = torch.tensor([0, 3])
    other = torch.tensor([100.0, 1.0]).reshape(2, 1, 1, 1)
    mixed = judge.evaluate(other * x[mates], 1, other * maps[mates], masks=masks[mates])
    assert torch.allclose(whole[3], mixed[1], atol=1e-10)
