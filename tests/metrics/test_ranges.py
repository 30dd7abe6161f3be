"""The ranges that the docs give, and what changes no value, over maps of any kind."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pnpxai.declare.registry import every
from pnpxai.explainers.gradient.saliency import GradientXInput
from pnpxai.metrics.base import Metric
from tests.mirror import stated

METRICS = every(Metric, within="pnpxai.")
UNIT, SIGNED, POSITIVE = (0, 1), (-1, 1), (0, math.inf)
RANGES = {
    **dict.fromkeys(("MoRF", "LeRF", "Deletion", "Insertion", "ROAD", "Infidelity"), UNIT),
    **dict.fromkeys(("AbPC", "InsertionDeletion", "Comprehensiveness", "Sufficiency"), SIGNED),
    **dict.fromkeys(("FaithfulnessCorrelation", "MuFidelity", "SensitivityN", "MPRT", "RandomLogit"), SIGNED),
    **dict.fromkeys(("Sensitivity", "AvgSensitivity", "LocalLipschitz", "RelativeOutputStability"), POSITIVE),
    **dict.fromkeys(("RelevanceRankAccuracy", "RelevanceMassAccuracy", "PointingGame"), UNIT),
    **dict.fromkeys(("AUROC", "AveragePrecision"), UNIT),
    "Complexity": (0, math.log(16)),
    "Sparseness": (0, 1 - 1 / 16),
    "CompletenessError": POSITIVE,
    "EfficientMPRT": (-1, math.inf),
    "MultiScaleCorrelation": (-1, 1),
}
OF_SCALE = {"CompletenessError", "Sensitivity", "AvgSensitivity", "LocalLipschitz", "RelativeOutputStability"}
"""These compare the map with numbers of another scale, or with maps made anew."""
FEWER = {"n_iter": 2, "n_steps": 4, "n_runs": 5, "n_perturb": 8, "n_stages": 2}

numbers = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1e3, 1e3).filter(lambda v: abs(v) > 1e-3))
maps = st.lists(numbers, min_size=32, max_size=32).map(
    lambda values: torch.tensor(values, dtype=torch.float64).reshape(2, 1, 4, 4)
)


def _model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 3)).double()


MODEL = _model()
X = torch.rand(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
MASKS = torch.zeros(2, 4, 4, dtype=torch.bool)
MASKS[:, 1:3, :2] = True


def _values(metric: type[Metric], attributions: Tensor) -> Tensor:
    made = metric(MODEL, GradientXInput(MODEL), **{k: v for k, v in FEWER.items() if k in metric._fields})
    return made.evaluate(X, 1, attributions, masks=MASKS)


def _range_of(metric: type[Metric]) -> tuple[float, float]:
    """Return the range stated here or in the metric's own test file."""
    return RANGES.get(metric.__name__) or stated(metric, "RANGES")


def test_every_metric_has_a_range() -> None:
    assert all(_range_of(metric) for metric in METRICS)
    assert {m.__name__ for m in METRICS} >= set(RANGES)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
@settings(max_examples=15)
@given(attributions=maps)
def test_values_stay_in_their_range(metric: type[Metric], attributions: Tensor) -> None:
    low, high = _range_of(metric)
    values = _values(metric, attributions)
    defined = values[~values.isnan()]
    assert ((defined >= low - 1e-9) & (defined <= high + 1e-9)).all()


@pytest.mark.parametrize("metric", [m for m in METRICS if m.__name__ not in OF_SCALE], ids=lambda m: m.__name__)
@settings(max_examples=10)
@given(attributions=maps, scale=st.sampled_from([2.0**-20, 0.5, 8.0, 2.0**30]))
def test_the_scale_of_a_map_changes_nothing(metric: type[Metric], attributions: Tensor, scale: float) -> None:
    """By powers of two, which are exact."""
    one, other = _values(metric, attributions), _values(metric, scale * attributions)
    assert torch.allclose(one, other, atol=1e-9, equal_nan=True)
