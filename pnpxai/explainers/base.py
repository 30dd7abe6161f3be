"""What a user names. A method declares its settings and says which attributor they configure; the rest is here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias

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
from pnpxai.model_types import Model, ModelInputs
from pnpxai.tensors import batch_size, map_tensors, own
from pnpxai.traits import Traits

__all__ = ["Explainer", "baselines_by", "fitting"]

LayerSpec: TypeAlias = Annotated[Any, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


class Explainer(Declared, abstract=True):
    """Distributes a model's output over its inputs, or over the values of a layer.

    A subclass declares its own settings as fields, states what it needs of a model and of data, and returns from
    ``attributor()`` the backend that its settings configure.
    """

    model: Annotated[Callable[..., Any], Bound]
    """The model (a ``torch.nn.Module``; a function of tensors where nothing of its inside is needed)."""
    forward_arg_extractor: Extractor = None
    """Takes the explained arguments of the model out of the inputs."""
    additional_forward_arg_extractor: Extractor = None
    """Takes the model's further arguments out of the inputs."""
    layer: LayerSpec = None
    """A module, a module's name, the name of a forward argument, or several of these: explain their values instead. By
    default, what differentiates explains token ids at the embedding that reads them."""
    n_classes: int | None = None
    """Accepted for compatibility; nothing needs it."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Kinds of layers (see ``ModelFacts``) of which a model must have one, if any are named."""
    needs_module: ClassVar[bool] = False
    """Whether it must see the inside of the model."""
    needs_gradient: ClassVar[bool] = True
    """Whether it differentiates with respect to the inputs."""
    stochastic: ClassVar[bool] = False
    """Whether it draws random numbers, so that its backend takes a seed."""
    control: ClassVar[bool] = False
    """Whether it is there to be beaten, not to explain."""
    explains_target: ClassVar[bool] = True
    """Whether its maps depend on which output is explained."""
    rectified: ClassVar[bool] = False
    """Whether its maps are, by definition, zero everywhere for an output that nothing speaks for."""
    repeated: ClassVar[bool] = False
    """Whether it runs the model many times, so that what comes before a layer is worth recording."""
    first_choice: ClassVar[int | None] = None
    """Place among the explainers to start with, None for the others; of each family the first that fits is taken."""
    smallest: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Settings with which it is cheap enough to try on any model, beside the lowest value of each ``Range``."""
    narrows_gap: ClassVar[str | None] = None
    """The setting that, when it is raised, brings the sum of its attributions closer to what it promises."""
    explains_up_to: ClassVar[int | None] = None
    """Up to which value of that setting ``explain`` goes by itself; None if it takes the value as it is."""
    SUPPORTED_MODULES: ClassVar[SupportedModules] = SupportedModules()
    """The kinds of layers that ``needs`` names, as PnPXAI 0.1 has them."""
    layer_is_site: ClassVar[bool] = True
    """Whether ``layer`` means: explain the values there. Otherwise the backend knows what it does with it."""

    @abstractmethod
    def attributor(self) -> Attributor | Configured:
        """Return the backend that the settings configure."""

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Return why it does not fit such a model and data, or None if it fits."""
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
    def takes(cls, strategy: Any, traits: Traits) -> bool:
        """Tell whether a strategy may be searched; where ids are explained at their embedding, for either's kind."""
        embedded = traits.discrete and cls.needs_gradient and cls.layer_is_site
        return strategy.suits(traits) or (embedded and strategy.suits(replace(traits, discrete=False)))

    def check(self) -> None:
        """Refuse a layer that the model does not have, a layer in a function's place, a class in a model's."""
        if isinstance(self.model, type):
            raise ArgumentError(f"model: expected a model, got the class {self.model.__name__}; make one of it first")
        for name in ("forward_arg_extractor", "additional_forward_arg_extractor"):
            if isinstance(given := getattr(self, name), nn.Module):
                raise ArgumentError(f"{name}: expected a function of the inputs, got {given}; is it for layer=?")
        if self.layer is not None:
            find_places(self.model, self.layer)

    @property
    def forward_func(self) -> Callable[..., Any]:
        """What the backend differentiates or perturbs: the model, as a function of the layer's values where given."""
        if self.layer is None or not self.layer_is_site:
            return self.model
        if isinstance(self.layer, TurnedPlaces):
            return self.layer.forward
        return AtSites(self.model, find_places(self.model, self.layer))

    def attribute(self, inputs: ModelInputs, targets: Target = None, *, seed: int | RandomStream = 0) -> Any:
        """Return attributions: one tensor for one explained argument or layer, a tuple for several.

        Args:
            inputs: a batch: a tensor (examples, ...), a tuple of them, a mapping of keyword arguments, or what
                ``forward_arg_extractor`` reads.
            targets: which output to explain, see ``pnpxai.engine.running.score.Target``.
            seed: fixes what is drawn at random.

        Raises:
            ArgumentError: an argument cannot be used; the message says how to mend it.
        """
        return self.attribute_arguments(self.arguments(inputs), targets, seed)

    def explain(self, inputs: ModelInputs, targets: Target = None, *, seed: int | RandomStream = 0) -> Explanation:
        """Return the attributions with all that belongs to them: targets, scores, settings, gap, time, warnings.

        A method whose law holds in the limit (integrated gradients) is run again with a larger setting where some
        example misses the law by more than 1 % of its scale, up to ``explains_up_to``; ``settings`` has the number
        used. An example whose gap exceeds its scale has no map: it gets NaN, and a warning names it.

        Args:
            inputs: as for ``attribute``.
            targets: which output; by default, where there are several, the largest for each example.
            seed: fixes what is drawn at random.

        Raises:
            ArgumentError: an argument cannot be used; the message says how to mend it.
            UnsuitableError: no example has a map.
        """
        return explain(self, inputs, targets, seed)

    def cost(self, inputs: ModelInputs) -> int:
        """Return how many rows ``attribute(inputs)`` runs through the model.

        At a layer these are one more for each example, to read the values there, and three more where what comes before
        the layer is recorded, to make sure of it; one row more finds the embedding of ids, and one for each example
        what a baseline of ids is there.
        """
        placed, arguments = at_numbers(self, self.arguments(inputs))
        if placed.layer is None or not placed.layer_is_site:
            model, arguments = arguments.by_position(placed.model)
            backend = (placed if model is placed.model else placed.replace(model=model)).attributor()
            return backend.cost(arguments.explained, additional_forward_args=arguments.extra)
        with borrowed(placed.model, gradients=False):
            run = Run.of(placed, arguments, stop=True)
        reads = (4 if records(placed, arguments) else 1) + len(of_ids(placed.settings(), arguments))
        return run.explainer.attributor().cost(run.values) + batch_size(run.inputs) * reads + (placed is not self)

    def arguments(self, inputs: ModelInputs) -> Arguments:
        """Return what ``inputs`` mean to the model."""
        return Arguments.read(inputs, self.forward_arg_extractor, self.additional_forward_arg_extractor, self.model)

    def attribute_arguments(self, arguments: Arguments, targets: Target, seed: int | RandomStream = 0) -> Any:
        """Do what ``attribute`` does, for arguments that have been read already."""
        with borrowed(self.model, gradients=self.needs_gradient):
            members = Run.of(self, arguments).attributions(targets, seed)
        return members[0] if len(members) == 1 else members

    def predictions(self, inputs: ModelInputs) -> Tensor | None:
        """Return (examples,) the index of the largest output, None unless there are several, in one row per example."""
        call = map_tensors(own, self.arguments(inputs).call())
        with borrowed(self.model, gradients=False):
            return predicted(self.model(*call.args, **call.kwargs))


def fitting(
    model: Model, traits: Traits | None, explainers: list[type[Explainer]], inputs: ModelInputs = None
) -> dict[type[Explainer], str | None]:
    """Return, for each explainer, why it does not fit the model and data, or None; see ``detect`` for ``inputs``."""
    if not callable(model):
        raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
    facts = detect(model, inputs)
    return {explainer: explainer.reason_against(facts, traits) for explainer in explainers}
