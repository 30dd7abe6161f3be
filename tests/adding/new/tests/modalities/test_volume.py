"""Volumes are explained, judged, searched and drawn."""

import pytest
import torch
from pnpxai.modalities.volume import VolumeModality
from torch import nn

import pnpxai
from pnpxai.testing import ModalityContract


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(108, 3)
        ).eval()


VOLUMES = torch.rand(6, 1, 6, 6, 6, generator=torch.Generator().manual_seed(1))


class TestContract(ModalityContract):
    modality = VolumeModality()
    model = network()
    values = VOLUMES


@pytest.fixture(scope="module")
def auto():
    return pnpxai.auto_explain(network(), VOLUMES)


def test_it_is_recognised_and_everything_that_fits_runs(auto):
    assert auto.modality == VolumeModality()
    names = {cls.__name__ for cls in auto.recommended.explainers}
    assert {"Gradient", "IntegratedGradients", "GradCam", "Occlusion", "KernelShap", "DeepLift"} <= names
    for name in sorted(names):
        explanation = auto.explain(name, count=1)
        assert explanation.attributions[0].shape[2:] == VOLUMES.shape[2:], name
        assert explanation.plot(limit=1).axes


def test_it_is_tuned_and_compared(auto):
    assert auto.tune("SmoothGrad", n_trials=2, show_progress=False).study.trials
    table = auto.compare(["Gradient", "Occlusion"], ["AbPC"], count=2, show_progress=False).table
    assert table["value"].notna().all()
