"""Explanations of one photograph's size beside captum and grad-cam, at equal settings: CPU seconds, and how far apart.

    benchmarks/rivals.sh pictures.py [--quick] [--only NAME] [--repeats 3]

The model is ResNet-50 on a picture of 224 x 224 (ResNet-18 at 96 with --quick). Ours are the explainers that users
call, with their checks; of class activation maps, the positive part from 0 to 1 is compared. DeepLift is left out:
captum's refuses a ReLU that a block uses twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import captum.attr
import torch
import torchvision
from attributors import Work, report
from measuring import Run
from torch import Tensor, nn

from pnpxai import explainers

TARGET = 282


def of_captum(model: nn.Module, x: Tensor, side: int) -> list[Work]:
    """Return the work that captum does too."""
    zero = torch.zeros_like(x)
    step = side // 7
    window = {"sliding_window_shapes": (3, step, step), "strides": (3, step, step)}
    both: dict[str, tuple[Any, Run]] = {
        "Gradient": (explainers.Gradient(model), lambda: captum.attr.Saliency(model).attribute(x, TARGET, abs=False)),
        "GradientXInput": (
            explainers.GradientXInput(model), lambda: captum.attr.InputXGradient(model).attribute(x, TARGET),
        ),
        "IntegratedGradients": (
            explainers.IntegratedGradients(model, n_steps=20),
            lambda: captum.attr.IntegratedGradients(model).attribute(x, zero, TARGET, n_steps=20),
        ),
        "SmoothGrad": (
            explainers.SmoothGrad(model, n_iter=20),
            lambda: captum.attr.NoiseTunnel(captum.attr.Saliency(model)).attribute(
                x, nt_samples=20, stdevs=0.1 * float(x.max() - x.min()), target=TARGET, abs=False
            ),
        ),
        "GuidedBackprop": (
            explainers.GuidedBackprop(model), lambda: captum.attr.GuidedBackprop(model).attribute(x, TARGET),
        ),
        "Deconvolution": (
            explainers.Deconvolution(model), lambda: captum.attr.Deconvolution(model).attribute(x, TARGET),
        ),
        "Occlusion": (
            explainers.Occlusion(model, window=step, stride=step),
            lambda: captum.attr.Occlusion(model).attribute(x, target=TARGET, **window),
        ),
    }  # fmt: skip
    sampled = {"SmoothGrad"}
    return [
        Work(name, None, lambda ours=ours: ours.attribute(x, [TARGET]), {"default": theirs}, sampled=name in sampled)
        for name, (ours, theirs) in both.items()
    ]


def of_grad_cam(model: Any, x: Tensor) -> list[Work]:
    """Return the work that grad-cam does too."""
    import pytorch_grad_cam as rival
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer, target = model.layer4[-1], [ClassifierOutputTarget(TARGET)]

    def theirs(name: str) -> Callable[[], Tensor]:
        def run() -> Tensor:
            with getattr(rival, name)(model=model, target_layers=[layer]) as cam:
                return torch.from_numpy(cam(input_tensor=x, targets=target))[:, None]

        return run

    names = {
        "GradCam": "GradCAM", "GradCamPlusPlus": "GradCAMPlusPlus", "HiResCAM": "HiResCAM", "LayerCAM": "LayerCAM",
        "EigenCAM": "EigenCAM", "FullGrad": "FullGrad",
    }  # fmt: skip
    made = {
        name: explainers.FullGrad(model) if name == "FullGrad" else getattr(explainers, name)(model, layer=layer)
        for name in names
    }
    return [
        Work(
            f"cam-{name}", None, lambda ours=made[name]: unit_range(ours.attribute(x, [TARGET])),
            {"default": theirs(names[name])}, sampled=True, rival="grad-cam",
        )
        for name in names
    ]  # fmt: skip


def unit_range(maps: Tensor) -> Tensor:
    """Return the positive part of maps from 0 to 1, as grad-cam returns it."""
    positive = maps.relu() - maps.relu().amin((2, 3), keepdim=True)
    return positive / positive.amax((2, 3), keepdim=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smaller network and picture")
    parser.add_argument("--only", default="", help="only work whose name holds this")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    side = 96 if given.quick else 224
    network = torchvision.models.resnet18 if given.quick else torchvision.models.resnet50
    model = network(weights=None).eval()
    x = torch.randn(1, 3, side, side)
    for work in [*of_captum(model, x, side), *of_grad_cam(model, x)]:
        if given.only in work.name:
            report(work, torch.device("cpu"), given.repeats, [])


if __name__ == "__main__":
    main()
