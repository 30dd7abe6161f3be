"""Takes inputs and true classes out of a batch, and decides which output of each example is explained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.score import Target, select_output
from pnpxai.errors import ArgumentError, OutOfMemoryError
from pnpxai.examples import MISSING_TARGET
from pnpxai.model_types import ModelInputs, ModelOutput

__all__ = ["LABELS", "inputs_and_label", "labels_as_targets", "largest", "predicted_targets"]

Labels: TypeAlias = ModelInputs
"""True classes in the form that a user's batch holds them: a tensor, an array, a list; None without any."""
LABELS = ("labels", "label", "targets", "target")
"""Names under which mappings hold true classes, which are not passed to the model."""


def inputs_and_label(batch: ModelInputs, several: int = 1, needed: Sequence[str] = ()) -> tuple[ModelInputs, Labels]:
    """Return the inputs of a batch and its true classes, which are None if it has none.

    A mapping holds the classes under one of the names in ``LABELS``, and everything else is inputs. A tuple begins with
    the inputs; its next member holds the classes if it has one number for each example.

    Args:
        batch: one batch.
        several: number of explained inputs, 1 if that was not said.
        needed: names of the arguments that the model requires; if there are several, a tuple begins with them.
    """
    if isinstance(batch, Mapping):
        label = next((batch[name] for name in LABELS if name in batch), None)
        return {name: value for name, value in batch.items() if name not in LABELS}, _classes(label)
    if not isinstance(batch, (tuple, list)):
        return batch, None
    if several > 1 and not isinstance(batch[0], (tuple, list, Mapping)):
        return tuple(batch[:several]), _classes(*batch[several : several + 1])
    if 1 < len(needed) <= len(batch) and all(isinstance(member, Tensor) for member in batch[: len(needed)]):
        return dict(zip(needed, batch, strict=False)), _classes(*batch[len(needed) : len(needed) + 1])
    return batch[0], _classes(*batch[1:2])


def _classes(member: ModelInputs = None) -> Labels:
    first = member[0] if isinstance(member, (tuple, list)) and member else None
    single = getattr(member, "ndim", 1) == 1 and not isinstance(first, (tuple, list)) and not getattr(first, "ndim", 0)
    return member if single else None


def largest(output: ModelOutput) -> Tensor | None:
    """Return (examples,) the index of the largest output; None for a model with one output.

    Raises:
        ArgumentError: each output has several numbers.
    """
    scores = select_output(output)
    if scores.ndim > 2:
        raise ArgumentError(
            f"target: the model gives {tuple(scores.shape[1:])} numbers for each example; say which to explain: "
            "target=(3, 5, 5), target= a function of the output, such as lambda output: output[:, 3].sum((1, 2)), or "
            f"target_extractor= one that gives indices (examples, {scores.ndim - 1})"
        )
    return None if scores.ndim < 2 or scores.shape[-1] == 1 else scores.argmax(-1)


def labels_as_targets(labels: Labels) -> Labels:
    """Return true classes as targets. Labels of a table with missing values are floats, and become whole numbers again.

    Raises:
        ArgumentError: a label is not a whole number.
    """
    if isinstance(labels, (list, tuple)) and any(label is None for label in labels):
        labels = torch.tensor([float("nan") if label is None else float(label) for label in labels])
    if not isinstance(labels, Tensor) or not labels.is_floating_point() or labels.ndim != 1:
        return labels
    known = labels.isfinite()
    if (labels[known] != labels[known].round()).any():
        wrong = labels[known][labels[known] != labels[known].round()][0]
        raise ArgumentError(f"target_labels: expected labels that are numbers of classes, got {wrong:g}")
    return labels.where(known, 0).long().where(known, MISSING_TARGET)


def predicted_targets(predict: Callable[[Sequence[int]], Target], size: int, *, first: bool) -> Target:
    """Return the targets that the model's output decides; an example on which the model fails has no target.

    Args:
        predict: returns the targets of the examples with these row numbers.
        size: number of examples.
        first: True for the first batch of a data set: if the model fails on all of it, its error is raised.
    """
    try:
        return predict(range(size))
    except Exception as problem:
        each: list[tuple[int, Target]] = []
        for row in range(size if size > 1 else 0):
            with contextlib.suppress(Exception):
                each.append((row, predict([row])))
        targets = [target for _, target in each if isinstance(target, Tensor)]
        if (first and not each) or len(targets) < len(each) or isinstance(problem, OutOfMemoryError):
            raise
        whole = torch.full((size, *(targets[0].shape[1:] if targets else ())), MISSING_TARGET)
        for (row, _), target in zip(each, targets, strict=True):
            whole[row] = target[0]
        return whole
