"""Names the families of attributors, for ``isinstance`` and as bases of a user's own methods."""

from __future__ import annotations

from pnpxai.attributors.base import Attributor
from pnpxai.attributors.gradient.backprop import Deconvolution, GuidedBackprop
from pnpxai.attributors.gradient.expectations import GradientShap
from pnpxai.attributors.gradient.paths import IntegratedGradients
from pnpxai.attributors.gradient.saliency import InputXGradient, Saliency
from pnpxai.attributors.neuron import conductance, methods
from pnpxai.attributors.perturbation.ablation import FeatureAblation
from pnpxai.attributors.perturbation.lime import Lime
from pnpxai.attributors.perturbation.occlusion import Occlusion
from pnpxai.attributors.perturbation.permutation import FeaturePermutation
from pnpxai.attributors.perturbation.shapley import KernelShap, ShapleyValues, ShapleyValueSampling
from pnpxai.attributors.propagation.deeplift import DeepLift, DeepLiftShap
from pnpxai.attributors.propagation.lrp import LRP

__all__ = ["Attribution", "GradientAttribution", "NeuronAttribution", "PerturbationAttribution"]

Attribution = Attributor
"""Base of all methods."""


class GradientAttribution(Attributor):
    """Is the family of methods that differentiate with respect to the inputs."""


class PerturbationAttribution(Attributor):
    """Is the family of methods that change the inputs and compare the scores."""

    _multiply_by_inputs = True


class NeuronAttribution(Attributor):
    """Is the family of methods that explain one value of a layer."""


for method in (
    Saliency, InputXGradient, IntegratedGradients, GradientShap, DeepLift, DeepLiftShap, GuidedBackprop, Deconvolution,
    LRP,
):  # fmt: skip
    GradientAttribution.register(method)
for method in (
    FeatureAblation, FeaturePermutation, Occlusion, ShapleyValues, ShapleyValueSampling, KernelShap, Lime,
):  # fmt: skip
    PerturbationAttribution.register(method)
for method in (conductance.NeuronConductance, *(getattr(methods, name) for name in methods.__all__)):
    NeuronAttribution.register(method)
