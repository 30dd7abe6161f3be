"""Defines explainers. A method declares its settings, and says which attributor they configure; the rest is here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.attributors.base import Attributor, Configured
from pnpxai.declare.declared import Bound, Declared
from pnpxai.detector import ModelFacts, detect
from pnpxai.engine.running.arguments import Arguments, Extractor
from pnpxai.engine.running.examples_axis import TurnedPlaces
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.engine.running.site import AtSites, find_places
from pnpxai.errors import ArgumentError
from pnpxai.explainers.baseline_adapters import baselines_by, of_ids
from pnpxai.explainers.explain import explain, predicted
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.explainers.run import Run, at_numbers, records
from pnpxai.explainers.supported import SupportedModules
from pnpxai.model_types import Attributions, Layer, Model, ModelInputs
from pnpxai.tensors import batch_size, map_tensors, own
from pnpxai.traits import Traits

if TYPE_CHECKING:
    from pnpxai.strategies.base import Strategy

__all__ = ["Explainer", "baselines_by", "fitting"]

LayerSpec: TypeAlias = Annotated[
    Layer, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]


class Explainer(Declared, abstract=True):
    """Distributes a model's output over its inputs, or over the values of a layer.

    A subclass declares its own settings as fields, states what it needs of a model and of data, and returns from
    ``attributor()`` the backend that its settings configure.
    """

    model: Annotated[Model, Bound]
    """Model: a ``torch.nn.Module``, or a function of tensors for methods that do not look inside the model."""
    forward_arg_extractor: Extractor = None
    """Function that takes the explained arguments of the model out of the inputs."""
    additional_forward_arg_extractor: Extractor = None
    """Function that takes the model's further arguments out of the inputs."""
    layer: LayerSpec = None
    """Module, name of a module, name of a forward argument, or several of these, whose values are explained instead of
    the inputs. By default, methods that differentiate explain token ids at the embedding that reads them."""
    n_classes: int | None = None
    """Accepted for compatibility and not used."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Kinds of layers (see ``ModelFacts``) of which a model must have at least one, if any are named."""
    needs_module: ClassVar[bool] = False
    """True if the explainer must see the inside of the model."""
    needs_gradient: ClassVar[bool] = True
    """True if the explainer differentiates with respect to the inputs."""
    stochastic: ClassVar[bool] = False
    """True if the explainer draws random numbers, so that its backend takes a seed."""
    draws: ClassVar[str | None] = None
    """Name of the setting that is the number of samples, if their mean has a standard error."""
    control: ClassVar[bool] = False
    """True if the explainer explains nothing and is there to be beaten."""
    explains_target: ClassVar[bool] = True
    """True if the map depends on the output that is explained."""
    rectified: ClassVar[bool] = False
    """True if, by definition, the map is zero everywhere for an output without evidence in favour."""
    drawn_signed: ClassVar[bool] = True
    """False if pictures of the map usually show its positive part alone, what speaks for the target."""
    repeated: ClassVar[bool] = False
    """True if the explainer runs the model many times, so that recording the part before a layer pays."""
    first_choice: ClassVar[int | None] = None
    """Rank among the explainers to start with, None for the others; the first that fits of each family is taken."""
    smallest: ClassVar[Mapping[str, object]] = MappingProxyType({})
    """Settings that make the explainer cheap enough for a trial run, besides the lowest value of each ``Range``."""
    narrows_gap: ClassVar[str | None] = None
    """Name of the setting that brings the sum of the attributions closer to the promised sum when it is raised."""
    explains_up_to: ClassVar[int | None] = None
    """Largest value to which ``explain`` raises that setting by itself; None if it never raises the setting."""
    SUPPORTED_MODULES: ClassVar[SupportedModules] = SupportedModules()
    """Kinds of layers that ``needs`` names, in PnPXAI 0.1's form."""
    layer_is_site: ClassVar[bool] = True
    """True if ``layer`` means that its values are explained. False if the backend uses the layer in its own way."""

    @abstractmethod
    def attributor(self) -> Attributor | Configured:
        """Return the backend that the settings configure."""

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Return the reason why the explainer does not fit such a model and data, or None if it fits."""
        if cls.needs_gradient and not facts.differentiable:
            return f"needs gradients, which {facts.name} does not have"
        if cls.needs_module and not facts.is_module:
            return f"needs a torch.nn.Module; {facts.name} hides its layers"
        if cls.needs and not cls.needs & facts.parts:
            return (
                f"needs {' or '.join(sorted(cls.needs))}; {facts.name} has {', '.join(sorted(facts.parts)) or 'none'}"
            )
        if cls.needs_gradient and traits is not None and traits.discrete and not facts.has("embedding"):
            return f"differentiates its inputs, which are ids here, and {facts.name} has no embedding; give layer="
        return None

    @classmethod
    def takes(cls, strategy: type[Strategy], traits: Traits) -> bool:
        """Return whether a strategy may be searched on such data.

        If ids are explained at their embedding, strategies for ids and strategies for embeddings both fit.
        """
        embedded = traits.discrete and cls.needs_gradient and cls.layer_is_site
        return strategy.suits(traits) or (embedded and strategy.suits(replace(traits, discrete=False)))

    def check(self) -> None:
        """Refuse a layer that the model does not have, a module instead of an extractor, a class instead of a model."""
        if isinstance(self.model, type):
            raise ArgumentError(f"model: expected a model, got the class {self.model.__name__}; make one of it first")
        for name in ("forward_arg_extractor", "additional_forward_arg_extractor"):
            if isinstance(extractor := getattr(self, name), nn.Module):
                raise ArgumentError(f"{name}: expected a function of the inputs, got {extractor}; is it for layer=?")
        if self.layer is not None:
            find_places(self.model, self.layer)

    @property
    def forward_func(self) -> Model:
        """The function that the backend differentiates or perturbs: the model, or its part from ``layer`` on."""
        if self.layer is None or not self.layer_is_site:
            return self.model
        if isinstance(self.layer, TurnedPlaces):
            return self.layer.forward
        return AtSites(self.model, find_places(self.model, self.layer))

    def attribute(self, inputs: ModelInputs, targets: Target = None, *, seed: int | RandomStream = 0) -> Attributions:
        """Return attributions: one tensor for one explained argument or layer, a tuple for several.

        Args:
            inputs: a batch: a tensor (examples, ...), a tuple of them, a mapping of keyword arguments, or any object
                that ``forward_arg_extractor`` reads.
            targets: the output to explain, see ``pnpxai.engine.running.score.Target``.
            seed: seed of the random draws.

        Raises:
            ArgumentError: an argument cannot be used; the message says how to mend it.
        """
        return self.attribute_arguments(self.arguments(inputs), targets, seed)

    def explain(self, inputs: ModelInputs, targets: Target = None, *, seed: int | RandomStream = 0) -> Explanation:
        """Return the attributions with all that belongs to them: targets, scores, settings, gap, time, warnings.

        A method whose law holds in the limit (integrated gradients) runs again with a larger setting, up to
        ``explains_up_to``, for examples that miss the law by more than 1 % of their scale; ``used`` has the value for
        each example. An example whose gap exceeds its scale has no map: it gets NaN, and a warning names it.

        Args:
            inputs: as for ``attribute``.
            targets: the output to explain; by default, where there are several, the largest for each example.
            seed: seed of the random draws.

        Raises:
            ArgumentError: an argument cannot be used; the message says how to mend it.
            UnsuitableError: no example has a map.
        """
        return explain(self, inputs, targets, seed)

    def cost(self, inputs: ModelInputs) -> int:
        """Return the number of rows that ``attribute(inputs)`` runs through the model.

        At a layer, each example needs one row more to read the values there, and three more to verify a recording of
        the part before the layer. Ids need one row more to find their embedding, and one for each example to embed a
        baseline of ids.
        """
        return self.cost_of(self.arguments(inputs))

    def cost_of(self, arguments: Arguments) -> int:
        """Return what ``cost`` does, for arguments that have been read already."""
        placed, arguments = at_numbers(self, arguments)
        if placed.layer is None or not placed.layer_is_site:
            model, arguments = arguments.by_position(placed.model)
            backend = (placed if model is placed.model else placed.replace(model=model)).attributor()
            return backend.cost(arguments.explained, additional_forward_args=arguments.extra)
        with borrowed(placed.model, gradients=False):
            run = Run.of(placed, arguments, stop=True)
        reads = (4 if records(placed, arguments) else 1) + len(of_ids(placed.settings(), arguments))
        return run.explainer.attributor().cost(run.values) + batch_size(run.inputs) * reads + (placed is not self)

    def arguments(self, inputs: ModelInputs) -> Arguments:
        """Return ``inputs`` as arguments of the model."""
        return Arguments.read(inputs, self.forward_arg_extractor, self.additional_forward_arg_extractor, self.model)

    def attribute_arguments(self, arguments: Arguments, targets: Target, seed: int | RandomStream = 0) -> Attributions:
        """Return the attributions of arguments that have been read already, as ``attribute`` does."""
        with borrowed(self.model, gradients=self.needs_gradient):
            members = Run.of(self, arguments).attributions(targets, seed)
        return members[0] if len(members) == 1 else members

    def predictions(self, inputs: ModelInputs) -> Tensor | None:
        """Return (examples,) the index of the largest output; None unless the output is (examples, several)."""
        call = map_tensors(own, self.arguments(inputs).call())
        with borrowed(self.model, gradients=False):
            return predicted(self.model(*call.args, **call.kwargs))


def fitting(
    model: Model, traits: Traits | None, explainers: list[type[Explainer]], inputs: ModelInputs = None
) -> dict[type[Explainer], str | None]:
    """Return for each explainer the reason why it does not fit, or None; ``inputs`` are those of ``detect``."""
    if not callable(model):
        raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
    facts = detect(model, inputs)
    return {explainer: explainer.reason_against(facts, traits) for explainer in explainers}
