"""On a GPU, strategies say what they say on the CPU, and stay on the device."""

from __future__ import annotations

import pytest
import torch

from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.normalization import Normalization
from pnpxai.testing.strategies import StrategyCall
from tests.strategies.test_base import every_strategy, made, values_of

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch.cuda can use"),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
@every_strategy
def test_a_strategy_on_the_gpu(strategy, dtype):
    values = values_of(strategy)
    values = values.to(dtype) if values.is_floating_point() else values
    call = StrategyCall(made(strategy), values, 1 if values.ndim > 2 else None)
    result, expected = call.run(values.cuda()), call.run()
    assert result.is_cuda
    assert result.dtype == expected.dtype
    if issubclass(strategy, (FeatureMask, Normalization)) or dtype == torch.float64:
        assert torch.allclose(result.cpu(), expected, atol=1e-9 if dtype == torch.float64 else 2e-3)
    else:
        assert torch.allclose(result.cpu().float(), expected.float(), atol=1e-2)
