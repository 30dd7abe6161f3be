"""Targets of outputs with positions: means over a map, pixels under a mask, a detected box, steps of a forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import ModelOutput
from pnpxai.targets.base import Indices, TargetValue, index_rows, output_of

__all__ = ["Box", "Horizon", "Mean", "Pixels"]


def _tensor(value: Any) -> Any:
    return torch.as_tensor(value) if hasattr(value, "__array__") and not isinstance(value, Tensor) else value


class Mean(TargetValue):
    """The mean of an output over all its places, of one class (channel) or of all."""

    index: Indices | None = None
    """Which class; None for all."""
    output: str | None = None
    """Name of the output to read, where a model has several and it is not the logits."""

    per_example: ClassVar[dict[str, int]] = {"index": 0}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the means."""
        values = output_of(output, self.output)
        chosen = values if self.index is None else index_rows(values, self.index)
        return chosen.flatten(1).mean(1) if chosen.ndim > 1 else chosen


class Pixels(TargetValue):
    """The mean score of a class over the pixels of a mask, of a segmentation (examples, classes, height, width)."""

    index: Indices
    """Which class."""
    mask: Annotated[Tensor, BeforeValidator(_tensor)]
    """Weights of the pixels, such as 0 and 1: (height, width) for all examples, or one such mask for each."""
    output: str | None = None
    """Name of the output to read, where a model has several and it is not the logits."""

    per_example: ClassVar[dict[str, int]] = {"index": 0, "mask": 2}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the weighted means."""
        classes = index_rows(output_of(output, self.output), self.index)
        weights = self.mask.to(classes)
        if weights.shape[-2:] != classes.shape[-2:]:
            raise ShapeError(
                f"target: Pixels: mask: expected sides {tuple(classes.shape[-2:])}, those of the output, got "
                f"{tuple(weights.shape[-2:])}"
            )
        total = weights.flatten(-2).sum(-1)
        if not (total > 0).all():
            raise ArgumentError("target: Pixels: mask: expected at least one pixel in each mask, got an empty one")
        return (classes * weights).flatten(1).sum(1) / total


class Horizon(TargetValue):
    """The mean of a forecast over some of its steps; (examples, steps) or (examples, steps, channels)."""

    start: int = 0
    """The first step."""
    stop: int | None = None
    """The step after the last one; None for the end of the forecast."""
    channel: int | None = None
    """Which channel, where there are several; None for all."""
    output: str | None = None
    """Name of the output to read, where a model has several and it is not the logits."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the means."""
        steps = output_of(output, self.output)
        chosen = steps[:, self.start : self.stop]
        if chosen.shape[1] == 0:
            raise ArgumentError(
                f"target: Horizon: expected steps from 0 to {steps.shape[1] - 1} of the forecast, got {self.start} to "
                f"{self.stop}"
            )
        if self.channel is not None:
            chosen = chosen[..., self.channel]
        return chosen.flatten(1).mean(1)


class Box(TargetValue):
    """How sure a detector is of an object where a box is: the score of the detection that overlaps it most.

    The score is weighted by the overlap (intersection over union). Understood are torchvision's list with a dictionary
    of "boxes" (corners), "scores" and "labels" for each picture, and tensors "pred_boxes" (centre and sides, as shares
    of the picture) with "logits" (examples, boxes, classes), as of DETR and its kin.
    """

    corners: tuple[float, float, float, float] | tuple[tuple[float, float, float, float], ...]
    """(x0, y0, x1, y1) in the coordinates of the detector, for all examples or one each."""
    label: int | None = None
    """Which class; None for whatever is detected there."""

    per_example: ClassVar[dict[str, int]] = {"corners": 1}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the scores."""
        pictures = _detections(output, self.label)
        corners = torch.tensor(self.corners).reshape(-1, 4).expand(len(pictures), 4)
        return torch.stack([_best(*found, box) for found, box in zip(pictures, corners, strict=True)])


def _detections(output: ModelOutput, label: int | None) -> list[tuple[Tensor, Tensor]]:
    """Return (boxes, 4) corners and (boxes,) scores of each picture."""
    if isinstance(output, (list, tuple)) and output and isinstance(output[0], Mapping):
        kept = [found["labels"] == label if label is not None else slice(None) for found in output]
        return [(found["boxes"][k], found["scores"][k]) for found, k in zip(output, kept, strict=True)]
    boxes, logits = output_of(output, "pred_boxes"), output_of(output, "logits")
    scores = logits.softmax(-1)[..., :-1]
    scores = scores.amax(-1) if label is None else scores[..., label]
    centre, sides = boxes[..., :2], boxes[..., 2:]
    corners = torch.cat([centre - sides / 2, centre + sides / 2], -1)
    return list(zip(corners.unbind(0), scores.unbind(0), strict=True))


def _best(boxes: Tensor, scores: Tensor, box: Tensor) -> Tensor:
    if not len(scores):
        return scores.new_zeros(())
    with torch.no_grad():
        wanted = box.to(boxes)
        sides = torch.minimum(boxes[:, 2:], wanted[2:]) - torch.maximum(boxes[:, :2], wanted[:2])
        shared = sides.clamp(min=0).prod(1)
        union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (wanted[2:] - wanted[:2]).prod() - shared
        overlap = shared / union.clamp(min=torch.finfo(union.dtype).tiny)
        k = int(overlap.argmax())
    return scores[k] * overlap[k]
