"""What explains the problems: explainers at their defaults, and the fixed habits that a rule is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import ExplainerSpec, as_candidates, as_explainer
from pnpxai.recommender import by_facts
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.truth.problem import Problem

__all__ = ["CONSIDERED", "CONTROLS", "HABITS", "averaged", "candidates", "habit_candidates"]

CONTROLS = ("RandomMap", "InputOnly")
HABITS = (
    "small Occlusion", "multi-scale Occlusion", "RISE", "IG-50", "LRPUniformEpsilon", "GradientShap", "FeatureAblation",
    "KernelShap-300", "ensemble of all", "mean rank of AbPC and FaithfulnessCorrelation",
)  # fmt: skip
"""What people always do, to be compared with a rule; fixed before any rule was tried."""

CONSIDERED = (
    "DeepLift", "Ensemble", "FeatureAblation", "FullGrad", "GradCam", "Gradient", "GradientShap", "GradientXInput",
    "IntegratedGradients", "KernelShap", "LRP", "LRPEpsilonGammaBox", "LRPEpsilonPlus", "LRPUniformEpsilon", "Lime",
    "MultiScaleOcclusion", "Occlusion", "RAP", "RISE", "SmoothGrad", "SmoothGradSquared",
)  # fmt: skip
"""Explainers at their defaults, those left out that differ little from one of them (other class activation maps,
``ShapleyValues`` beside ``KernelShap``)."""
_ALL = (
    "GradientXInput", "SmoothGrad", "DeepLift", "LRPUniformEpsilon", "GradientShap", "RISE", "FeatureAblation",
    "small Occlusion", "multi-scale Occlusion", "IG-50", "KernelShap-300",
)  # fmt: skip
_SAME = {"small Occlusion": "Occlusion", "multi-scale Occlusion": "MultiScaleOcclusion"}


def candidates(problem: Problem, explainers: Sequence[ExplainerSpec] = ()) -> list[Candidate]:
    """Return the explainers of ``CONSIDERED`` that fit a problem's net, at their defaults, and further ones."""
    fits = by_facts(problem.model, problem.traits, inputs=problem.examples.inputs)
    names: list[ExplainerSpec] = [kind.__name__ for kind in fits if kind.__name__ in CONSIDERED]
    return as_candidates([*names, *explainers], problem.model, problem.traits)


def habit_candidates(problem: Problem) -> list[Candidate]:
    """Return the habits that are explainers at other settings than their defaults."""
    common, post = problem.traits.shared(), PostProcessor.on(problem.traits)
    settings = {"IG-50": ("IntegratedGradients", {"n_steps": 50}), "KernelShap-300": ("KernelShap", {"n_samples": 300})}
    return [
        Candidate(label, as_explainer(name, problem.model, common).replace(**own), post)
        for label, (name, own) in settings.items()
    ]


def averaged(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return maps by the habits' names, with the mean of eleven of them, each scaled to standard deviation 1."""
    named = dict(maps) | {habit: maps[label] for habit, label in _SAME.items() if label in maps}
    scaled = [_scaled(named[label]) for label in _ALL if label in named]
    return named | {"ensemble of all": torch.stack(scaled).mean(0)}


def _scaled(maps: Tensor) -> Tensor:
    spread = maps.flatten(1).std(1).reshape(-1, *[1] * (maps.ndim - 1))
    return maps / torch.where(spread > 0, spread, 1)
