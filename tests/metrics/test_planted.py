"""What a metric is for: a planted right map beats a random one, and a random one beats the right one reversed."""

import pytest
import torch
from torch import nn

from pnpxai.explainers.gradient import GradientXInput
from pnpxai.metrics.base import Metric
from pnpxai.registry import every

FAITHFUL = [m for m in every(Metric, within="pnpxai.") if m.category == "faithfulness"]


class Planted(nn.Module):
    """Two classes; three known pixels speak for the second."""

    PIXELS = (5, 10, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        evidence = x.flatten(1)[:, list(self.PIXELS)] @ torch.tensor([1.0, 2.0, 3.0], dtype=x.dtype)
        return torch.stack([-evidence, evidence], 1)


@pytest.mark.parametrize("metric", FAITHFUL, ids=lambda m: m.__name__)
def test_right_beats_random_beats_reversed(metric: type[Metric]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(24, 1, 4, 4, dtype=torch.float64, generator=generator) + 0.1
    right = torch.zeros(24, 16, dtype=torch.float64)
    right[:, list(Planted.PIXELS)] = (
        torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) * x.flatten(1)[:, list(Planted.PIXELS)]
    )
    right = right.reshape_as(x)
    random = torch.randn(x.shape, dtype=torch.float64, generator=generator)
    judge = metric(Planted())
    sign = 1 if metric.higher_is_better else -1
    scores = [sign * judge.evaluate(x, 1, maps).mean().item() for maps in (right, random, -right)]
    assert scores[0] > scores[1] > scores[2]


def test_the_other_metrics_order_maps_as_they_say() -> None:
    others = {m.__name__ for m in every(Metric, within="pnpxai.")} - {m.__name__ for m in FAITHFUL}
    assert others == {"Complexity", "Sensitivity"}, "give a new metric an ordering of its own, here or in its test"


def test_values_do_not_depend_on_batch_mates() -> None:
    x = torch.rand(5, 1, 4, 4, dtype=torch.float64)
    model = Planted()
    maps = torch.randn(5, 1, 4, 4, dtype=torch.float64)
    for metric in every(Metric, within="pnpxai."):
        judge = metric(model, GradientXInput(model))
        whole = judge.evaluate(x, 1, maps)
        mixed = judge.evaluate(torch.cat([100 * x[:1], x[3:4]]), 1, torch.cat([100 * maps[:1], maps[3:4]]))
        assert torch.allclose(whole[3], mixed[1], atol=1e-10), metric.__name__
