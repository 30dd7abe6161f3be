"""What every attributor promises, of those that perturb."""

from __future__ import annotations

import pytest
import torch

from pnpxai.attributors import (
    FeatureAblation,
    KernelShap,
    LayerFeatureAblation,
    Lime,
    ShapleyValueSampling,
)
from pnpxai.testing.results import check_non_finite_inputs
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES
from tests.attributors.test_base import CHECKS
from tests.on_demand import OnDemand

linear_model = OnDemand("sklearn.linear_model")

QUARTERS = torch.arange(8)[:, None] // 4 * 2 + torch.arange(8) // 4
PLACES = torch.arange(7)
EDGES = (
    QUARTERS.repeat(2, 1, 1) + 4 * torch.arange(2)[:, None, None]
)  # eight groups: too many for KernelShap to run all coalitions
SUBJECTS = {
    "FeatureAblation": Subject.of_attributor(FeatureAblation, feature_mask=EDGES),
    "LayerFeatureAblation": Subject.of_attributor(
        LayerFeatureAblation, more=lambda model: ("conv2",), layer_mask=torch.arange(6)[:, None, None]
    ),
    "Lime": Subject.of_attributor(Lime, more=lambda model: (linear_model.Ridge(),), feature_mask=EDGES),
    "KernelShap": Subject.of_attributor(KernelShap, feature_mask=EDGES, n_samples=40),
    "ShapleyValueSampling": Subject.of_attributor(ShapleyValueSampling, feature_mask=EDGES, n_samples=4),
}
OF_IDS = {
    "FeatureAblation": Subject.of_attributor(FeatureAblation, baselines=3),
    "Lime": Subject.of_attributor(Lime, more=lambda model: (linear_model.Ridge(),), baselines=3),
    "KernelShap": Subject.of_attributor(KernelShap, baselines=3, n_samples=20),
    "ShapleyValueSampling": Subject.of_attributor(ShapleyValueSampling, baselines=3, n_samples=4),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SUBJECTS)
def test_of_pictures(name, check):
    check(SUBJECTS[name], CASES["skip_cnn"]())


@pytest.mark.parametrize("check", [check for check in CHECKS if check is not check_non_finite_inputs])
@pytest.mark.parametrize("name", OF_IDS)
def test_of_ids(name, check):
    check(OF_IDS[name], CASES["tokens"]())
