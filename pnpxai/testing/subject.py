"""What is under test, reduced to what the checks need: how it is made for a model, and what it then gives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.declare.marks import Settings
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.base import Metric
from pnpxai.metrics.positions import position_maps, sensors_apart
from pnpxai.model_types import Attributions, Keywords, Model, ModelInputs, Positional
from pnpxai.tensors import Tensors, as_tuple, flat
from pnpxai.testing.zoo import Case

__all__ = ["Broken", "Counter", "Subject", "attempt", "bright_positions", "close", "counted", "require"]


class Broken(AssertionError):
    """A law does not hold."""


def require(holds: bool | Tensor, law: str, *facts: object) -> None:
    """Raise ``Broken`` with the law and the facts unless it holds."""
    if not holds:
        raise Broken(" ".join([f"{law}:", *map(str, facts)]))


def close(one: Tensors, other: Tensors, tolerance: float) -> bool:
    """Tell whether tensors agree, within a fraction of their largest absolute value; NaN agrees with NaN."""
    if len(one) != len(other) or any(a.shape != b.shape for a, b in zip(one, other, strict=True)):
        return False
    scales = [max(float(b.detach().double().nan_to_num().abs().max()), 1e-300) for b in other]
    return all(
        torch.allclose(a.detach().double(), b.detach().double(), rtol=0, atol=tolerance * scale, equal_nan=True)
        for a, b, scale in zip(one, other, scales, strict=True)
    )


def attempt(law: str, when: str, run: Callable[[], Tensors]) -> Tensors:
    """Return what ``run()`` does; an exception breaks the law."""
    try:
        return run()
    except Exception as error:
        raise Broken(f"{law}: {when}: {error!r}") from error


@dataclass(frozen=True)
class Subject:
    """Something that is asked about batches.

    Attributes:
        name: what it is called.
        make: makes it for a model.
        call: asks it: (what was made, inputs, targets, seed) -> tensors with one row per example.
        cost: its claim: (what was made, inputs) -> rows run through the model. None if it claims nothing.
        stochastic: whether the seed matters.
        control: whether it ignores the model by design.
        maps: whether it gives maps shaped like what is explained (not one number per example).
        of_target: whether what it gives depends on which output is explained.
        known: what it gave for cases, see ``reference``.
    """

    name: str
    make: Callable[[Model], Any]
    call: Callable[[Any, ModelInputs, Target, int | RandomStream], Attributions]
    cost: Callable[[Any, ModelInputs], int] | None = None
    stochastic: bool = False
    control: bool = False
    maps: bool = True
    of_target: bool = True
    known: dict[Case, Tensors] = field(default_factory=dict, compare=False, repr=False)

    def reference(self, case: Case) -> Tensors:
        """Return what it gives for a case as it is, run once for all checks that compare with it."""
        if case not in self.known:
            self.known[case] = self.run(case)
        return self.known[case]

    def run(
        self, case: Case, seed: int | RandomStream = 0, *, model: Model | None = None, targets: Any = None
    ) -> Tensors:
        """Return what it gives for a case (or for another model, or other targets)."""
        made = self.make(case.model if model is None else model)
        return as_tuple(self.call(made, case.inputs, case.targets if targets is None else targets, seed), "result")

    @classmethod
    def of_explainer(cls, explainer: type[Explainer], case: Case, **settings: Any) -> Subject:
        """Return an explainer with some settings; ids are explained at the case's layer where a gradient is taken."""
        if case.layer is not None and explainer.needs_gradient:
            settings = {"layer": case.layer} | settings
        return cls(
            explainer.__name__,
            lambda model: explainer(model, **settings),
            lambda made, inputs, targets, seed: made.attribute(inputs, targets, seed=seed),
            lambda made, inputs: made.cost(inputs),
            explainer.stochastic,
            explainer.control,
            of_target=explainer.explains_target and not explainer.control,
        )

    @classmethod
    def of_attributor(
        cls,
        attributor: type,
        *,
        made_of: Callable[[Model], object] = lambda model: model,
        more: Callable[[Model], Positional] = lambda model: (),
        **arguments: Any,
    ) -> Subject:
        """Return an attributor made of ``made_of(model), *more(model)``, with some arguments of ``attribute``."""
        seeded = "seed" in attributor.attribute.__annotations__
        return cls(
            attributor.__name__,
            lambda model: attributor(made_of(model), *more(model)),
            lambda made, inputs, targets, seed: made.attribute(
                inputs, target=targets, **arguments, **({"seed": seed} if seeded else {})
            ),
            lambda made, inputs: made.cost(inputs, **arguments),
            seeded,
        )

    @classmethod
    def of_metric(cls, metric: type[Metric], case: Case, **settings: Any) -> Subject:
        """Return a metric that judges gradients."""
        at: Settings = {} if case.layer is None else {"layer": case.layer}
        settings = {"channel_dim": case.traits.channel_dim} | settings

        def make(model: Model) -> Metric:
            return metric(model, Gradient(model, **at), **settings)

        def rows(made: Metric, inputs: ModelInputs) -> int:
            return made.cost(inputs) + Gradient(made.model, **at).cost(inputs)

        return cls(
            metric.__name__,
            make,
            lambda made, inputs, targets, seed: (
                made.measure(inputs, targets, masks=bright_positions(made, inputs), seed=seed).values
            ),
            rows,
            stochastic=False,
            maps=False,
        )


def bright_positions(metric: Metric, inputs: ModelInputs) -> Tensors:
    """Return a truth to hold maps against: the positions whose values are above their example's mean."""
    explained = metric.arguments(inputs).explained
    apart = sensors_apart(explained, metric.channel_dim, metric.each_channel)
    maps = position_maps(explained, explained, metric.channel_dim, apart)
    return tuple(m > m.flatten(1).mean(1).reshape(-1, *[1] * (m.ndim - 1)) for m in maps)


class Counter:
    """Counts rows."""

    rows = 0


@contextlib.contextmanager
def counted(model: nn.Module) -> Iterator[Counter]:
    """Count the rows that are run through a model for results, not to get to know the model."""
    counter = Counter()

    def count(module: nn.Module, args: Positional, kwargs: Keywords) -> None:
        counter.rows += 0 if is_probe() else flat((args, kwargs))[0].shape[0]

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield counter
    finally:
        handle.remove()
