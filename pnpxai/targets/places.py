"""Defines targets of outputs with positions: means of a map, pixels under a mask, boxes, steps of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self, TypeAlias

import torch
from pydantic import BeforeValidator
from torch import Tensor
from torch.nn import functional

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import ModelOutput
from pnpxai.targets.base import Indices, TargetValue, class_words, index_rows, output_of
from pnpxai.tensors import is_member_each

__all__ = ["Box", "Horizon", "Mean", "Pixels", "corners_of"]


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

    def caption(self, classes: Sequence[str] = ()) -> str:
        """Return the class, and how many pixels are meant."""
        return f"{class_words(self.index, classes)}, {int((self.mask > 0).sum()):,} pixels"

    def scaled(self, share: float) -> Self:
        """Return the target of a smaller picture; a mask that is lost there covers all pixels."""
        sides = [round(side * share) for side in self.mask.shape[-2:]]
        maps = self.mask.reshape(-1, 1, *self.mask.shape[-2:]).float()
        smaller = functional.interpolate(maps, sides, mode="area").reshape(*self.mask.shape[:-2], *sides)
        lost = smaller.flatten(-2).sum(-1) <= 0
        return self.replace(mask=torch.where(lost[..., None, None], 1.0, smaller).to(self.mask))


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


Corners: TypeAlias = tuple[float, float, float, float]


class Box(TargetValue):
    """Explains how sure a detector is of an object in a box: the score of the detection that overlaps the box most.

    The score is multiplied by the overlap (intersection over union). Two forms of output are read: torchvision's list
    with a dictionary of "boxes" (corners), "scores" and "labels" for each picture; and tensors "pred_boxes" (centre and
    sides, as shares of the picture) and "logits" (examples, boxes, classes), as from DETR.
    """

    corners: Corners | tuple[Corners, ...]
    """Corners (x0, y0, x1, y1) in the coordinates of the detector, for all examples or for each."""
    label: Indices | None = None
    """Class; None for any class."""

    per_example: ClassVar[dict[str, int]] = {"corners": 1, "label": 0}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the scores."""
        pictures = _detections(output, self.label)
        corners = self._corners(len(pictures))
        return torch.stack([_best(*picture, box) for picture, box in zip(pictures, corners, strict=True)])

    def caption(self, classes: Sequence[str] = ()) -> str:
        """Return the class; the box is drawn."""
        return "the box" if self.label is None else f"{class_words(self.label, classes)} in the box"

    def in_pixels(self, pictures: Tensor) -> tuple[Corners, ...]:
        """Return the corners for each of some pictures (examples, channels, height, width); shares become pixels."""
        corners = self._corners(len(pictures))
        height, width = pictures.shape[-2:]
        sides = torch.tensor([width, height, width, height]) if corners.max() <= 1 else torch.ones(4)
        return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in (corners * sides).tolist())

    def scaled(self, share: float) -> Self:
        """Return the target of a smaller picture: corners in pixels move, those that are shares of its sides stay."""
        corners = torch.tensor(self.corners)
        if corners.max() <= 1:
            return self
        moved = (corners * share).tolist()
        return self.replace(corners=tuple(moved) if corners.ndim == 1 else tuple(map(tuple, moved)))

    def _corners(self, size: int) -> Tensor:
        """Return (examples, 4) the corners of each example's box."""
        return torch.tensor(self.corners).reshape(-1, 4).expand(size, 4)


def _detections(output: ModelOutput, label: int | tuple[int, ...] | None) -> list[tuple[Tensor, Tensor]]:
    """Return (boxes, 4) corners and (boxes,) scores of each picture."""
    if is_member_each(output):
        labels = label if isinstance(label, tuple) else (label,) * len(output)
        rows = [slice(None) if k is None else picture["labels"] == k for picture, k in zip(output, labels, strict=True)]
        return [(picture["boxes"][k], picture["scores"][k]) for picture, k in zip(output, rows, strict=True)]
    boxes, logits = output_of(output, "pred_boxes"), output_of(output, "logits")
    scores = logits.softmax(-1)[..., :-1]
    scores = scores.amax(-1) if label is None else index_rows(scores.movedim(-1, 1), label)
    return list(zip(corners_of(boxes).unbind(0), scores.unbind(0), strict=True))


def corners_of(boxes: Tensor) -> Tensor:
    """Return corners (..., 4) of boxes that are given by their centre and sides."""
    centre, sides = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - sides / 2, centre + sides / 2], -1)


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
