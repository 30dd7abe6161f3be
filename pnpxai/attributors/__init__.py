"""Implements the algorithms under captum's names and signatures: they take tensors and return tensors."""

from __future__ import annotations

from pnpxai.attributors.attention.rollout import AttentionRollout, TransformerAttribution
from pnpxai.attributors.base import Attributor
from pnpxai.attributors.cam.grad_cam import LayerAttribution, LayerGradCam
from pnpxai.attributors.cam.guided import UpsampledGuidedGradCam
from pnpxai.attributors.cam.maps import EigenCAM, GradCamPlusPlus, HiResCAM, LayerCAM, UpsampledGradCam
from pnpxai.attributors.cam.score_cam import ScoreCAM
from pnpxai.attributors.gradient.adaptive import AdaptiveSamples, AdaptiveSteps
from pnpxai.attributors.gradient.backprop import Deconvolution, GuidedBackprop, GuidedGradCam
from pnpxai.attributors.gradient.conductance import InternalInfluence, LayerConductance
from pnpxai.attributors.gradient.expectations import GradientShap, LayerGradientShap
from pnpxai.attributors.gradient.layer_paths import LayerIntegratedGradients
from pnpxai.attributors.gradient.noise import NoiseTunnel, RelativeNoise
from pnpxai.attributors.gradient.paths import IntegratedGradients
from pnpxai.attributors.gradient.saliency import InputXGradient, Saliency
from pnpxai.attributors.layers import LayerActivation, LayerGradientXActivation
from pnpxai.attributors.perturbation.ablation import FeatureAblation
from pnpxai.attributors.perturbation.layer_ablation import LayerFeatureAblation
from pnpxai.attributors.perturbation.lime import Lime
from pnpxai.attributors.perturbation.occlusion import MultiScale, Occlusion
from pnpxai.attributors.perturbation.rise import RISE
from pnpxai.attributors.perturbation.shapley import KernelShap, ShapleyValues, ShapleyValueSampling
from pnpxai.attributors.perturbation.similarity import ExponentialKernel, get_exp_kernel_similarity_function
from pnpxai.attributors.propagation.captum_rules import (
    Alpha1_Beta0_Rule,
    EpsilonRule,
    GammaRule,
    IdentityRule,
    PropagationRule,
)
from pnpxai.attributors.propagation.composites import Composite, rule_named
from pnpxai.attributors.propagation.deeplift import DeepLift, DeepLiftShap, LayerDeepLift, LayerDeepLiftShap
from pnpxai.attributors.propagation.full_grad import FullGrad, FullGradients
from pnpxai.attributors.propagation.lrp import LRP, LayerLRP, Relevance

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
    "MultiScale",
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
    from pnpxai.migration import replacement_hint

    raise AttributeError(f"module 'pnpxai.attributors' has no attribute {name!r}{replacement_hint(name)}")
