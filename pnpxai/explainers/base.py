"""What a user names. A method declares its settings and says which attributor they configure; the rest is here."""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.attributors.base import Attributor, Configured
from pnpxai.declare.declared import Bound, Declared
from pnpxai.detector import ModelFacts, detect
from pnpxai.engine.running.arguments import Arguments, Extractor
from pnpxai.engine.running.embeddings import at_embeddings, run_first
from pnpxai.engine.running.examples_axis import ExamplesFirst, TurnedPlaces
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target, select_output
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.engine.running.site import AtSites, Site, find_places
from pnpxai.errors import ArgumentError
from pnpxai.explainers.baseline_adapters import baselines_by, embedded, of_ids
from pnpxai.explainers.results.descriptions import described, of_gap, plain_target
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.tensors import Tensors, as_tuple, batch_size, check_finite, map_tensors, own
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
    narrows_gap: ClassVar[str | None] = None
    """The setting that, when it is raised, brings the sum of its attributions closer to what it promises."""
    layer_is_site: ClassVar[bool] = True
    """Whether ``layer`` means: explain the values there. Otherwise the backend knows what it does with it."""

    @abstractmethod
    def attributor(self) -> Attributor | Configured:
        """Return the backend that the settings configure."""

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Return why it does not fit such a model and data, or None if it fits."""
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

    def attribute(self, inputs: Any, targets: Target = None, *, seed: int | RandomStream = 0) -> Any:
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

    def explain(self, inputs: Any, targets: Target = None, *, seed: int | RandomStream = 0) -> Explanation:
        """Return the attributions with all that belongs to them: targets, scores, settings, gap, time, warnings.

        Args:
            inputs: as for ``attribute``.
            targets: which output; by default, where there are several, the largest for each example.
            seed: fixes what is drawn at random.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            arguments = self.arguments(inputs)
            targets = self.predictions(inputs) if targets is None else targets
            start = time.perf_counter()
            made, arguments = self._at_numbers(arguments)
            attributions, gap, sinks = made._run(arguments, targets, seed, with_gap=True)
            seconds = time.perf_counter() - start
            with borrowed(self.model, gradients=False):
                scores = arguments.score(self.model, targets)(arguments.explained)
        return Explanation(
            explainer=type(self).__name__,
            settings=described(self),
            attributions=as_tuple(attributions, "attributions"),
            inputs=tuple(own(x) for x in arguments.explained),
            targets=plain_target(targets),
            scores=scores,
            gap=gap,
            seconds=seconds,
            warnings=(*(str(warning.message) for warning in caught), *self._told_of(gap, as_tuple(attributions))),
            sinks=sinks,
        )

    def _told_of(self, gap: Tensor | None, attributions: Tensors) -> tuple[str, ...]:
        name = self.narrows_gap
        remedy = f"; a larger {name} (here {getattr(self, name)}) narrows it" if name else ""
        return () if gap is None else of_gap(gap, attributions, remedy)

    def cost(self, inputs: Any) -> int:
        """Return how many rows ``attribute(inputs)`` runs through the model.

        At a layer these are one more for each example, to read the values there, and three more where what comes before
        the layer is recorded, to make sure of it; one row more finds the embedding of ids, and one for each example
        what a baseline of ids is there.
        """
        made, arguments = self._at_numbers(self.arguments(inputs))
        if made.layer is None or not made.layer_is_site:
            model, arguments = arguments.by_position(made.model)
            backend = (made if model is made.model else made.replace(model=model)).attributor()
            return backend.cost(arguments.explained, additional_forward_args=arguments.extra)
        with borrowed(made.model, gradients=False):
            placed, values, _, _ = made._placed(arguments, stop=True)
        runs = (4 if made._records(arguments) else 1) + len(of_ids(made.settings(), arguments))
        return placed.attributor().cost(values) + batch_size(arguments.explained) * runs + (made is not self)

    def arguments(self, inputs: Any) -> Arguments:
        """Return what ``inputs`` mean to the model."""
        return Arguments.read(inputs, self.forward_arg_extractor, self.additional_forward_arg_extractor, self.model)

    def attribute_arguments(self, arguments: Arguments, targets: Target, seed: int | RandomStream = 0) -> Any:
        """Do what ``attribute`` does, for arguments that have been read already."""
        made, arguments = self._at_numbers(arguments)
        return made._run(arguments, targets, seed, with_gap=False)[0]

    def predictions(self, inputs: Any) -> Tensor | None:
        """Return (examples,) the index of the largest output, None unless there are several, in one row per example."""
        call = map_tensors(own, self.arguments(inputs).call())
        with borrowed(self.model, gradients=False):
            output = select_output(self.model(*call.args, **call.kwargs))
        return None if output.ndim != 2 or output.shape[-1] == 1 else output.argmax(-1)

    def _run(
        self, arguments: Arguments, targets: Target, seed: int | RandomStream, *, with_gap: bool
    ) -> tuple[Any, Tensor | None, dict[str, Tensor]]:
        """Return the attributions, and if wanted how far they are from complete, and what went elsewhere."""
        if arguments.names and (self.layer is None or not self.layer_is_site):
            model, arguments = arguments.by_position(self.model)
            return self.replace(model=model)._run(arguments, targets, seed, with_gap=with_gap)
        with borrowed(self.model, gradients=self.needs_gradient):
            made, values, extra, back = self._placed(arguments)
            check_finite("inputs", values)
            given: dict[str, Any] = {"target": targets, "additional_forward_args": extra}
            if self.stochastic:
                given["seed"] = seed
            backend = made.attributor()
            if with_gap:
                result, gap, sinks = backend.attribute_with_sinks(values, **given)
            else:
                result, gap, sinks = backend.attribute(values, **given), None, {}
        members = back(as_tuple(result, "attributions"))
        check_finite("attributions", members)
        return members[0] if len(members) == 1 else members, gap, sinks

    def _at_numbers(self, arguments: Arguments) -> tuple[Self, Arguments]:
        """Return the explainer at the embeddings of ids, if it differentiates, and the arguments that it explains."""
        numbers = all(x.is_floating_point() for x in arguments.explained)
        if numbers or not self.needs_gradient or not self.layer_is_site or self.layer is not None:
            return self, arguments
        with borrowed(self.model, gradients=False):
            places, arguments = at_embeddings(self.model, arguments)
        return self.replace(layer=places), arguments

    def _records(self, arguments: Arguments) -> bool:
        """Tell whether what runs before the layer is recorded, which takes three runs to make sure of."""
        places = find_places(self.model, self.layer)
        sites = all(isinstance(place, Site) for place in places)
        return self.repeated and sites and not run_first(places, arguments)

    def _placed(
        self, arguments: Arguments, *, stop: bool = False
    ) -> tuple[Self, Tensors, tuple[Any, ...], Callable[[Tensors], Tensors]]:
        """Return what explains the values at the layer, these, further arguments, and what undoes a change of axes.

        Without a layer that is the explainer itself, and the explained arguments. With ``stop``, nothing will be run.
        """
        if self.layer is None or not self.layer_is_site:
            return self, arguments.explained, arguments.extra, lambda values: values
        at, size = AtSites(self.model, find_places(self.model, self.layer)), batch_size(arguments.explained)
        read = at.read(arguments.call(), replay=not stop and self._records(arguments), stop=stop, size=size)
        first = ExamplesFirst.of(at, read.values, size)
        values = first.there(read.values)
        baselines = {
            name: embedded(baseline, arguments, lambda call: first.there(at.read(call, stop=True).values), values)
            for name, baseline in of_ids(self.settings(), arguments).items()
        }
        turned = {} if first.still else {"layer": TurnedPlaces.of(first)}
        return self.replace(**baselines, **turned), values, (read.call,), first.back


def fitting(
    model: Any, traits: Traits | None, explainers: list[type[Explainer]], inputs: Any = None
) -> dict[type[Explainer], str | None]:
    """Return, for each explainer, why it does not fit the model and data, or None; see ``detect`` for ``inputs``."""
    if not callable(model):
        raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
    facts = detect(model, inputs)
    return {explainer: explainer.reason_against(facts, traits) for explainer in explainers}
