"""What is explained of a segmentation or of a detector's boxes by default: the largest segment, the surest box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.targets import Box, Pixels, TargetValue
from pnpxai.targets.base import output_of
from pnpxai.targets.places import corners_of
from pnpxai.tensors import is_member_each

__all__ = ["picture_target"]


def picture_target(output: ModelOutput, head: str, config: object) -> tuple[TargetValue, str] | None:
    """Return what is explained of segmentations and detections, and the words for it; None for other outputs.

    Segmentations are torchvision's, called "out", and those of a model that says so: a plain tensor of maps may be
    anything, such as a picture. Detections are torchvision's lists of "boxes", "scores" and "labels", and "pred_boxes"
    with "logits".

    Args:
        output: the model's output for a batch.
        head: the kind of head that the model states.
        config: the model's configuration, if it has one.

    Raises:
        ArgumentError: a detector finds nothing in a picture.
    """
    if _is_detections(output):
        found = [_surest(picture["boxes"], picture["scores"], picture["labels"]) for picture in output]
        return _boxes(found)
    if isinstance(output, Mapping) and isinstance(output.get("pred_boxes"), Tensor) and "logits" in output:
        scores, labels = output["logits"].detach().softmax(-1)[..., :-1].max(-1)
        corners = corners_of(output["pred_boxes"].detach())
        return _boxes([_surest(*of_one) for of_one in zip(corners, scores, labels, strict=True)])
    name = "out" if isinstance(output, Mapping) and isinstance(output.get("out"), Tensor) else None
    if name is not None or head.endswith("SemanticSegmentation"):
        return _segment(output_of(output, name), name, config)
    return None


def _is_detections(output: ModelOutput) -> bool:
    """Return whether the output is a list with a mapping for each picture, as torchvision's detectors give it."""
    return is_member_each(output) and all({"boxes", "scores", "labels"} <= set(one) for one in output)


def _surest(boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[list[float], int] | None:
    """Return the corners and the class of the detection with the largest score, None if there is none."""
    if not len(scores):
        return None
    best = int(scores.argmax())
    return boxes[best].tolist(), int(labels[best])


def _boxes(found: Sequence[tuple[list[float], int] | None]) -> tuple[TargetValue, str]:
    empty = [k for k, one in enumerate(found) if one is None]
    if empty:
        raise ArgumentError(
            f"target: the detector finds nothing in picture {empty[0]} of the batch, so that there is no surest box; "
            "say which to explain: target=pnpxai.targets.Box((x0, y0, x1, y1))"
        )
    corners, labels = zip(*(one for one in found if one is not None), strict=True)
    return Box(tuple(map(tuple, corners)), labels), "the score of the surest box of each picture"


def _segment(scores: Tensor, name: str | None, config: object) -> tuple[TargetValue, str] | None:
    """Return the largest segment of each picture; background counts last.

    Args:
        scores: (pictures, classes, height, width).
        name: the name of the output.
        config: the model's configuration, which may name the classes.
    """
    if scores.ndim != 4:
        return None
    if scores.shape[1] == 1:  # of two classes, the second
        there = scores[:, 0] > 0
        masks = torch.where(there.flatten(1).any(1)[:, None, None], there, True)
        return Pixels(0, masks.to(scores.dtype), name), "the pixels with a positive score"
    predicted = scores.argmax(1)
    sizes = torch.stack([(predicted == k).flatten(1).sum(1) for k in range(scores.shape[1])], 1)
    names = getattr(config, "id2label", None) or {0: "background"}
    if "background" in str(names.get(0)).lower():
        sizes[:, 0] = (sizes[:, 0] > 0) / 2  # below any other class that is there
    classes = sizes.argmax(1)
    masks = (predicted == classes[:, None, None]).to(scores.dtype)
    words = "the mean score over the largest segment of each picture, background only if alone"
    return Pixels(tuple(classes.tolist()), masks, name), words
