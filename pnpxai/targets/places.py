"""Defines targets of outputs with positions: means of a map, pixels under a mask, boxes, steps of a forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import ModelOutput
from pnpxai.targets.base import Indices, TargetValue, index_rows, output_of

__all__ = ["Box", "Horizon", "Mean", "Pixels"]


def _tensor(value: object) -> object:
    return torch.as_tensor(value) if hasattr(value, "__array__") and not isinstance(value, Tensor) else value


class Mean(TargetValue):
    """Explains the mean of an output over all its positions, for one class (channel) or for all."""

    index: Indices | None = None
    """Class; None for all classes."""
    output: str | None = None
    """Name of the output to read, if the model has several and it is not the logits."""

    per_example: ClassVar[dict[str, int]] = {"index": 0}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the means."""
        values = output_of(output, self.output)
        chosen = values if self.index is None else index_rows(values, self.index)
        return chosen.flatten(1).mean(1) if chosen.ndim > 1 else chosen


class Pixels(TargetValue):
    """Explains sum_i m_i s_i / sum_i m_i, the mean score of a class over pixels i with mask m.

    The output is a segmentation (examples, classes, height, width).
    """

    index: Indices
    """Class, whose scores are s."""
    mask: Annotated[Tensor, BeforeValidator(_tensor)]
    """Weights m of the pixels, such as 0 and 1: (height, width) for all examples, or one such mask for each."""
    output: str | None = None
    """Name of the output to read, if the model has several and it is not the logits."""

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
    """Explains the mean of a forecast over some of its steps; (examples, steps) or (examples, steps, channels)."""

    start: int = 0
    """First step."""
    stop: int | None = None
    """Step after the last one; None for the end of the forecast."""
    channel: int | None = None
    """Channel, if there are several; None for all channels."""
    output: str | None = None
    """Name of the output to read, if the model has several and it is not the logits."""

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
    """Explains how sure a detector is of an object in a box: the score of the detection that overlaps the box most.

    The score is multiplied by the overlap (intersection over union). Two forms of output are read: torchvision's list
    with a dictionary of "boxes" (corners), "scores" and "labels" for each picture; and tensors "pred_boxes" (centre and
    sides, as shares of the picture) and "logits" (examples, boxes, classes), as from DETR.
    """

    corners: tuple[float, float, float, float] | tuple[tuple[float, float, float, float], ...]
    """Corners (x0, y0, x1, y1) in the coordinates of the detector, for all examples or for each."""
    label: int | None = None
    """Class; None for any class."""

    per_example: ClassVar[dict[str, int]] = {"corners": 1}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the scores."""
        pictures = _detections(output, self.label)
        corners = torch.tensor(self.corners).reshape(-1, 4).expand(len(pictures), 4)
        return torch.stack([_best(*picture, box) for picture, box in zip(pictures, corners, strict=True)])


def _detections(output: ModelOutput, label: int | None) -> list[tuple[Tensor, Tensor]]:
    """Return (boxes, 4) corners and (boxes,) scores of each picture."""
    if isinstance(output, (list, tuple)) and output and isinstance(output[0], Mapping):
        rows = [picture["labels"] == label if label is not None else slice(None) for picture in output]
        return [(picture["boxes"][k], picture["scores"][k]) for picture, k in zip(output, rows, strict=True)]
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
