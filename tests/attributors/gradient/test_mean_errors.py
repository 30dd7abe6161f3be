"""Standard errors of means over noise and random points: their intervals hold what endless samples would give."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import nn

from pnpxai.attributors import GradientShap, LayerGradientShap, NoiseTunnel, Saliency
from pnpxai.engine.running.seeds import RandomStream

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)).double().eval()
X, ROWS = torch.randn(2, 6).double(), torch.randn(8, 6).double()
NOISY = NoiseTunnel(Saliency(NET))
POINTS = GradientShap(NET)


@pytest.mark.parametrize(
    ("method", "settings", "count"),
    [
        (NOISY, {"stdevs": 0.4, "abs": False}, "nt_samples"),
        (NOISY, {"stdevs": 0.4, "abs": False, "antithetic": True}, "nt_samples"),
        (NOISY, {"stdevs": 0.4, "abs": False, "last_clean": True}, "nt_samples"),
        (NOISY, {"stdevs": 0.4, "abs": False, "nt_type": "smoothgrad_sq"}, "nt_samples"),
        (POINTS, {"baselines": ROWS}, "n_samples"),
        (LayerGradientShap(NET, "0"), {"baselines": ROWS}, "n_samples"),
    ],
    ids=["noise", "antithetic", "last clean", "squares", "points", "points at a layer"],
)
def test_intervals_cover_the_means_of_many_samples(method, settings, count):
    ids = tuple(str(k) for k in range(400))  # as many independent repetitions, in one batch
    x = X[:1].expand(400, -1)
    outcome = method.attribute_detailed(x, **settings, **{count: 16}, target=0, seed=RandomStream(0, ids))
    bound = stats.t.ppf(0.975, outcome.degrees_of_freedom) * outcome.standard_error
    mean = outcome.attributions.mean(0)
    assert (outcome.attributions.std(0) / outcome.standard_error.mean(0) - 1).abs().max() < 0.25
    covered = ((outcome.attributions - mean).abs() <= bound).double().mean()
    assert 0.92 <= float(covered) <= 0.98


def test_the_size_of_a_pass_does_not_change_an_error():
    whole = NOISY.attribute_detailed(X, nt_samples=12, antithetic=True, target=0)
    parts = NOISY.attribute_detailed(X, nt_samples=12, nt_samples_batch_size=1, antithetic=True, target=0)
    assert torch.allclose(whole.standard_error, parts.standard_error, atol=1e-12)
    assert whole.degrees_of_freedom == 5


@pytest.mark.parametrize("settings", [{"nt_samples": 2}, {"nt_type": "vargrad"}, {"nt_samples": 7, "antithetic": True}])
def test_there_is_no_error_where_draws_do_not_show_it(settings):
    assert NOISY.attribute_detailed(X, **settings, target=0).standard_error is None
    assert POINTS.attribute_detailed(X, baselines=ROWS, n_samples=2, target=0).standard_error is None
