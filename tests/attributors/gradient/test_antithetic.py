"""Noise in pairs of opposite sign: what is odd in the noise cancels, and means get more exact."""

import pytest
import torch
from torch import nn

from pnpxai.attributors import NoiseTunnel, Saliency

pytestmark = pytest.mark.usefixtures("double")


class Square(nn.Module):
    """Its gradient is linear in the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(1, keepdim=True)


def test_what_is_linear_in_the_noise_cancels_exactly() -> None:
    x = torch.randn(3, 5)
    tunnel = NoiseTunnel(Saliency(Square()))
    paired = tunnel.attribute(x, nt_samples=8, stdevs=2.0, antithetic=True, abs=False)
    assert torch.allclose(paired, 2 * x, atol=1e-12)
    assert not torch.allclose(tunnel.attribute(x, nt_samples=8, stdevs=2.0, abs=False), 2 * x, atol=1e-2)


def test_the_mean_of_a_smooth_model_has_less_error_for_the_same_samples() -> None:
    net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
    x, tunnel = torch.randn(4, 5), NoiseTunnel(Saliency(net))
    exact = tunnel.attribute(x, nt_samples=4000, stdevs=0.3, abs=False, seed=99)

    def error(antithetic: bool) -> float:
        runs = [
            tunnel.attribute(x, nt_samples=20, stdevs=0.3, abs=False, seed=s, antithetic=antithetic) for s in range(20)
        ]
        return float(torch.stack([(run - exact).square().mean() for run in runs]).mean().sqrt())

    assert error(True) < 0.6 * error(False)
