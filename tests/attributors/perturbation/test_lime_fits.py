"""Standard errors of LIME's weights: their intervals hold what endless samples would give."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from torch import nn

from pnpxai.attributors import Lime
from pnpxai.attributors.perturbation.designs import every_coalition
from pnpxai.attributors.perturbation.similarity import ExponentialKernel
from pnpxai.engine.running.seeds import RandomStream

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1)).double().eval()
X = torch.randn(1, 5).double() * 2


def test_intervals_cover_the_fit_to_all_sets():
    every = every_coalition(5).double()
    weights = torch.stack([torch.as_tensor(ExponentialKernel()(X, X * z, z[None])) for z in every]).reshape(-1)
    with torch.no_grad():
        scores = NET(every * X)[:, 0]
    exact = torch.as_tensor(LinearRegression().fit(every.numpy(), scores.numpy(), weights.numpy()).coef_)
    ids = tuple(map(str, range(400)))
    lime = Lime(NET, LinearRegression())
    outcome = lime.attribute_detailed(X.expand(400, -1), n_samples=40, target=0, seed=RandomStream(0, ids))
    bound = stats.t.ppf(0.975, outcome.degrees_of_freedom) * outcome.standard_error
    assert 0.93 <= float(((outcome.attributions - exact).abs() <= bound).double().mean()) <= 0.97


@pytest.mark.parametrize("model", [None, Lasso(0.01), Ridge(1.0), LinearRegression(positive=True)])
def test_a_penalty_has_no_error(model):
    assert Lime(NET, model).attribute_detailed(X, n_samples=40, target=0).standard_error is None


def test_too_few_samples_have_no_error():
    assert Lime(NET, LinearRegression()).attribute_detailed(X, n_samples=7, target=0).standard_error is None
