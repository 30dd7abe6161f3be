"""The algorithms, under captum's names and signatures: tensors in, tensors out."""

from __future__ import annotations

from pnpxai.attributors.ablation import FeatureAblation
from pnpxai.attributors.adaptive import AdaptiveSamples, AdaptiveSteps
from pnpxai.attributors.attention import AttentionRollout, TransformerAttribution
from pnpxai.attributors.backprop import Deconvolution, GuidedBackprop, GuidedGradCam
from pnpxai.attributors.base import Attributor
from pnpxai.attributors.cam import LayerAttribution, LayerGradCam
from pnpxai.attributors.cam_guided import UpsampledGuidedGradCam
from pnpxai.attributors.cam_maps import EigenCAM, GradCamPlusPlus, HiResCAM, LayerCAM, UpsampledGradCam
from pnpxai.attributors.cam_scores import ScoreCAM
from pnpxai.attributors.composites import Composite, rule_named
from pnpxai.attributors.conductance import InternalInfluence, LayerConductance
from pnpxai.attributors.deeplift import DeepLift, DeepLiftShap, LayerDeepLift, LayerDeepLiftShap
from pnpxai.attributors.expectations import GradientShap, LayerGradientShap
from pnpxai.attributors.full_grad import FullGrad, FullGradients
from pnpxai.attributors.gradients import InputXGradient, Saliency
from pnpxai.attributors.kernel_shap import KernelShap
from pnpxai.attributors.layer_ablation import LayerFeatureAblation
from pnpxai.attributors.layer_paths import LayerIntegratedGradients
from pnpxai.attributors.layers import LayerActivation, LayerGradientXActivation
from pnpxai.attributors.noise import NoiseTunnel, RelativeNoise
from pnpxai.attributors.occlusion import Occlusion
from pnpxai.attributors.paths import IntegratedGradients
from pnpxai.attributors.propagation import (
    Alpha1_Beta0_Rule,
    EpsilonRule,
    GammaRule,
    IdentityRule,
    PropagationRule,
)
from pnpxai.attributors.relevance import LRP, LayerLRP, Relevance
from pnpxai.attributors.rise import RISE
from pnpxai.attributors.sampling import ShapleyValues, ShapleyValueSampling
from pnpxai.attributors.similarity import ExponentialKernel, get_exp_kernel_similarity_function
from pnpxai.attributors.surrogates import Lime

__all__ = [
    "LRP",
    "RISE",
    "AdaptiveSamples",
    "AdaptiveSteps",
    "Alpha1_Beta0_Rule",
    "AttentionRollout",
    "Attributor",
    "Composite",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "EigenCAM",
    "EpsilonRule",
    "ExponentialKernel",
    "FeatureAblation",
    "FullGrad",
    "FullGradients",
    "GammaRule",
    "GradCamPlusPlus",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCam",
    "HiResCAM",
    "IdentityRule",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "KernelShap",
    "LayerActivation",
    "LayerAttribution",
    "LayerCAM",
    "LayerConductance",
    "LayerDeepLift",
    "LayerDeepLiftShap",
    "LayerFeatureAblation",
    "LayerGradCam",
    "LayerGradientShap",
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "LayerLRP",
    "Lime",
    "NoiseTunnel",
    "Occlusion",
    "PropagationRule",
    "RelativeNoise",
    "Relevance",
    "Saliency",
    "ScoreCAM",
    "ShapleyValueSampling",
    "ShapleyValues",
    "TransformerAttribution",
    "UpsampledGradCam",
    "UpsampledGuidedGradCam",
    "get_exp_kernel_similarity_function",
    "rule_named",
]


def __getattr__(name: str) -> object:
    """Say what takes the place of what is not here."""
    from pnpxai.elsewhere import instead

    if instead(name):
        raise ImportError(f"pnpxai.attributors has no {name!r}{instead(name)}")
    raise AttributeError(f"module 'pnpxai.attributors' has no attribute {name!r}")
