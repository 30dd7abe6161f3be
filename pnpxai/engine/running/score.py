"""Turns a model into a function with one number per example: the output that the target selects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pnpxai.engine.running.guard import eager, model_behind, module_of, same_start
from pnpxai.engine.running.targets import CheckedTarget, OfExamples, Target, checked_target
from pnpxai.engine.seeing.unseen import is_of_a_transform
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.model_types import ForwardArgs, Model, ModelOutput, Positional
from pnpxai.tensors import Tensors, batch_size, check_finite, map_tensors, take_rows

__all__ = ["Score", "Target", "WholeBatchOutput", "select_output"]


class WholeBatchOutput(ArgumentError):
    """Says that the model returned one value for several rows, so that its batch must not be split."""


@dataclass(frozen=True)
class Score:
    """Is a function F of inputs with one number per example, made of a model, a target and extra arguments.

    Attributes:
        forward: the model, called as ``forward(*inputs, *extra)``.
        size: number of examples that the targets and extra arguments belong to.
        target: None, a function, one index tuple for all examples, or a tensor (size, k) of k indices each.
        extra: further arguments; tensors with ``size`` rows belong to the examples, all others are shared.
        transform: applied to the output before the target selects (softmax, say).
    """

    forward: Model
    size: int
    target: CheckedTarget = None
    extra: Positional = ()
    transform: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def of(
        cls,
        forward: Model,
        inputs: Tensors,
        target: Target = None,
        extra: ForwardArgs = None,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> Score:
        """Build the score of ``inputs``, with its target and extra arguments checked.

        Raises:
            ArgumentError: the target has an unknown form or another number of entries than there are examples.
        """
        if not callable(forward):
            raise ArgumentError(f"forward_func: expected a model or a function, got {type(forward).__name__}")
        size = batch_size(inputs)
        extra = () if extra is None else tuple(extra) if type(extra) is tuple else (extra,)
        return cls(eager(forward), size, checked_target(target, size), extra, transform)

    def __call__(self, inputs: Tensors) -> Tensor:
        """Return (rows,) scores, or (1,) if the model returns one value for its whole batch.

        Raises:
            ArgumentError: the target does not fit the model's output.
            NonFiniteError: a value is NaN or infinite.
        """
        return self.of_output(self.checked_output(inputs), inputs)

    def checked_output(self, inputs: Tensors) -> ModelOutput:
        """Return the model's output, and refuse inputs that the model reads as a single example.

        Raises:
            ShapeError: the model runs on the inputs with one more axis alone.
            ArgumentError: the model fails as its parameters have another dtype.
        """
        try:
            return self.output(inputs)
        except (RuntimeError, ValueError, IndexError) as problem:
            own = isinstance(problem, (ArgumentError, torch.OutOfMemoryError)) or is_of_a_transform(problem)
            if not own and self._runs_with_a_batch_axis(inputs):
                raise ShapeError(
                    f"inputs: expected a batch, whose first dimension counts the examples, got "
                    f"{[tuple(x.shape) for x in inputs]}, which the model takes for a single example; pass "
                    "inputs.unsqueeze(0)"
                ) from problem
            if not own and (wanted := self._other_dtype(inputs)) is not None and "type" in str(problem):
                raise ArgumentError(
                    f"inputs: expected {wanted}, in which the model has its parameters, got "
                    f"{', '.join(sorted({str(x.dtype) for x in inputs}))} ({problem})"
                ) from problem
            raise

    def _other_dtype(self, inputs: Tensors) -> torch.dtype | None:
        """Return the dtype of the model's parameters if the inputs have another one."""
        model = module_of(model_behind(self.forward)[0])
        own = [] if model is None else [p.dtype for p in model.parameters() if p.is_floating_point()]
        return own[0] if own and any(x.dtype != own[0] for x in inputs) else None

    def of_output(self, output: ModelOutput, inputs: Tensors = ()) -> Tensor:
        """Return the scores of an output for all examples, with the checks of a call.

        Args:
            output: the model's output.
            inputs: what it was given, which is named where its numbers are not finite.
        """
        value = self.select(output)
        finite = torch.isfinite(value)
        if not finite.all():
            check_finite("inputs", inputs)
            raise NonFiniteError(
                f"score: the model's output at the target is NaN or infinite for {int((~finite).sum())}"
                f" of {value.numel()} rows{_emptied(inputs, ~finite)}"
            )
        return value

    def output(self, inputs: Tensors) -> ModelOutput:
        """Return the model's output.

        A model that differentiates inside its forward pass (such as forces, the gradient of an energy) is run with
        gradients where it fails without.
        """
        try:
            return self._run(inputs)
        except RuntimeError as problem:
            if torch.is_grad_enabled() or "does not require grad" not in str(problem):
                raise
        with torch.enable_grad():
            return map_tensors(torch.detach, self._run(inputs))

    def _runs_with_a_batch_axis(self, inputs: Tensors) -> bool:
        if hasattr(type(self.forward), "runs_model"):  # at a layer, whose values come from the model
            return False
        try:
            with torch.no_grad():
                output = select_output(self._run(tuple(x.unsqueeze(0) for x in inputs)))
        except Exception:  # noqa: BLE001  (whatever a model raises: it is no single example)
            return False
        return output.shape[:1] == (1,)

    def _run(self, inputs: Tensors) -> ModelOutput:
        with same_start():
            # the model may edit what it gets
            return self.forward(*(x.clone() for x in inputs), *map_tensors(torch.clone, self.extra))

    def take(self, rows: Tensor) -> Score:
        """Return the score of some examples (an index may occur several times)."""
        target = take_rows(self.target, rows, self.size) if isinstance(self.target, Tensor) else self.target
        if callable(target) and isinstance(target, OfExamples):
            target = target.take(rows)
        return replace(self, size=rows.numel(), target=target, extra=take_rows(self.extra, rows, self.size))

    def given_target(self, rows: Tensor) -> Target:
        """Return the target of some examples in a form that attributors take."""
        target = self.take(rows).target
        if isinstance(target, Tensor):
            return target[:, 0] if target.shape[1] == 1 else [tuple(row) for row in target.tolist()]
        return target

    def select(self, output: ModelOutput) -> Tensor:
        """Return the scores of an output for all examples."""
        rows = self.size
        if callable(self.target):
            return _one_each(self.target(output), rows, "target: the function")
        chosen = select_output(output)
        if self.transform is not None:
            chosen = self.transform(chosen)
        if not chosen.is_floating_point():
            raise ArgumentError(f"model: expected a floating point output, got {chosen.dtype}")
        if chosen.ndim == 0 or (chosen.numel() == 1 and rows > 1):
            return chosen.reshape(1)
        if chosen.ndim > 1 and chosen.shape[0] == 1 and not (isinstance(self.target, Tensor) and len(self.target) > 1):
            rows = 1  # one output of several numbers for a whole batch, such as a graph's
        if chosen.shape[0] != rows:
            raise ShapeError(
                f"model: expected {rows} rows of output for {rows} rows of input, got {chosen.shape[0]}; the first "
                "dimension of inputs and outputs counts the examples ("
                + (
                    "does the model squeeze the output of a batch of one?"
                    if rows == 1
                    else "a single example is inputs.unsqueeze(0); of several graphs in one batch, explain "
                    "target=lambda output: output[:, k].sum()"
                )
                + ")"
            )
        if self.target is None:
            return _one_each(chosen, rows, "model")
        indices = self.target
        if isinstance(indices, Tensor) and len(indices) != rows:
            raise ArgumentError(f"target: expected one entry for each of {rows} examples, got {len(indices)}")
        width = indices.shape[1] if isinstance(indices, Tensor) else len(indices)
        if chosen.ndim == 1 and width == 1:
            chosen = chosen.unsqueeze(1)
        if width != chosen.ndim - 1:
            raise ArgumentError(
                f"target: expected {chosen.ndim - 1} indices for an output of shape {tuple(chosen.shape)}, got {width}"
            )
        for axis, length in enumerate(chosen.shape[1:]):
            column = indices[:, axis].tolist() if isinstance(indices, Tensor) else [indices[axis]]
            for index in column:
                if not -length <= index < length:
                    raise ArgumentError(
                        f"target: expected an index from 0 to {length - 1} (the model gives {length} outputs), "
                        f"got {index}"
                    )
        if not isinstance(indices, Tensor):
            return chosen[(slice(None), *indices)]
        indices = indices.to(chosen.device)
        return chosen[(torch.arange(rows, device=chosen.device), *indices.unbind(1))]


