"""Sensors of a series are positions of their own: a map of the right one is worth more than its copy on all."""

import pytest
import torch
from torch import nn

from pnpxai.errors import ShapeError
from pnpxai.explainers import RISE
from pnpxai.metrics import (
    AbPC,
    Complexity,
    FaithfulnessCorrelation,
    MoRF,
    MuFidelity,
    MultiScaleCorrelation,
    RelevanceRankAccuracy,
)
from pnpxai.metrics.positions import sensors_apart
from pnpxai.strategies import Patches

SENSOR, EVENT = 1, slice(4, 9)


class OneSensor(nn.Module):
    """Two classes, by the sum of a few steps of the second of three sensors."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = x[:, SENSOR, EVENT].sum(1)
        return torch.stack([score, -score], 1)


def _series(n: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x = torch.rand(n, 3, 16, generator=torch.Generator().manual_seed(0)) + 0.5
    right = torch.zeros_like(x)
    right[:, SENSOR, EVENT] = x[:, SENSOR, EVENT]
    return x, torch.zeros(n, dtype=torch.long), right


@pytest.mark.parametrize("metric", [AbPC, FaithfulnessCorrelation, MuFidelity, MoRF, MultiScaleCorrelation])
def test_a_copy_on_all_sensors_is_worth_less(metric: type) -> None:
    x, targets, right = _series()
    copied = right.sum(1, keepdim=True).expand_as(x).clone()
    own, copy, joint = (metric(OneSensor()).evaluate(x, targets, maps) for maps in (right, copied, right.sum(1)))
    assert own.mean() > copy.mean() if metric.higher_is_better else own.mean() < copy.mean()
    torch.testing.assert_close(joint, copy)  # a map without sensors says the same of each
    together = metric(OneSensor(), each_channel=False)
    torch.testing.assert_close(together.evaluate(x, targets, right), together.evaluate(x, targets, copied))


def test_windows_do_not_span_sensors() -> None:
    x, targets, right = _series()
    metric = FaithfulnessCorrelation(OneSensor(), feature_mask_fn=Patches(size=5), baseline_fn="zeros")
    values = metric.evaluate(x, targets, right)
    torch.testing.assert_close(values, torch.ones_like(values))  # linear, so that sums are losses


def test_what_is_known_without_sensors_is_compared_without_them() -> None:
    x, targets, right = _series()
    steps = (right != 0).any(1)
    metric = RelevanceRankAccuracy(OneSensor())
    assert metric.evaluate(x, targets, right, masks=steps).tolist() == [1.0] * len(x)
    assert metric.evaluate(x, targets, right, masks=right != 0).tolist() == [1.0] * len(x)
    copied = right.sum(1, keepdim=True).expand_as(x)
    assert metric.evaluate(x, targets, copied, masks=right != 0).max() < 0.5
    with pytest.raises(ShapeError, match="masks"):
        metric.evaluate(x, targets, right, masks=steps[:, :3])


def test_complexity_counts_each_sensor() -> None:
    x, targets, right = _series()
    one, all_of = (Complexity(OneSensor()).evaluate(x, targets, m) for m in (right, right.sum(1)))
    torch.testing.assert_close(all_of - one, torch.full_like(one, 3.0).log())


def test_only_numbers_with_channels_first_are_series_by_default() -> None:
    series, picture, table = torch.rand(2, 3, 8), torch.rand(2, 3, 8, 8), torch.rand(2, 3)
    assert sensors_apart((series, picture, table), 1, None) == (True, False, False)
    assert sensors_apart((series,), -1, None) == (False,)
    assert sensors_apart((series, picture, table), -1, True) == (True, True, False)
    assert sensors_apart((series, series.long()), None, None) == (False, False)


def test_masks_of_each_channel_find_the_sensor() -> None:
    x, targets, right = _series()
    net = OneSensor()
    apart, shared = (RISE(net, each_channel=own).attribute(x, targets) for own in (True, False))
    assert torch.equal(shared[:, 0], shared[:, SENSOR])
    share = [float((m[:, SENSOR].sum(1) / m.clamp(min=0).sum((1, 2))).mean()) for m in (apart, shared)]
    assert share[0] > 2 * share[1]
    assert RISE(net, each_channel=True).cost(x) == RISE(net).cost(x)
