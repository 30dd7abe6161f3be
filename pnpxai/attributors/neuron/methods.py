"""Applies the methods for outputs to one value of a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor

from pnpxai.attributors.base import AtLayer, AtLayerWithFactor, Attributor, Inputs
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.gradient.backprop import Deconvolution, GuidedBackprop
from pnpxai.attributors.gradient.expectations import GradientShap
from pnpxai.attributors.gradient.noisy_copies import Deviation
from pnpxai.attributors.gradient.paths import IntegratedGradients, Quadrature
from pnpxai.attributors.gradient.random_points import Distribution
from pnpxai.attributors.gradient.saliency import Saliency
from pnpxai.attributors.layers import places_of
from pnpxai.attributors.neuron.selection import Selector, UpToLayer, selected
from pnpxai.attributors.outcome import Outcome
from pnpxai.attributors.perturbation.ablation import FeatureAblation
from pnpxai.attributors.propagation.deeplift import DeepLift, DeepLiftShap
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors

__all__ = [
    "NeuronDeconvolution",
    "NeuronDeepLift",
    "NeuronDeepLiftShap",
    "NeuronFeatureAblation",
    "NeuronGradient",
    "NeuronGradientShap",
    "NeuronGuidedBackprop",
    "NeuronIntegratedGradients",
]

Custom = Callable[..., tuple[Tensor, ...]] | None


class _OfNeuron(AtLayer):
    """Applies a method for outputs to the model that ends at a layer."""

    def _ending(self, at_input: bool) -> UpToLayer:
        places = places_of(self.forward_func, self.layer, at_input)
        if len(places) != 1:
            raise ArgumentError(f"layer: expected one layer, got {len(places)}")
        return UpToLayer(self.forward_func, places)

    def _run(
        self, backend: Attributor, inputs: Inputs, selector: Selector, extra: ForwardArgs, **settings: object
    ) -> Attributions:
        return backend.attribute(inputs, target=selected(selector), additional_forward_args=extra, **settings)


class _OfModel(_OfNeuron):
    """Does the same for methods that follow the model's operations, which take a model instead of a function."""

    def __init__(self, model: Model, layer: Layer, multiply_by_inputs: bool = True) -> None:
        super().__init__(model, layer)
        self._multiply_by_inputs = multiply_by_inputs


class _Multiplying(AtLayerWithFactor, _OfNeuron):
    """Does the same for methods with ``multiply_by_inputs``."""


class NeuronGradient(_OfNeuron):
    """Computes dy/dx for one value y of a layer: ``Saliency`` with signs."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        additional_forward_args: ForwardArgs = None,
        attribute_to_neuron_input: bool = False,
    ) -> Attributions:
        """Return the gradient of the value in the shape of ``inputs``."""
        backend = Saliency(self._ending(attribute_to_neuron_input))
        return self._run(backend, inputs, neuron_selector, additional_forward_args, abs=False)


class NeuronIntegratedGradients(_Multiplying):
    """Computes ``IntegratedGradients`` of one value of a layer."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        baselines: Baselines = None,
        additional_forward_args: ForwardArgs = None,
        n_steps: int = 50,
        method: Quadrature = "gausslegendre",
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``; see ``IntegratedGradients.attribute``."""
        backend = IntegratedGradients(self._ending(attribute_to_neuron_input), self.multiplies_by_inputs)
        return self._run(
            backend, inputs, neuron_selector, additional_forward_args,
            baselines=baselines, n_steps=n_steps, method=method, internal_batch_size=internal_batch_size,
        )  # fmt: skip


class NeuronGradientShap(_Multiplying):
    """Computes ``GradientShap`` of one value of a layer."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        baselines: Distribution | None = None,
        n_samples: int = 5,
        stdevs: Deviation | tuple[Deviation, ...] = 0.0,
        additional_forward_args: ForwardArgs = None,
        attribute_to_neuron_input: bool = False,
        *,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``; see ``GradientShap.attribute``."""
        backend = GradientShap(self._ending(attribute_to_neuron_input), self.multiplies_by_inputs)
        return self._run(
            backend, inputs, neuron_selector, additional_forward_args,
            baselines=baselines, n_samples=n_samples, stdevs=stdevs, seed=seed,
        )  # fmt: skip

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the attributions with the mean delta of each example, and their standard errors."""
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        given = dict(bound.arguments)
        backend = GradientShap(self._ending(given.pop("attribute_to_neuron_input")), self.multiplies_by_inputs)
        return backend.attribute_detailed(target=selected(given.pop("neuron_selector")), **given)


class NeuronDeepLift(_OfModel):
    """Computes ``DeepLift`` of one value of a layer."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        baselines: Baselines = None,
        additional_forward_args: ForwardArgs = None,
        attribute_to_neuron_input: bool = False,
        custom_attribution_func: Custom = None,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``; see ``DeepLift.attribute``."""
        backend = DeepLift(self._ending(attribute_to_neuron_input), self.multiplies_by_inputs)
        settings = {"baselines": baselines, "custom_attribution_func": custom_attribution_func}
        return self._run(backend, inputs, neuron_selector, additional_forward_args, **settings)


class NeuronDeepLiftShap(_OfModel):
    """Computes ``DeepLiftShap`` of one value of a layer."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        baselines: Tensor | Tensors | Callable[..., Tensor | Tensors] | None = None,
        additional_forward_args: ForwardArgs = None,
        attribute_to_neuron_input: bool = False,
        custom_attribution_func: Custom = None,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``; see ``DeepLiftShap.attribute``."""
        backend = DeepLiftShap(self._ending(attribute_to_neuron_input), self.multiplies_by_inputs)
        settings = {"baselines": baselines, "custom_attribution_func": custom_attribution_func}
        return self._run(backend, inputs, neuron_selector, additional_forward_args, **settings)


class NeuronFeatureAblation(_OfNeuron):
    """Computes ``FeatureAblation`` of one value of a layer."""

    _multiply_by_inputs = True

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        baselines: Baselines = None,
        additional_forward_args: ForwardArgs = None,
        feature_mask: Inputs | None = None,
        attribute_to_neuron_input: bool = False,
        perturbations_per_eval: int = 1,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``; see ``FeatureAblation.attribute``."""
        backend = FeatureAblation(self._ending(attribute_to_neuron_input))
        return self._run(
            backend, inputs, neuron_selector, additional_forward_args,
            baselines=baselines, feature_mask=feature_mask, perturbations_per_eval=perturbations_per_eval,
        )  # fmt: skip


class NeuronGuidedBackprop(_OfNeuron):
    """Computes ``GuidedBackprop`` of one value of a layer."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        additional_forward_args: ForwardArgs = None,
        attribute_to_neuron_input: bool = False,
    ) -> Attributions:
        """Return the modified gradient in the shape of ``inputs``."""
        backend = GuidedBackprop(self._ending(attribute_to_neuron_input))
        return self._run(backend, inputs, neuron_selector, additional_forward_args)


class NeuronDeconvolution(_OfNeuron):
    """Computes ``Deconvolution`` of one value of a layer."""

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        additional_forward_args: ForwardArgs = None,
        attribute_to_neuron_input: bool = False,
    ) -> Attributions:
        """Return the modified gradient in the shape of ``inputs``."""
        backend = Deconvolution(self._ending(attribute_to_neuron_input))
        return self._run(backend, inputs, neuron_selector, additional_forward_args)
