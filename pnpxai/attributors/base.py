"""Defines what all attributors share: the model as a function, checked arguments, convergence deltas."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score, Target
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.model_types import ForwardArgs, Model, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, batch_size, check_finite, flat, sum_rows

__all__ = [
    "Around",
    "AtLayer",
    "Attributor",
    "Baselines",
    "Configured",
    "FromInputs",
    "Outcome",
    "broadcast_baselines",
    "distribution_rows",
    "prepared",
]

Inputs: TypeAlias = Tensor | Tensors
"""What is explained: a tensor (examples, ...), or a tuple of these."""
Baselines: TypeAlias = None | int | float | Tensor | tuple[int | float | Tensor, ...]
"""What an input is compared with: None (zero), a number, a tensor of the input's shape or with one row, or a tuple of
these, one for each input."""


@dataclass(frozen=True)
class Outcome:
    """The attributions of a batch, and how far they can be relied upon.

    Attributes:
        attributions: what ``attribute`` returns.
        gap: (examples,) how far the attributions are from the sum that the method promises; None without a promise.
        sinks: (examples,) relevance that went elsewhere than to the inputs, by the name of what took it.
        standard_error: the standard error of each attribution, in the form of the attributions; None without samples.
        base_value: (examples,) the score that the attributions start from, where the method knows it.
        degrees_of_freedom: of Student's t distribution, of which the standard errors are the scale.
        feature_mask: for each input the group of every element, whose value stands at all its elements; -1 where an
            element is in none. None where every element has a value of its own.
        group_values: (examples, groups) the value of each group, once.
        notes: what must be said of the attributions before they are read.
    """

    attributions: Any
    gap: Tensor | None = None
    sinks: Mapping[str, Tensor] = field(default_factory=dict)
    standard_error: Any = None
    base_value: Tensor | None = None
    degrees_of_freedom: int | None = None
    feature_mask: Tensors | None = None
    group_values: Tensor | None = None
    notes: tuple[str, ...] = ()


class Attributor(ABC):
    """Distributes a model's output over its inputs (or the values of a layer).

    Common arguments of ``attribute``, throughout this package:

    - ``inputs``: a tensor (examples, ...) or a tuple of them; they are what is explained.
    - ``target``: which output to explain, see ``pnpxai.engine.running.score.Target``.
    - ``additional_forward_args``: further arguments of the model; tensors with one row per example follow the examples,
      all others are shared.
    - ``attribute_to_layer_input``: of methods at a layer, look at what goes into it instead of what comes out.
    - ``internal_batch_size``: at most so many rows in one pass (by default what suits the device).
    - ``grad_kwargs``: passed on to ``torch.autograd.grad``.
    - ``show_progress``: show a progress bar.

    Results have the shape, dtype, device and packing (bare or tuple) of what they explain, are detached, and do not
    depend on which examples share a batch. The model is given back as it was.
    """

    shares_baselines: ClassVar[bool] = False
    """Whether baselines are rows that all examples are compared with, instead of one row for each."""

    _multiply_by_inputs: bool = False
    _has_convergence_delta: ClassVar[bool] = False

    def __init__(self, forward_func: Model) -> None:
        if not callable(forward_func):
            raise ArgumentError(f"forward_func: expected a model or a function, got {type(forward_func).__name__}")
        self.forward_func = forward_func

    @abstractmethod
    def attribute(self, inputs: ModelInputs, *args: Any, **kwargs: Any) -> Any:
        """Return attributions of ``inputs``."""

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the result is a share of the output (a gradient times a difference), not a sensitivity."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Return whether the attributions promise to sum to a difference of outputs."""
        return self._has_convergence_delta

    def compute_convergence_delta(
        self,
        attributions: Tensor | Tensors,
        start_point: Any,
        end_point: Any,
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
        attributions: Any,
        computed: Tensor,
        baselines: Any,
        inputs: ModelInputs,
        target: Target,
        extra: ForwardArgs,
    ) -> Tensor:
        """Return the delta of attributions: the computed one, unless a subclass has its own way to compute deltas."""
        if type(self).compute_convergence_delta is Attributor.compute_convergence_delta:
            return computed
        return self.compute_convergence_delta(
            attributions, baselines, inputs, target=target, additional_forward_args=extra
        )

    def attribute_detailed(self, inputs: ModelInputs, **arguments: Any) -> Outcome:
        """Return what ``attribute`` returns, with all that is known of its exactness."""
        if not self.has_convergence_delta():
            return Outcome(self.attribute(inputs, **arguments))
        attributions, deltas = self.attribute(inputs, **arguments, return_convergence_delta=True)
        # of several samples or baselines for each example, side by side, the mean counts
        size = as_tuple(inputs)[0].shape[0]
        return Outcome(attributions, deltas.reshape(size, -1).mean(1) if deltas.numel() > size else deltas)

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return how many rows ``attribute(inputs, **settings)`` runs through the model."""
        return batch_size(as_tuple(inputs))

    def attribute_future(self) -> NoReturn:
        """Not offered: computing in the background is left to the caller."""
        raise NotImplementedError(f"{type(self).__name__} has no attribute_future; call attribute in a thread instead")

    def configured(self, **settings: Any) -> Configured:
        """Return this attributor with some arguments of ``attribute`` fixed."""
        return Configured(self, settings)


class AtLayer(Attributor):
    """An attributor of the values of a layer: a module, a module's name, or a list of these.

    A layer must run once in a forward pass: of one that runs more often, which value is meant? ``device_ids`` is
    accepted for compatibility: a model runs on its own device.
    """

    def __init__(self, forward_func: Model, layer: Any, device_ids: Sequence[int] | None = None) -> None:
        super().__init__(forward_func)
        self.layer = layer
        self.device_ids = device_ids


class Around(Attributor):
    """An attributor that runs another one several times."""

    def __init__(self, attribution_method: Any) -> None:
        if not hasattr(attribution_method, "attribute"):
            raise ArgumentError(f"attribution_method: expected an attributor, got {type(attribution_method).__name__}")
        super().__init__(attribution_method.forward_func)
        self.attribution_method = attribution_method

    @property
    def multiplies_by_inputs(self) -> bool:
        """As the wrapped attributor."""
        return self.attribution_method.multiplies_by_inputs


class FromInputs:
    """A setting that is made of the inputs of each call, such as a baseline."""

    def __init__(self, function: Callable[[Tensors], Any]) -> None:
        self.function = function


class Configured:
    """An attributor with some arguments of its ``attribute`` fixed, or made of the inputs (``FromInputs``).

    All else (``forward_func``, ``has_convergence_delta``, ...) is the attributor's own.
    """

    def __init__(self, attributor: Attributor, settings: dict[str, Any]) -> None:
        self.attributor = attributor
        self.settings = settings

    def arguments(self, inputs: ModelInputs) -> dict[str, Any]:
        """Return the fixed arguments for these inputs."""
        tensors = as_tuple(inputs)
        return {n: v.function(tensors) if isinstance(v, FromInputs) else v for n, v in self.settings.items()}

    def attribute(self, inputs: ModelInputs, **arguments: Any) -> Any:
        """Call the attributor with the fixed arguments and these."""
        return self.attributor.attribute(inputs, **(self.arguments(inputs) | arguments))

    def attribute_detailed(self, inputs: ModelInputs, **arguments: Any) -> Outcome:
        """Call the attributor's ``attribute_detailed`` in the same way."""
        return self.attributor.attribute_detailed(inputs, **(self.arguments(inputs) | arguments))

    def cost(self, inputs: ModelInputs, **arguments: Any) -> int:
        """Return how many rows ``attribute(inputs, **arguments)`` runs through the model."""
        return self.attributor.cost(inputs, **(self.arguments(inputs) | arguments))

    def forward(self, forward_args: Any, targets: Target = None, additional_forward_args: ForwardArgs = None) -> Any:
        """Return ``attribute`` of arguments in PnPXAI 0.1's order."""
        return self.attribute(forward_args, target=targets, additional_forward_args=additional_forward_args)

    def __enter__(self) -> Self:
        """Return itself: as in PnPXAI 0.1 it can be used in a ``with`` block, which nothing needs here."""
        return self

    def __exit__(self, *problem: object) -> None:
        """Leave the block."""

    def __getattr__(self, name: str) -> Any:
        """Return the attributor's attribute of that name."""
        if name == "attributor":  # not there yet, while a copy is being made
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
    """Refuse NaN and infinity in inputs, unless the model gives finite scores for them, as models of gaps in data do.

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


def broadcast_baselines(baselines: Any, inputs: Tensors, name: str = "baselines") -> Tensors:
    """Return one baseline for each input, of the input's shape (expanded, not copied).

    Raises:
        ArgumentError: there are not as many as inputs, or one is no number or tensor.
        ShapeError: a tensor does not fit its input.
        NonFiniteError: a value is NaN or infinite.
    """
    members = baselines if isinstance(baselines, (tuple, list)) else (baselines,) * (1 if len(inputs) == 1 else 0)
    if baselines is None or isinstance(baselines, (int, float)):
        members = (baselines,) * len(inputs)
    if len(members) != len(inputs):
        count = len(members) or "one tensor"
        raise ArgumentError(f"{name}: expected one for each of {len(inputs)} inputs, got {count}")
    return tuple(_one_baseline(value, tensor, name) for value, tensor in zip(members, inputs, strict=True))


def _one_baseline(value: Any, tensor: Tensor, name: str) -> Tensor:
    if value is None:
        return torch.zeros_like(tensor)
    if isinstance(value, Tensor):
        value = value.detach().to(tensor.device, tensor.dtype)
        check_finite(name, (value,))
        if value.shape != tensor.shape and value.shape != (1, *tensor.shape[1:]) and value.ndim > 0:
            raise ShapeError(
                f"{name}: expected shape {tuple(tensor.shape)}, one row or a number, got {tuple(value.shape)}"
            )
        return value.expand(tensor.shape)
    if hasattr(value, "__float__") and not getattr(value, "shape", ()):
        filled = torch.full_like(tensor, float(value))
        check_finite(name, (filled,))
        return filled
    raise ArgumentError(f"{name}: expected None, a number or a tensor, got {type(value).__name__}")


def distribution_rows(baselines: Any, original: Any, inputs: Tensors) -> Tensors:
    """Return the rows that each example is compared with, as many for each input.

    Args:
        baselines: tensors (rows, ...), or a function that gives them, of ``original`` if it takes an argument.
        original: the inputs as the user gave them.
        inputs: the inputs as a tuple.

    Raises:
        ArgumentError: there are not as many tensors as inputs, or not as many rows for each.
        ShapeError: rows do not fit their input.
    """
    if callable(baselines) and not isinstance(baselines, Tensor):
        baselines = baselines(original) if inspect.signature(baselines).parameters else baselines()
    rows = as_tuple(baselines, "baselines")
    if len(rows) != len(inputs):
        raise ArgumentError(f"baselines: expected one tensor for each of {len(inputs)} inputs, got {len(rows)}")
    check_finite("baselines", rows)
    for row, x in zip(rows, inputs, strict=True):
        if row.shape[1:] != x.shape[1:] or not len(row):
            raise ShapeError(f"baselines: expected rows of shape {tuple(x.shape[1:])}, got {tuple(row.shape)}")
    if len({len(row) for row in rows}) > 1:
        raise ArgumentError(f"baselines: expected as many rows for each input, got {[len(row) for row in rows]}")
    return tuple(row.detach().to(x.device, x.dtype) for row, x in zip(rows, inputs, strict=True))


def completeness_gap(attributions: Tensors, start: Tensor, end: Tensor) -> Tensor:
    """Return (examples,) how far the attributions are from summing to ``end - start``."""
    total = sum(sum_rows(a, end.numel()) for a in attributions)
    return (total - (end - start)).detach()
