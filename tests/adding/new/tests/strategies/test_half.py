"""Half of an input."""

import torch
from pnpxai.strategies.half import Half

from pnpxai.explainers import IntegratedGradients
from pnpxai.testing import StrategyContract


class TestContract(StrategyContract):
    strategy = Half


def test_a_path_from_half_has_half_the_gain():
    model, x = torch.nn.Linear(4, 2), torch.randn(3, 4)
    whole, half = (IntegratedGradients(model, baseline_fn=b).attribute(x, 1) for b in ("zeros", "half"))
    assert torch.allclose(half, whole / 2, atol=1e-6)
    assert "half" in IntegratedGradients.get_tunables()["baseline_fn"][1]["choices"]
