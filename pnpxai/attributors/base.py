"""Defines attributors: what every one of them offers, and the kinds at a layer and around another attributor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.attributors.outcome import Outcome
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score, Target
from pnpxai.errors import ArgumentError, NonFiniteError
from pnpxai.model_types import Attributions, ForwardArgs, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, batch_size, check_finite, flat, sum_rows

__all__ = [
    "Around",
    "AtLayer",
    "AtLayerWithFactor",
    "Attributor",
    "Configured",
    "FromInputs",
    "Outcome",
    "prepared",
]

Inputs: TypeAlias = Tensor | Tensors
"""Explained inputs: a tensor (examples, ...), or a tuple of these."""


class Attributor(ABC):
    """Distributes a model's output over its inputs (or over the values of a layer).

    Common arguments of ``attribute``, throughout this package:

    - ``inputs``: the explained tensor (examples, ...), or a tuple of tensors.
    - ``target``: the output to explain, see ``pnpxai.engine.running.score.Target``.
    - ``additional_forward_args``: further arguments of the model; tensors with one row per example follow the examples,
      all others are shared.
    - ``attribute_to_layer_input``: for methods at a layer, explain the input of the layer instead of its output.
    - ``internal_batch_size``, ``nt_samples_batch_size``, ``perturbations_per_eval`` above 1: largest number of rows (of
      copies of each example, of perturbations) in one pass. By default (None, or 1 perturbation) the device decides how
      many rows, up to 1,024 on a CPU; captum runs all together, or one perturbation at a time.
    - ``grad_kwargs``: arguments for ``torch.autograd.grad``.
    - ``show_progress``: show a progress bar.

    Results have the shape, dtype, device and packing (bare or tuple) of the explained tensors, are detached, and do not
    depend on which examples share a batch. The model is left as it was.
    """

    shares_baselines: ClassVar[bool] = False
    """True if baselines are rows with which all examples are compared, instead of one row for each example."""

    _multiply_by_inputs: bool = False
    _has_convergence_delta: ClassVar[bool] = False

    def __init__(self, forward_func: Model) -> None:
        if not callable(forward_func):
            raise ArgumentError(f"forward_func: expected a model or a function, got {type(forward_func).__name__}")
        self.forward_func = forward_func

    @abstractmethod
    def attribute(self, inputs: ModelInputs, *args: Any, **kwargs: Any) -> Attributions:
        """Return attributions of ``inputs``."""

    @property
    def multiplies_by_inputs(self) -> bool:
        """True if the result is a share of the output (a gradient times a difference), not a sensitivity."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Return whether the attributions promise to sum to a difference of outputs."""
        return self._has_convergence_delta

    def compute_convergence_delta(
        self,
        attributions: Tensor | Tensors,
        start_point: Baselines,
        end_point: ModelInputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
    ) -> Tensor:
        """Return (examples,) ``sum(attributions) - (F(end_point) - F(start_point))``."""
        ends, score = prepared(self.forward_func, end_point, target, additional_forward_args)
        starts = broadcast_baselines(start_point, ends, "start_point")
        with borrowed(self.forward_func, gradients=False):
            return completeness_gap(flat(attributions), score(starts), score(ends))

    def delta_of(
        self,
        attributions: Attributions,
        computed: Tensor,
        baselines: Baselines,
        inputs: ModelInputs,
        target: Target,
        extra: ForwardArgs,
    ) -> Tensor:
        """Return the computed delta, or that of ``compute_convergence_delta`` where a subclass defines its own."""
        if type(self).compute_convergence_delta is Attributor.compute_convergence_delta:
            return computed
        return self.compute_convergence_delta(
            attributions, baselines, inputs, target=target, additional_forward_args=extra
        )

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the attributions together with all that is known of their exactness."""
        if not self.has_convergence_delta():
            return Outcome(self.attribute(inputs, **arguments))
        attributions, deltas = self.attribute(inputs, **arguments, return_convergence_delta=True)
        # an example with several samples or baselines has several deltas, side by side: their mean counts
        size = as_tuple(inputs)[0].shape[0]
        return Outcome(attributions, deltas.reshape(size, -1).mean(1) if deltas.numel() > size else deltas)

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return the number of rows that ``attribute(inputs, **settings)`` runs through the model."""
        return batch_size(as_tuple(inputs))

    def attribute_future(self) -> NoReturn:
        """Raise: pnpxai does not compute in the background. Call ``attribute`` in a thread instead."""
        raise NotImplementedError(f"{type(self).__name__} has no attribute_future; call attribute in a thread instead")

    def configured(self, **settings: object) -> Configured:
        """Return this attributor with some arguments of ``attribute`` fixed."""
        return Configured(self, settings)


