"""Laws of relevance propagation: what is conserved, and what another implementation says."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pnpxai.tensors import Tensors
from tests.laws.trial import Trial, deviation

__all__ = ["conserved", "conserved_by_the_map", "hooks_of_zennit"]


def conserved(trial: Trial) -> float:
    """Relevance and the sinks (biases, stabilisers, softmax) sum to the score; as a fraction of it."""
    found = trial.made.explain(trial.case.inputs, trial.case.targets)
    if found.gap is None:
        return float("inf")
    sinks = found.scores - _totals(found.attributions) - found.gap
    return _off(trial, sinks)


def conserved_by_the_map(trial: Trial) -> float:
    """Relevance alone sums to the score; as a fraction of it."""
    return _off(trial, torch.zeros(len(trial.case)))


def hooks_of_zennit(trial: Trial) -> float:
    """The map is what zennit's own hooks give with its composite of that name."""
    from zennit import composites
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm

    made: Any = trial.made
    shared: dict[str, Any] = {
        "epsilon": made.epsilon,
        "stabilizer": made.stabilizer,
        "canonizers": [SequentialMergeBatchNorm()],
    }
    box: dict[str, Any] = {name: getattr(made, name, None) for name in ("low", "high", "gamma")}
    composite: Any = {
        "LRPEpsilonPlus": lambda: composites.EpsilonPlus(**shared),
        "LRPEpsilonAlpha2Beta1": lambda: composites.EpsilonAlpha2Beta1(**shared),
        "LRPEpsilonGammaBox": lambda: composites.EpsilonGammaBox(**(shared | box)),
    }[trial.explainer.__name__]()
    chosen = F.one_hot(torch.tensor(trial.case.targets), trial.case.outputs)
    with Gradient(copy.deepcopy(trial.case.model), composite) as gradient:
        found: Any = gradient(trial.values[0].clone(), lambda output: output.detach() * chosen)
    return deviation(trial.maps, (found[1].detach(),))


def _off(trial: Trial, sinks: Tensor) -> float:
    score = trial.score(trial.values).detach()
    return float(((score - _totals(trial.maps) - sinks).abs() / score.abs()).max())


def _totals(maps: Tensors) -> Tensor:
    return torch.stack([m.flatten(1).sum(1) for m in maps]).sum(0)
