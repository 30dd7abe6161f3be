"""Samples are drawn for each example until its error is within the tolerance."""

from __future__ import annotations

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.explainers import RISE, GradientShap, KernelShap, ShapleyValues, ShapleyValueSampling, SmoothGrad
from pnpxai.explainers.ensemble import Ensemble
from pnpxai.testing.zoo import CASES

torch.manual_seed(0)
NET = torch.nn.Sequential(torch.nn.Linear(14, 24), torch.nn.Tanh(), torch.nn.Linear(24, 2)).double().eval()
X = torch.randn(3, 14).double() * torch.tensor([[0.3], [2.0], [1.0]]).double()
EXPLAINERS = {
    KernelShap: {"n_samples": 30},
    ShapleyValues: {"n_samples": 40},
    ShapleyValueSampling: {"n_samples": 2},
    RISE: {"n_masks": 50},
    SmoothGrad: {"n_iter": 5},
    GradientShap: {"n_samples": 5},
}
each = pytest.mark.parametrize(
    ("kind", "settings"), EXPLAINERS.items(), ids=lambda value: getattr(value, "__name__", "")
)


@each
def test_an_example_stops_when_its_error_is_within_the_tolerance_alone_as_in_a_batch(kind, settings):
    explainer = kind(NET, **settings, tolerance=0.1)
    found = explainer.explain(X, [0, 1, 1])
    (error,), (values,), used = found.standard_error, found.attributions, found.used[kind.draws]
    assert bool((error.norm(dim=1) <= 0.1 * values.norm(dim=1) + 1e-12).all())
    assert bool(((used == 0) | (used >= next(iter(settings.values())))).all())
    assert kind.draws in repr(found)
    assert not any("tolerance" in warning for warning in found.warnings)
    alone = explainer.explain(X[1:2], [1])
    assert torch.allclose(values[1:2], alone.attributions[0], atol=1e-10)
    assert alone.used[kind.draws] == used[1:2]
    assert torch.allclose(explainer.attribute(X, [0, 1, 1]), values, atol=1e-12)


def test_what_is_not_reached_is_said_first():
    noise = lambda rows: torch.sin(1e4 * rows.sum(1, keepdim=True))  # noqa: E731
    found = RISE(noise, n_masks=3, tolerance=1e-3).explain(X[:2], 0)
    assert "tolerance: the standard error of examples 0, 1 is above 0.001" in found.warnings[0]
    assert found.used["n_masks"].tolist() == [192, 192]


def test_noise_of_an_example_that_is_not_run_again_is_still_said():
    """The first example's values are large and alike: they are within the tolerance, but not told from noise."""
    x = torch.randn(2, 14, generator=torch.Generator().manual_seed(0)).double() * 0.1 + torch.tensor([[10.0], [0.1]])
    noisy = lambda rows: (rows.sum(1) + torch.sin(1e4 * rows.sum(1)))[:, None]  # noqa: E731
    found = KernelShap(noisy, n_samples=40, tolerance=0.1).explain(x, 0)
    first, second = found.used["n_samples"].tolist()
    assert first <= 40 < second
    noise = [warning for warning in found.warnings if "cannot be told from noise" in warning]
    assert len(noise) == 1
    alone = [
        bool(KernelShap(noisy, n_samples=n).explain(row[None], 0).warnings)
        for n, row in zip((40, second), x, strict=True)
    ]
    assert f"values of {sum(alone)} of 2 examples" in noise[0]
    assert alone[0]


def test_all_coalitions_meet_every_tolerance():
    case = CASES["mlp"]()
    found = ShapleyValues(case.model, tolerance=1e-9).explain(case.inputs, case.targets)
    assert found.standard_error is None
    assert found.used["n_samples"].tolist() == [0, 0, 0]


def test_tolerances_that_cannot_be_kept_are_refused():
    with pytest.raises(ArgumentError, match="tolerance"):
        KernelShap(NET, tolerance=0.0)
    with pytest.raises(ArgumentError, match="has a tolerance; give it a number of samples"):
        Ensemble(NET, explainers=(RISE(NET, tolerance=0.1),))