class AtLayer(Attributor):
    """Is an attributor of the values of a layer: a module, a module's name, or a list of these.

    A layer must run once in a forward pass, since a layer that runs twice has two values. ``device_ids`` is accepted
    for compatibility and not used: a model runs on its own device.
    """

    def __init__(self, forward_func: Model, layer: Layer, device_ids: Sequence[int] | None = None) -> None:
        super().__init__(forward_func)
        self.layer = layer
        self.device_ids = device_ids


class AtLayerWithFactor(AtLayer):
    """Is an attributor at a layer that multiplies gradients by a difference of values.

    ``multiply_by_inputs=False`` leaves out that factor.
    """

    def __init__(
        self,
        forward_func: Model,
        layer: Layer,
        device_ids: Sequence[int] | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        super().__init__(forward_func, layer, device_ids)
        self._multiply_by_inputs = multiply_by_inputs


class Around(Attributor):
    """Is an attributor that runs another attributor several times."""

    def __init__(self, attribution_method: Attributor | Configured) -> None:
        if not hasattr(attribution_method, "attribute"):
            raise ArgumentError(f"attribution_method: expected an attributor, got {type(attribution_method).__name__}")
        super().__init__(attribution_method.forward_func)
        self.attribution_method = attribution_method

    @property
    def multiplies_by_inputs(self) -> bool:
        """True if the wrapped attributor's result is a share of the output."""
        return self.attribution_method.multiplies_by_inputs


class FromInputs:
    """Marks a setting that is computed from the inputs of each call, such as a baseline."""

    def __init__(self, function: Callable[[Tensors], object]) -> None:
        self.function = function


class Configured:
    """Is an attributor with some arguments of its ``attribute`` fixed, or computed from the inputs (``FromInputs``).

    All other attributes (``forward_func``, ``has_convergence_delta``, ...) are those of the attributor.
    """

    def __init__(self, attributor: Attributor, settings: dict[str, object]) -> None:
        self.attributor = attributor
        self.settings = settings

    def arguments(self, inputs: ModelInputs) -> dict[str, object]:
        """Return the fixed arguments for these inputs."""
        tensors = as_tuple(inputs)
        return {n: v.function(tensors) if isinstance(v, FromInputs) else v for n, v in self.settings.items()}

    def attribute(self, inputs: ModelInputs, **arguments: object) -> Attributions:
        """Call the attributor with the fixed arguments and these."""
        return self.attributor.attribute(inputs, **(self.arguments(inputs) | arguments))

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Call the attributor's ``attribute_detailed`` in the same way."""
        return self.attributor.attribute_detailed(inputs, **(self.arguments(inputs) | arguments))

    def cost(self, inputs: ModelInputs, **arguments: object) -> int:
        """Return the number of rows that ``attribute(inputs, **arguments)`` runs through the model."""
        return self.attributor.cost(inputs, **(self.arguments(inputs) | arguments))

    def forward(
        self, forward_args: ModelInputs, targets: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Attributions:
        """Return ``attribute`` of arguments in PnPXAI 0.1's order."""
        return self.attribute(forward_args, target=targets, additional_forward_args=additional_forward_args)

    def __enter__(self) -> Self:
        """Return itself. PnPXAI 0.1 used attributors in a ``with`` block; here the block has no effect."""
        return self

    def __exit__(self, *problem: object) -> None:
        """Leave the block."""

    def __getattr__(self, name: str) -> Any:
        """Return the attributor's attribute of that name."""
        if name == "attributor":  # ``copy`` asks before the attribute is set
            raise AttributeError(name)
        return getattr(self.attributor, name)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self.attributor).__name__}({settings})"


def prepared(forward: Model, inputs: ModelInputs, target: Target, extra: ForwardArgs) -> tuple[Tensors, Score]:
    """Return the inputs as a tuple and their score, both checked."""
    tensors = as_tuple(inputs)
    score = Score.of(forward, tensors, target, extra)
    check_inputs(tensors, score)
    return tensors, score


def check_inputs(tensors: Tensors, score: Score) -> None:
    """Refuse NaN and infinity in inputs, unless the model returns finite scores for them (NaN may mark missing data).

    Raises:
        NonFiniteError: says in which tensor, in which example and how often.
    """
    try:
        check_finite("inputs", tensors)
    except NonFiniteError as in_inputs:
        with torch.no_grad():
            try:
                score(tensors)  # which refuses what is not finite
            except NonFiniteError:
                raise in_inputs from None


def completeness_gap(attributions: Tensors, start: Tensor, end: Tensor) -> Tensor:
    """Return (examples,) ``sum(attributions) - (end - start)``."""
    total = sum(sum_rows(a, end.numel()) for a in attributions)
    return (total - (end - start)).detach()
