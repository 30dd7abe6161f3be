"""What explains the problems: explainers at their defaults, fixed habits, and what is made of several of them."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import as_explainer
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import as_tuple
from pnpxai.truth.problem import Problem

__all__ = ["CONTROLS", "HABITS", "all_maps", "candidates"]

CONTROLS = ("RandomMap", "InputOnly")
HABITS = (
    "small Occlusion", "multi-scale Occlusion", "RISE", "IG-50", "LRPUniformEpsilon", "GradientShap", "FeatureAblation",
    "KernelShap-300", "ensemble of all", "mean rank of AbPC and FaithfulnessCorrelation",
)  # fmt: skip
"""What people always do, to be compared with a rule; fixed before any rule was tried."""

_DEFAULTS = (
    "GradientXInput", "SmoothGrad", "DeepLift", "LRPUniformEpsilon", "GradientShap", "Occlusion", "RISE",
    "FeatureAblation",
)  # fmt: skip
_WINDOWS = {"image": (2, 3, 5), "series": (2, 4, 8), "table": (1,), "text": (1,)}
_SMALL = {"image": 3, "series": 4, "table": 1, "text": 1}


def candidates(problem: Problem) -> dict[str, Candidate]:
    """Return the explainers of a problem by name, those at several windows of Occlusion among them."""
    kind = problem.family.kind
    common: dict[str, object] = {**problem.traits.shared(), **({"each_channel": True} if kind == "series" else {})}
    settings: dict[str, tuple[str, dict[str, object]]] = {name: (name, {}) for name in (*_DEFAULTS, *CONTROLS)}
    settings["IG-50"] = ("IntegratedGradients", {"n_steps": 50})
    settings["KernelShap-300"] = ("KernelShap", {"n_samples": 300})
    settings["small Occlusion"] = ("Occlusion", {"window": _SMALL[kind], "stride": 1})
    for window in _WINDOWS[kind]:
        settings[f"Occlusion {window}"] = ("Occlusion", {"window": window, "stride": 1})
    post = PostProcessor.on(problem.traits)
    return {
        label: Candidate(label, as_explainer(name, problem.model, common).replace(**own), post)
        for label, (name, own) in settings.items()
    }


def all_maps(problem: Problem, seed: int = 0) -> dict[str, Tensor]:
    """Return maps (examples, *positions) by name, with those of several windows and of all explainers averaged."""
    inputs, targets = problem.examples.inputs, problem.examples.labels
    shape, maps = problem.examples.truth.shape, {}
    for label, candidate in candidates(problem).items():
        try:
            made = candidate.explainer.attribute(inputs, targets, seed=seed)
            maps[label] = _shaped(as_tuple(candidate.postprocessor(made))[0], shape)
        except ValueError:  # it does not fit this net
            continue
    windows = [label for label in maps if label.startswith("Occlusion ")]
    maps["multi-scale Occlusion"] = torch.stack([_scaled(maps[label]) for label in windows]).mean(0)
    for label in windows:
        del maps[label]
    maps["ensemble of all"] = torch.stack([_scaled(m) for n, m in maps.items() if n not in CONTROLS]).mean(0)
    return {label: m.detach().float() for label, m in maps.items()}


def _shaped(maps: Tensor, shape: torch.Size) -> Tensor:
    """Return maps by position: of ids summed over the embedding, of series without sensors the same for each."""
    if maps.shape == shape:
        return maps
    if maps.ndim == len(shape) + 1:
        return maps.sum(-1)
    return (maps if maps.ndim == len(shape) else maps.unsqueeze(1)).expand(shape)


def _scaled(maps: Tensor) -> Tensor:
    """Return maps of unit standard deviation. (Their mean is left: it shifts a mean of maps, but not its order.)"""
    spread = maps.flatten(1).std(1).reshape(-1, *[1] * (maps.ndim - 1))
    return maps / torch.where(spread > 0, spread, 1)
