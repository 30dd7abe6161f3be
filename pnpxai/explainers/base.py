"""What a user names. A method declares its settings and says which attributor they configure; the rest is here."""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.attributors.base import Attributor, Configured, FromInputs
from pnpxai.declare import Bound, Declared
from pnpxai.detector import ModelFacts, detect
from pnpxai.engine.guard import borrowed
from pnpxai.engine.score import Score, Target, select_output
from pnpxai.engine.seeds import Stream
from pnpxai.engine.site import AtSites, Call, find_places
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.explanation import Explanation
from pnpxai.strategies.baselines import Baseline
from pnpxai.tensors import Tensors, as_tuple, batch_size, check_finite, own
from pnpxai.traits import Traits

__all__ = ["Explainer", "Extractor", "baselines_by", "fitting", "model_call"]

Extractor: TypeAlias = Callable[[Any], Any] | None
LayerSpec: TypeAlias = Annotated[Any, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


def model_call(inputs: Any, extractor: Extractor, additional: Extractor) -> Call:
    """Return the call that explains ``inputs``: what is explained as ``args`` (or ``kwargs``, from a mapping), then the rest.

    Args:
        inputs: a tensor, a tuple of tensors, a mapping of keyword arguments, or anything that the extractors read.
        extractor: takes the explained arguments out of ``inputs``; by default all of it is explained.
        additional: takes the model's further arguments out of ``inputs``.
    """
    explained = inputs if extractor is None else extractor(inputs)
    if isinstance(explained, Mapping):
        return Call((), dict(explained))
    extra = () if additional is None else additional(inputs)
    extra = extra if isinstance(extra, tuple) else tuple(extra) if isinstance(extra, list) else (extra,)
    return Call((as_tuple(explained), extra))


def baselines_by(baseline_fn: Baseline) -> FromInputs:
    """Return the setting of a backend that compares each input with its own baseline."""
    return FromInputs(lambda inputs: tuple(baseline_fn(own(x)) for x in inputs))


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
    """A module, a module's name, the name of a forward argument, or several of these: explain their values instead."""
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
        if cls.needs_gradient and traits is not None and traits.discrete:
            return "differentiates its inputs, which are ids here; give layer=, the embedding"
        return None

    def check(self) -> None:
        """Refuse a layer that the model does not have."""
        if self.layer is not None:
            find_places(self.model, self.layer)

    @property
    def forward_func(self) -> Callable[..., Any]:
        """What the backend differentiates or perturbs: the model, as a function of the layer's values if one is given."""
        if self.layer is None or not self.layer_is_site:
            return self.model
        return AtSites(self.model, find_places(self.model, self.layer))

    def attribute(self, inputs: Any, targets: Target = None, *, seed: int | Stream = 0) -> Any:
        """Return attributions: one tensor for one explained argument or layer, a tuple for several.

        Args:
            inputs: a batch: a tensor (examples, ...), a tuple of them, a mapping of keyword arguments, or what
                ``forward_arg_extractor`` reads.
            targets: which output to explain, see ``pnpxai.engine.score.Target``.
            seed: fixes what is drawn at random.

        Raises:
            ArgumentError: an argument cannot be used; the message says how to mend it.
        """
        return self._run(inputs, targets, seed, with_gap=False)[0]

    def explain(self, inputs: Any, targets: Target = None, *, seed: int | Stream = 0) -> Explanation:
        """Return the attributions with all that belongs to them: targets, scores, settings, gap, time, warnings.

        Args:
            inputs: as for ``attribute``.
            targets: which output; by default, where there are several, the largest for each example.
            seed: fixes what is drawn at random.
        """
        targets = self.predictions(inputs) if targets is None else targets
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            attributions, gap = self._run(inputs, targets, seed, with_gap=True)
        seconds = time.perf_counter() - start
        return Explanation(
            explainer=type(self).__name__,
            settings={name: value for name, value in self.settings().items() if value is not None},
            attributions=as_tuple(attributions, "attributions"),
            inputs=self.explained(inputs),
            targets=targets,
            scores=self.scores(inputs, targets),
            gap=gap,
            seconds=seconds,
            warnings=tuple(str(warning.message) for warning in caught),
        )

    def cost(self, inputs: Any) -> int:
        """Return how many rows ``attribute(inputs)`` runs through the model."""
        values = self.explained(inputs)
        reading = batch_size(values) if self.layer is not None and self.layer_is_site else 0
        return self.attributor().cost(values) + reading

    def explained(self, inputs: Any) -> Tensors:
        """Return the model's explained arguments in ``inputs``."""
        call = model_call(inputs, self.forward_arg_extractor, self.additional_forward_arg_extractor)
        return call.args[0] if call.args else tuple(v for v in call.kwargs.values() if isinstance(v, Tensor))

    def scores(self, inputs: Any, targets: Target) -> Tensor:
        """Return (examples,) the model's output at the targets."""
        with borrowed(self.model, gradients=False):
            tensors, forward, extra = self._whole(inputs)
            return Score.of(forward, tensors, targets, extra)(tensors)

    def predictions(self, inputs: Any) -> Tensor | None:
        """Return (examples,) the index of the largest output, None for a model with a single one."""
        with borrowed(self.model, gradients=False):
            tensors, forward, extra = self._whole(inputs)
            output = select_output(forward(*tensors, *extra))
        return None if output.ndim < 2 or output.shape[-1] == 1 else output.argmax(-1)

    def _whole(self, inputs: Any) -> tuple[Tensors, Callable[..., Any], tuple[Any, ...]]:
        call = model_call(inputs, self.forward_arg_extractor, self.additional_forward_arg_extractor)
        if call.args:
            return call.args[0], self.model, call.args[1]
        names = [name for name, value in call.kwargs.items() if isinstance(value, Tensor)]
        return self.explained(inputs), _by_keyword(self.model, names), (call,)

    def _run(self, inputs: Any, targets: Target, seed: int | Stream, *, with_gap: bool) -> tuple[Any, Tensor | None]:
        call = model_call(inputs, self.forward_arg_extractor, self.additional_forward_arg_extractor)
        if call.kwargs and self.layer is None:
            return self._by_arguments(call)._run(inputs, targets, seed, with_gap=with_gap)
        with borrowed(self.model, gradients=self.needs_gradient):
            values, extra = self._values(call)
            arguments: dict[str, Any] = {"target": targets, "additional_forward_args": extra}
            if self.stochastic:
                arguments["seed"] = seed
            backend = self.attributor()
            if with_gap:
                result, gap = backend.attribute_with_gap(values, **arguments)
            else:
                result, gap = backend.attribute(values, **arguments), None
        members = as_tuple(result, "attributions")
        check_finite("attributions", members)
        return members[0] if len(members) == 1 else members, gap

    def _values(self, call: Call) -> tuple[Tensors, tuple[Any, ...]]:
        if self.layer is None or not self.layer_is_site:
            return call.args[0], call.args[1]
        whole = Call((*call.args[0], *call.args[1]), {}) if call.args else call
        values, at = AtSites(self.model, find_places(self.model, self.layer)).read(whole)
        return values, (at,)

    def _by_arguments(self, call: Call) -> Explainer:
        names = tuple(n for n, v in call.kwargs.items() if isinstance(v, Tensor) and v.is_floating_point())
        if not names or not self.layer_is_site:
            raise UnsuitableError(
                f"{type(self).__name__}: the inputs {sorted(call.kwargs)} hold no floating point tensor to explain; "
                "for token ids, give layer=, the embedding"
            )
        return self.replace(layer=names)


def _by_keyword(model: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    def forward(*values_and_call: Any) -> Any:
        *values, call = values_and_call
        return model(**(call.kwargs | dict(zip(names, values, strict=True))))

    return forward


def fitting(model: Any, traits: Traits | None, explainers: list[type[Explainer]]) -> dict[type[Explainer], str | None]:
    """Return, for each explainer, why it does not fit the model and data, or None."""
    facts = detect(model)
    if not callable(model):
        raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
    return {explainer: explainer.reason_against(facts, traits) for explainer in explainers}
