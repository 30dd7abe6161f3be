"""A call as people make it, and every attributor and explainer as something that answers calls."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

import pnpxai.attributors
from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.testing.zoo import CASES
from tests.laws.refusals import reason_against
from tests.laws.trial import Trial

__all__ = ["METHODS", "Call", "Method", "plain_call"]

LAYERS = {"mlp": "first", "skip_cnn": "conv2", "vit": "encoder"}
"""By network: the layer that methods at layers explain; its ReLU or tanh follows."""
SMALL: dict[str, Any] = {
    "n_steps": 4, "n_samples": 12, "nt_samples": 3, "stdevs": 0.1, "n_masks": 8, "grid_size": 2, "most": 8, "least": 4,
    "abs": False,
}  # fmt: skip
"""Arguments that only cost time, and one that keeps signs."""
NEURONS = {"mlp": (1,), "skip_cnn": (1, 2, 2)}
WINDOWS = {"mlp": (2,), "skip_cnn": (2, 4, 4)}
NO_MODEL = ("LLMAttribution", "LLMGradientAttribution", "DataLoaderAttribution", "MultiScale")
"""Attributors that do not take a model and a batch; they have tests of their own."""
BASES = ("Attribution", "Attributor", "GradientAttribution", "PerturbationAttribution", "NeuronAttribution")
ON_PICTURES = frozenset(
    {"EigenCAM", "FullGrad", "GradCamPlusPlus", "GuidedGradCam", "HiResCAM", "LayerCAM", "LayerGradCam", "ScoreCAM"}
    | {"UpsampledGradCam", "UpsampledGuidedGradCam", "GuidedBackprop"}
)


@dataclass(frozen=True)
class Call:
    """What is asked.

    Attributes:
        model: the model, or what stands for it.
        inputs: as they are passed.
        target: what is explained.
        extra: further arguments of the model.
        layer: the module that methods at layers explain.
        given: further arguments of the method.
        around: makes the context in which the call happens.
    """

    model: Any
    inputs: Any
    target: Any
    extra: Any = None
    layer: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    around: Callable[[], Any] = contextlib.nullcontext

    def with_model(self, make: Callable[[Any], Any]) -> Call:
        """Return the call with a model made of the model."""
        return replace(self, model=make(self.model))

    def with_inputs(self, make: Callable[[Any], Any]) -> Call:
        """Return the call with inputs made of the inputs."""
        return replace(self, inputs=make(self.inputs))


@dataclass(frozen=True)
class Method:
    """An attributor or an explainer.

    Attributes:
        name: the class.
        case: the network of the zoo that it explains.
        explainer: its class, if it is an explainer.
    """

    name: str
    case: str
    explainer: type[Explainer] | None = None

    def __str__(self) -> str:
        return self.name if self.explainer is None else f"explainers.{self.name}"

    @functools.cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of its settings: an explainer's fields, or the arguments of ``attribute``."""
        if self.explainer is not None:
            return tuple(self.explainer._fields)
        return tuple(inspect.signature(getattr(pnpxai.attributors, self.name).attribute).parameters)

    @property
    def at_a_layer(self) -> bool:
        """Whether it must be told a layer."""
        if self.explainer is not None:
            return False
        layer = inspect.signature(getattr(pnpxai.attributors, self.name)).parameters.get("layer")
        return layer is not None and layer.default is inspect.Parameter.empty

    @property
    def runs_the_model(self) -> bool:
        """Whether its answer depends on the model; controls' do not."""
        return self.explainer is None or not self.explainer.control

    def ask(self, call: Call, library: Any = pnpxai.attributors) -> Any:
        """Return the answer to a call."""
        with call.around():
            return self._explained(call) if self.explainer is not None else self._attributed(call, library)

    def _explained(self, call: Call) -> Any:
        assert self.explainer is not None
        settings = Trial.settings(self.explainer) | dict(call.given)
        if call.extra is None:
            return self.explainer(call.model, **settings).attribute(call.inputs, call.target)
        extra = call.extra if isinstance(call.extra, tuple) else (call.extra,)
        made = self.explainer(
            call.model, **settings,
            forward_arg_extractor=lambda given: given[0], additional_forward_arg_extractor=lambda given: given[1:],
        )  # fmt: skip
        return made.attribute((call.inputs, *extra), call.target)

    def _attributed(self, call: Call, library: Any) -> Any:
        kind = getattr(library, self.name)
        accepted = inspect.signature(kind.attribute).parameters
        small = {name: value for name, value in SMALL.items() if name in accepted}
        if self.name == "Occlusion":
            small["sliding_window_shapes"] = WINDOWS[self.case]
        if self.name.startswith("Neuron"):
            small["neuron_selector"] = NEURONS[self.case]
        if "DeepLiftShap" in self.name or "GradientShap" in self.name:
            small["baselines"] = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(2, 6)
        if "seed" in accepted:
            small["seed"] = 0
        if "target" in accepted or self.name == "NoiseTunnel":
            small["target"] = call.target
        if "additional_forward_args" in accepted and call.extra is not None:
            small["additional_forward_args"] = call.extra
        made: Any = (call.model,)
        if self.name in ("NoiseTunnel", "AdaptiveSamples"):
            made = (library.Saliency(call.model),)
            small |= {"abs": False} | ({} if call.extra is None else {"additional_forward_args": call.extra})
            if self.name == "AdaptiveSamples":
                made = (library.NoiseTunnel(*made),)
        elif self.name == "AdaptiveSteps":
            made = (library.IntegratedGradients(call.model),)
        elif self.name == "AttentionRollout":
            made = (call.model, "mean", 0.9, "bilinear")  # no two weights are alike at the cut
        elif self.at_a_layer:
            made = (call.model, call.layer)
        return kind(*made).attribute(call.inputs, **small | dict(call.given))


def plain_call(case: str) -> Call:
    """Return a call without anything odd, with a model and inputs of its own."""
    own = CASES[case]().copy()
    return Call(own.model, own.inputs, own.targets, layer=own.model.get_submodule(LAYERS[case]))


def _methods() -> Iterator[Method]:
    for name in sorted(pnpxai.attributors.__all__):
        kind = getattr(pnpxai.attributors, name)
        if inspect.isclass(kind) and hasattr(kind, "attribute") and name not in (*NO_MODEL, *BASES, "LayerAttribution"):
            attends = name in ("AttentionRollout", "TransformerAttribution")
            yield Method(name, "vit" if attends else "skip_cnn" if name in ON_PICTURES else "mlp")
    for explainer in every(Explainer, within="pnpxai."):
        fitting = [name for name in LAYERS if reason_against(explainer, CASES[name]()) is None]
        yield Method(explainer.__name__, fitting[0], explainer)


METHODS = tuple(_methods())
"""Every attributor that takes a model and a batch, and every explainer."""
