"""The law of ensembles."""

from __future__ import annotations

from typing import Any

from pnpxai.declare.registry import by_name
from pnpxai.explainers.base import Explainer
from pnpxai.tensors import as_tuple
from tests.laws.trial import Trial, deviation

__all__ = ["mean_of_members"]


def mean_of_members(trial: Trial) -> float:
    """The map is the mean of the members' maps, each divided by its largest absolute value."""
    made: Any = trial.made
    expected: list[Any] = [0] * len(trial.maps)
    for name in made.explainers:
        member = by_name(Explainer, name, "explainers")(trial.case.model, layer=trial.layer)
        for k, m in enumerate(as_tuple(member.attribute(trial.case.inputs, trial.case.targets))):
            scale = m.flatten(1).abs().amax(1).reshape(-1, *[1] * (m.ndim - 1))
            expected[k] = expected[k] + m / scale / len(made.explainers)
    return deviation(trial.maps, tuple(expected))