def select_output(output: ModelOutput) -> Tensor:
    """Return the tensor that scores come from: the output itself, its ``logits``, or its only or first tensor.

    Raises:
        ArgumentError: the output holds no tensor, or several under names that do not tell.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        if "logits" in output:
            return output["logits"]
        tensors = {key: value for key, value in output.items() if isinstance(value, Tensor)}
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        raise ArgumentError(
            f"model: its output holds {sorted(map(str, output))}; pass a function as the target, "
            "such as target=lambda output: output['scores'][:, 3]"
        )
    if hasattr(output, "logits"):
        return output.logits
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor):
        return output[0]
    raise ArgumentError(
        f"model: expected a tensor, a tuple or a mapping of tensors as output, got {type(output).__name__}; "
        "pass a function of the output as the target"
    )


def _one_each(value: object, rows: int, who: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ArgumentError(f"{who} returned {type(value).__name__}; expected a tensor with one number per example")
    if value.numel() == 1:
        return value.reshape(1)
    if value.numel() == rows:
        return value.reshape(rows)
    if who == "model" and value.shape[0] == rows:
        raise ArgumentError(
            f"target: the model gives {value.numel() // rows} outputs per example (shape {tuple(value.shape)}); "
            f"say which one to explain, such as target=0"
        )
    raise ShapeError(f"{who} returned shape {tuple(value.shape)}; expected one number for each of {rows} examples")


def _emptied(inputs: Tensors, bad: Tensor) -> str:
    """Return words on ids or masks that are zero everywhere in the rows that have no score, if any are."""
    for k, x in enumerate(inputs):
        whole = not (x.is_floating_point() or x.is_complex()) and x.ndim > 1 and x.shape[:1] == bad.shape
        if whole and not x[bad].any():
            return (
                f", where inputs[{k}], of whole numbers, is zero everywhere: a mask of zeros, or one that the model "
                "makes of such ids, leaves attention no position to look at. Pass a mask as a further argument, which "
                "is held (additional_forward_args, or an explainer's additional_forward_arg_extractor); replace ids by "
                "one that is not padding (baselines, or an explainer's mask_token_id), or let special ids stay (an "
                "explainer's held_ids)"
            )
    return ""
