"""Implements the algorithms under captum's names and signatures: they take tensors and return tensors."""

from __future__ import annotations

import importlib

from pnpxai.attributors.attention.rollout import AttentionRollout, TransformerAttribution
from pnpxai.attributors.base import Attributor
from pnpxai.attributors.cam.grad_cam import LayerAttribution, LayerGradCam
from pnpxai.attributors.cam.guided import GuidedGradCam, UpsampledGuidedGradCam
from pnpxai.attributors.cam.maps import EigenCAM, GradCamPlusPlus, HiResCAM, LayerCAM, UpsampledGradCam
from pnpxai.attributors.cam.score_cam import ScoreCAM
from pnpxai.attributors.companions.data_loader import DataLoaderAttribution
from pnpxai.attributors.companions.embeddings import (
    InterpretableEmbeddingBase,
    configure_interpretable_embedding_layer,
    remove_interpretable_embedding_layer,
)
from pnpxai.attributors.companions.families import (
    Attribution,
    GradientAttribution,
    NeuronAttribution,
    PerturbationAttribution,
)
from pnpxai.attributors.companions.references import ProductBaselines, TokenReferenceBase
from pnpxai.attributors.companions.summaries import (
    MSE,
    ClassSummarizer,
    CommonStats,
    Count,
    Max,
    Mean,
    Min,
    StatValue,
    StdDev,
    Sum,
    Summarizer,
    SummarizerSingleTensor,
    Var,
)
from pnpxai.attributors.gradient.adaptive import AdaptiveSamples, AdaptiveSteps
from pnpxai.attributors.gradient.backprop import Deconvolution, GuidedBackprop
from pnpxai.attributors.gradient.conductance import InternalInfluence, LayerConductance
from pnpxai.attributors.gradient.expectations import GradientShap, LayerGradientShap
from pnpxai.attributors.gradient.layer_paths import LayerIntegratedGradients
from pnpxai.attributors.gradient.noise import NoiseTunnel
from pnpxai.attributors.gradient.noisy_copies import RelativeNoise
from pnpxai.attributors.gradient.paths import IntegratedGradients
from pnpxai.attributors.gradient.saliency import InputXGradient, Saliency
from pnpxai.attributors.language.interpretable_inputs import InterpretableInput, TextTemplateInput, TextTokenInput
from pnpxai.attributors.language.llm_attribution import LLMAttribution, LLMGradientAttribution
from pnpxai.attributors.language.llm_result import LLMAttributionResult
from pnpxai.attributors.layers import LayerActivation, LayerGradientXActivation
from pnpxai.attributors.neuron.conductance import NeuronConductance
from pnpxai.attributors.neuron.methods import (
    NeuronDeconvolution,
    NeuronDeepLift,
    NeuronDeepLiftShap,
    NeuronFeatureAblation,
    NeuronGradient,
    NeuronGradientShap,
    NeuronGuidedBackprop,
    NeuronIntegratedGradients,
)
from pnpxai.attributors.perturbation.ablation import FeatureAblation
from pnpxai.attributors.perturbation.interactions import Interactions, shapley_interactions
from pnpxai.attributors.perturbation.layer_ablation import LayerFeatureAblation
from pnpxai.attributors.perturbation.lime import Lime
from pnpxai.attributors.perturbation.occlusion import MultiScale, Occlusion
from pnpxai.attributors.perturbation.permutation import FeaturePermutation, LayerFeaturePermutation
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
    "LLMAttribution",
    "LLMAttributionResult",
    "LLMGradientAttribution",
    "MSE",
    "RISE",
    "AdaptiveSamples",
    "AdaptiveSteps",
    "Alpha1_Beta0_Rule",
    "AttentionRollout",
    "Attribution",
    "Attributor",
    "ClassSummarizer",
    "CommonStats",
    "Composite",
    "Count",
    "DataLoaderAttribution",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "EigenCAM",
    "EpsilonRule",
    "ExponentialKernel",
    "FeatureAblation",
    "FeaturePermutation",
    "FullGrad",
    "FullGradients",
    "GammaRule",
    "GradCamPlusPlus",
    "GradientAttribution",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCam",
    "HiResCAM",
    "IdentityRule",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "InterpretableEmbeddingBase",
    "InterpretableInput",
    "Interactions",
    "KernelShap",
    "LayerActivation",
    "LayerAttribution",
    "LayerCAM",
    "LayerConductance",
    "LayerDeepLift",
    "LayerDeepLiftShap",
    "LayerFeatureAblation",
    "LayerFeaturePermutation",
    "LayerGradCam",
    "LayerGradientShap",
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "LayerLRP",
    "Lime",
    "Max",
    "Mean",
    "Min",
    "MultiScale",
    "NeuronAttribution",
    "NeuronConductance",
    "NeuronDeconvolution",
    "NeuronDeepLift",
    "NeuronDeepLiftShap",
    "NeuronFeatureAblation",
    "NeuronGradient",
    "NeuronGradientShap",
    "NeuronGuidedBackprop",
    "NeuronIntegratedGradients",
    "NoiseTunnel",
    "Occlusion",
    "PerturbationAttribution",
    "ProductBaselines",
    "PropagationRule",
    "RelativeNoise",
    "Relevance",
    "Saliency",
    "ScoreCAM",
    "ShapleyValueSampling",
    "ShapleyValues",
    "StatValue",
    "StdDev",
    "Sum",
    "Summarizer",
    "SummarizerSingleTensor",
    "TextTemplateInput",
    "TextTokenInput",
    "TokenReferenceBase",
    "TransformerAttribution",
    "UpsampledGradCam",
    "UpsampledGuidedGradCam",
    "Var",
    "configure_interpretable_embedding_layer",
    "get_exp_kernel_similarity_function",
    "remove_interpretable_embedding_layer",
    "rule_named",
    "shapley_interactions",
]


def __getattr__(name: str) -> object:
    """Return the drawing of maps under captum's names; say what takes the place of what is not here."""
    if name == "visualization":  # drawing stands on a floor above, and imports matplotlib
        return importlib.import_module("pnpxai.pictures.visualization")
    from pnpxai.migration import replacement_hint

    raise AttributeError(f"module 'pnpxai.attributors' has no attribute {name!r}{replacement_hint(name)}")
