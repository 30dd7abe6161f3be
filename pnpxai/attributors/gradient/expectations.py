"""Averages gradients at random points between baselines and inputs, which approximates SHAP values."""

from __future__ import annotations

import inspect
from abc import ABC
from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayerWithFactor, Attributor, Outcome
from pnpxai.attributors.gradient.noisy_copies import Deviation
from pnpxai.attributors.gradient.random_points import Distribution, Samples
from pnpxai.attributors.layers import places_of
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.engine.running.site import AtSites
from pnpxai.model_types import Attributions, ForwardArgs, Model, ModelInputs
from pnpxai.tensors import Tensors

__all__ = ["GradientShap", "LayerGradientShap"]


class _Expected(Attributor, ABC):
    """Is a mean over random points, which has a standard error."""

    def _at(self, attribute_to_layer_input: bool = False) -> AtSites | None:
        """Return the layer at which values and gradients are taken."""
        return None

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the attributions with the mean delta of each example, and their standard errors."""
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        given = bound.arguments
        count = given["n_samples"]
        at = self._at(*(given[name] for name in ("attribute_to_layer_input",) if name in given))
        stream = RandomStream.of(given["seed"])
        samples = Samples(self, count, given["stdevs"], stream, True, given["show_progress"], at)
        attributions, deltas, errors = samples.mean(
            inputs, given["baselines"], given["target"], given["additional_forward_args"]
        )
        gap = deltas.reshape(-1, count).mean(1)
        known = not isinstance(errors, tuple) or bool(errors)
        return Outcome(
            attributions,
            gap,
            standard_error=errors if known else None,
            degrees_of_freedom=count - 1 if known else None,
            draws=torch.full((len(gap),), count),
        )


class GradientShap(_Expected):
    """Computes E[(x - x') * dF/dx(x' + a (x - x'))] over random x' and a. Erion et al., 2021 (arXiv:1906.10670).

    These expected gradients approximate SHAP values (Lundberg and Lee, 2017, arXiv:1705.07874). F is the score, x the
    input with noise added, x' one row of the baselines, drawn jointly for all inputs, and a is uniform in [0, 1].
    """

    _has_convergence_delta = True

    shares_baselines: ClassVar[bool] = True

    def __init__(self, forward_func: Model, multiply_by_inputs: bool = True) -> None:
        super().__init__(forward_func)
        self._multiply_by_inputs = multiply_by_inputs

    def cost(self, inputs: ModelInputs, n_samples: int = 5, **settings: object) -> int:
        """Return one row for each sample of each example (without deltas)."""
        return super().cost(inputs) * n_samples

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Distribution | None = None,
        n_samples: int = 5,
        stdevs: Deviation | tuple[Deviation, ...] = 0.0,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        *,
        seed: int | RandomStream = 0,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``, and with ``return_convergence_delta`` deltas.

        Args:
            baselines: rows with which the inputs are compared, or a function that returns them; see ``Distribution``.
            n_samples: number of samples for each example.
            stdevs: standard deviation of the noise, as in ``NoiseTunnel``.
            return_convergence_delta: return (examples * n_samples,) deltas too, those of one example side by side:
                sum(attributions) - (F(noisy input) - F(baseline)) of each sample. Their mean tends to zero.
            seed: seed of the draws, which are each example's own.

        Raises:
            ArgumentError: the baselines are not rows of the inputs' shape, or a setting is out of range.
        """
        samples = Samples(self, n_samples, stdevs, RandomStream.of(seed), return_convergence_delta, show_progress)
        attributions, deltas, _ = samples.mean(inputs, baselines, target, additional_forward_args)
        return (attributions, deltas) if return_convergence_delta else attributions


class LayerGradientShap(AtLayerWithFactor, _Expected):
    """Computes E[(y(x) - y(x')) * dF/dy at x' + a (x - x')] for the values y of a layer, as ``GradientShap`` does.

    The random points lie between the inputs x and the baselines x', not between values of the layer.
    """

    _has_convergence_delta = True

    shares_baselines: ClassVar[bool] = True

    def _at(self, attribute_to_layer_input: bool = False) -> AtSites:
        return AtSites(self.forward_func, places_of(self.forward_func, self.layer, attribute_to_layer_input))

    def cost(self, inputs: ModelInputs, n_samples: int = 5, **settings: object) -> int:
        """Return three rows for each sample, which is an upper bound."""
        return 3 * super().cost(inputs) * n_samples

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Distribution | None = None,
        n_samples: int = 5,
        stdevs: Deviation | tuple[Deviation, ...] = 0.0,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        *,
        seed: int | RandomStream = 0,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value; see ``GradientShap.attribute``.

        Args:
            baselines: rows of inputs with which the inputs are compared, or a function that returns them.
            n_samples: number of samples for each example.
            stdevs: standard deviation of the noise on the inputs.
            return_convergence_delta: return (examples * n_samples,) deltas too.
            seed: seed of the draws.
        """
        at = self._at(attribute_to_layer_input)
        samples = Samples(self, n_samples, stdevs, RandomStream.of(seed), return_convergence_delta, show_progress, at)
        attributions, deltas, _ = samples.mean(inputs, baselines, target, additional_forward_args)
        return (attributions, deltas) if return_convergence_delta else attributions
