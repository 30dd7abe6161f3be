"""The algorithms, under captum's names and signatures: tensors in, tensors out."""

from pnpxai.attributors.ablation import Occlusion
from pnpxai.attributors.base import Attributor
from pnpxai.attributors.cam import LayerAttribution, LayerGradCam, UpsampledGradCam
from pnpxai.attributors.gradients import InputXGradient, Saliency
from pnpxai.attributors.noise import NoiseTunnel, RelativeNoise
from pnpxai.attributors.paths import IntegratedGradients
from pnpxai.attributors.relevance import LRP, Relevance

__all__ = [
    "LRP",
    "Attributor",
    "InputXGradient",
    "IntegratedGradients",
    "LayerAttribution",
    "LayerGradCam",
    "NoiseTunnel",
    "Occlusion",
    "RelativeNoise",
    "Relevance",
    "Saliency",
    "UpsampledGradCam",
]
