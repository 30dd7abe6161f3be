"""Laws of class activation maps: the formula of each paper on activations and gradients that hooks have caught."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.laws.gradients import guided_gradient
from tests.laws.trial import Trial, deviation

__all__ = [
    "SITES",
    "channels_scored",
    "elementwise",
    "elementwise_positive",
    "guided_times_map",
    "mean_weighted",
    "plus_plus",
    "principal",
    "resized",
]

SITES = {
    "cnn": "4",
    "skip_cnn": "bn2",
    "series": "conv2",
    "two_inputs": "conv",
    "vit": "patches",
    "resnet18": "layer3.1",
    "vgg": "features.17",
    "efficientnet": "features.3.2",
    "convnext": "features.3.1",
    "torchvision_vit": "encoder.layers.encoder_layer_1.ln_1",
    "swin": "features.3.1.norm1",
    "timm_vit": "blocks.1.norm1",
    "EfficientNet-Lite0": "_bn1",
    "CenterFace": "detector.Relu_41",
    "MaxViT pico": "norm",
}
"""Where the map has to be taken, for each architecture: the last map of the input, with what follows it in one piece
(the last stage of ResNet has a single position, on so small a picture)."""


def mean_weighted(trial: Trial) -> float:
    """Grad-CAM: channels weighted by their mean gradient."""
    value, gradient = _caught(trial)
    return _matches(trial, _summed(value * gradient.mean(_axes(value), keepdim=True)))


def elementwise(trial: Trial) -> float:
    """HiResCAM: values times gradients."""
    value, gradient = _caught(trial)
    return _matches(trial, _summed(value * gradient))


def elementwise_positive(trial: Trial) -> float:
    """LayerCAM: values times positive gradients."""
    value, gradient = _caught(trial)
    return _matches(trial, _summed(value * gradient.clamp(min=0)))


def plus_plus(trial: Trial) -> float:
    """Grad-CAM++: positive gradients weighted by g^2 / (2 g^2 + g^3 sum A), with nothing below zero in the sum."""
    value, gradient = _caught(trial)
    total = value.sum(_axes(value), keepdim=True).clamp(min=0)
    alpha = gradient**2 / (2 * gradient**2 + gradient**3 * total)
    weights = torch.where(gradient > 0, alpha * gradient, torch.zeros_like(gradient)).sum(_axes(value), keepdim=True)
    return _matches(trial, _summed(weights * value))


def principal(trial: Trial) -> float:
    """EigenCAM: values along the first eigenvector of their covariance, the largest positive."""
    value, _ = _caught(trial)
    rows = value.flatten(2) - value.flatten(2).mean(2, keepdim=True)
    direction = torch.linalg.eigh(rows @ rows.transpose(1, 2)).eigenvectors[..., -1]
    projected = torch.einsum("ec,ecp->ep", direction, rows)
    upwards = projected.amax(1, keepdim=True) > -projected.amin(1, keepdim=True)
    projected = torch.where(upwards, projected, -projected)
    return _matches(trial, projected.reshape(len(value), 1, *value.shape[2:]))


def channels_scored(trial: Trial) -> float:
    """Score-CAM: channels weighted by the softmax of the scores of the input times each of them, by a loop."""
    value, _ = _caught(trial)
    if (count := trial.made.n_channels) is not None:  # type: ignore[attr-defined]
        spread = value.flatten(2).std(2, correction=0)
        value = torch.stack([v[s.argsort(descending=True)[:count]] for v, s in zip(value, spread, strict=True)])
    picture, *others = trial.values
    scores = []
    for channel in resized(value, picture).split(1, 1):
        low, high = channel.amin(_axes(channel), keepdim=True), channel.amax(_axes(channel), keepdim=True)
        span = torch.maximum(high - low, torch.maximum(high.abs(), low.abs()) / 1000)
        mask = (channel - low) / torch.where(span > 0, span, 1.0)
        with torch.no_grad():
            scores.append(trial.score((picture * mask, *others)))
    weights = torch.stack(scores, 1).softmax(1)
    return _matches(trial, _summed(value * weights.reshape(*weights.shape, *[1] * len(_axes(value)))))


def guided_times_map(trial: Trial) -> float:
    """Guided Grad-CAM: the guided gradient times the positive part of Grad-CAM."""
    value, gradient = _caught(trial)
    coarse = _summed(value * gradient.mean(_axes(value), keepdim=True)).clamp(min=0)
    return deviation(trial.maps, (guided_gradient(trial)[0] * resized(coarse, trial.values[0], "nearest"),))


def _summed(channels: Tensor) -> Tensor:
    return channels.sum(1, keepdim=True)


def _axes(value: Tensor) -> tuple[int, ...]:
    return tuple(range(2, value.ndim))


def _caught(trial: Trial) -> tuple[Tensor, Tensor]:
    """Return the layer's activations (examples, channels, ...) and the score's gradient with respect to them."""
    held: list[Tensor] = []

    def keep(module: Any, args: Any, output: Tensor) -> Tensor:
        held.append(output)
        return output.clone()

    handle = trial.case.model.get_submodule(SITES[trial.case.name]).register_forward_hook(keep)
    try:
        score = trial.score(tuple(v.clone().requires_grad_() for v in trial.values))
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(score.sum(), held[0])
    return _folded(trial, held[0].detach()), _folded(trial, gradient)


def _folded(trial: Trial, value: Tensor) -> Tensor:
    """Bring tokens (examples, [class token and] positions, channels), or channels that come last, to the front."""
    if trial.case.name == "swin":
        return value.permute(0, 3, 1, 2)
    if not trial.case.name.endswith("_vit"):
        return value
    side = math.isqrt(value.shape[1] - 1)
    return value[:, 1:].transpose(1, 2).reshape(len(value), -1, side, side)


def resized(coarse: Tensor, picture: Tensor, mode: str = "bilinear") -> Tensor:
    """Return maps (examples, channels, ...) with the sides of a picture or series."""
    sides = picture.shape[2:]
    if mode == "nearest":
        return F.interpolate(coarse, sides, mode=mode)
    return F.interpolate(coarse, sides, mode="linear" if len(sides) == 1 else mode, align_corners=False)


def _matches(trial: Trial, coarse: Tensor) -> float:
    return deviation(trial.maps, (resized(coarse, trial.values[0]),))
