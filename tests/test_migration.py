"""What users of captum and of PnPXAI 0.1 look for is there, or the error and the page say what takes its place."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError, SignatureError
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.gradient.saliency import GradientXInput
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.modalities import ImageModality, TimeSeriesModality
from pnpxai.strategies.baselines import GaussianBlur, Mean

MODEL = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("pnpxai.explainers", "GradCam Gradient SmoothGrad LRPEpsilonPlus RAP Lime ExpectedGradients Explainer"),
        ("pnpxai.metrics", "MuFidelity Sensitivity Complexity MoRF LeRF AbPC Metric"),
        ("pnpxai.strategies", "Zeros GaussianBlur Felzenszwalb SumPos MinMax PostProcessor Baseline Pooling"),
    ],
)
def test_classes_come_from_their_package(package, names):
    for name in names.split():
        found = getattr(importlib.import_module(package), name)
        assert name in (found.__name__, *getattr(found, "aliases", ()))
        assert found.__module__.startswith(package + ".")


@pytest.mark.parametrize(
    ("package", "name", "use"),
    [
        ("pnpxai", "detect_model_architecture", "pnpxai.detect"),
        ("pnpxai.explainers", "LRPBase", "LRP"),
        ("pnpxai.explainers", "AVAILABLE_EXPLAINERS", "pnpxai.every"),
        ("pnpxai.metrics", "PixelFlipping", "curves"),
        ("pnpxai.strategies", "BaselineFunction", "Baseline"),
        ("pnpxai.attributors", "RemoteLLMAttribution", "LLMAttribution"),
    ],
)
def test_what_has_another_name_says_which(package, name, use):
    module = importlib.import_module(package)
    assert not hasattr(module, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; instead: .*{use}"):
        getattr(module, name)
    with pytest.raises(ImportError, match=f"{name}'; instead: .*{use}"):
        exec(f"from {package} import {name}")  # noqa: S102


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("pnpxai.core", "pnpxai.modalities"),
        ("pnpxai.core.modality", "pnpxai.modalities"),
        ("pnpxai.evaluator.metrics", "pnpxai.metrics"),
        ("pnpxai.explainers.utils.postprocess", "pnpxai.strategies"),
        ("pnpxai.utils", "seed="),
    ],
)
def test_modules_that_are_elsewhere_say_where(module, use):
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{module[:11]}.*'; instead: .*{use}"):
        importlib.import_module(module)
    package, _, name = module.rpartition(".")
    with pytest.raises(ImportError, match=f"; instead: .*{use}"):
        exec(f"from {package} import {name}")  # noqa: S102


def test_other_modules_are_simply_not_there():
    for module in ("pnpxai.nonesuch", "pnpxai.metrics.nonesuch", "nonesuch", "core"):
        with pytest.raises(ModuleNotFoundError, match=f"^No module named '{module}'$"):
            importlib.import_module(module)


@pytest.mark.parametrize("package", ["pnpxai", "pnpxai.explainers", "pnpxai.metrics", "pnpxai.attributors"])
def test_what_nobody_looks_for_is_simply_not_there(package):
    module = importlib.import_module(package)
    assert not hasattr(module, "Nonesuch")
    assert not hasattr(module, "__path_of_nothing__")


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: SmoothGrad(MODEL).set_kwargs(n_iter=3), AttributeError, r"instead: replace\("),
        (lambda: SmoothGrad(MODEL).copy(), AttributeError, "it never changes"),
        (lambda: GradCam(MODEL).set_target_layer(MODEL[0]), AttributeError, "replace.layer"),
        (lambda: AbPC(MODEL).set_explainer(None), AttributeError, "replace.explainer"),
        (lambda: ImageModality().get_default_postprocessors(), AttributeError, "PostProcessor.on"),
        (lambda: ImageModality(1, baseline_fn_selector=None), SignatureError, "the explainer's baseline_fn="),
        (lambda: Mean(dim=1), SignatureError, "over='positions'"),
        (lambda: AbPC(MODEL, pred_fn=None), SignatureError, "no value depended on it"),
        (lambda: GradientXInput(MODEL, MODEL[0]), ArgumentError, r"forward_arg_extractor: .*is it for layer=\?"),
        (lambda: SmoothGrad(MODEL).nothing, AttributeError, "no attribute 'nothing'$"),
        (lambda: SmoothGrad(MODEL).noise_levl, AttributeError, r"'noise_levl'; did you mean 'noise_level'\?$"),
        (lambda: GaussianBlur(dim=2), SignatureError, "no setting 'dim'; there are: 'kernel_size_x'"),
        (lambda: AbPC(MODEL, None, 1), SignatureError, r"its signature is \(model, explainer=None, \*, lb=None, n_st"),
    ],
)
def test_old_calls_are_told_the_new_ones(ask, error, message):
    with pytest.raises(error, match=message):
        ask()


def test_axes_of_a_series_count_from_either_end():
    assert TimeSeriesModality(channel_dim=-1) == TimeSeriesModality(channel_dim=2)
    assert TimeSeriesModality(channel_dim=-2).traits.channel_dim == 1
    with pytest.raises(ArgumentError, match="expected 1, 2 or None"):
        TimeSeriesModality(channel_dim=-3)


def test_what_data_is_can_be_said_by_name():
    by_name, by_modality = pnpxai.recommend(MODEL, "image"), pnpxai.recommend(MODEL, ImageModality())
    assert by_name.explainers == by_modality.explainers == pnpxai.recommend(MODEL, ImageModality().traits).explainers


@pytest.mark.parametrize("face", [pnpxai.AutoExplanation, pnpxai.Experiment])
def test_the_faces_say_where_things_went(face):
    made = face(MODEL, torch.rand(2, 3, 4, 4), ImageModality())
    with pytest.raises(AttributeError, match="instead: experiment, with explainers"):
        _ = made.manager
    with pytest.raises(AttributeError, match="instead: compare"):
        made.get_explainers_ranks()


def test_the_error_of_a_property_is_the_one_to_see():
    class Broken(ImageModality):
        @property
        def traits(self):
            return torch.nonesuch

    with pytest.raises(AttributeError, match="module 'torch' has no attribute 'nonesuch'"):
        _ = Broken().traits


def test_permutation_is_an_ablation_with_other_examples():
    """As the message says: each feature comes from another example, all others stay."""
    from pnpxai.attributors import FeatureAblation

    model, x = nn.Linear(4, 2).double(), torch.rand(5, 4, dtype=torch.float64)
    order = torch.tensor([1, 2, 3, 4, 0])
    found = FeatureAblation(model).attribute(x, baselines=x[order], target=1)
    assert torch.allclose(found, model.weight[1].detach() * (x - x[order]))
