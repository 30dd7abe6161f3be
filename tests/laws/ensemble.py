"""The law of ensembles."""

from __future__ import annotations

from typing import Any

from pnpxai.declare.registry import by_name
from pnpxai.explainers.base import Explainer
from pnpxai.tensors import as_tuple
from tests.laws.trial import Trial, deviation

__all__ = ["mean_of_members"]


def mean_of_members(trial: Trial) -> float:
    """The map is the mean of the members' maps, each divided by its standard deviation."""
    made: Any = trial.made
    expected: list[Any] = [0] * len(trial.maps)
    given = {"baseline_fn": made.baseline_fn, "each_channel": made.each_channel}
    for name in made.explainers:
        kind = by_name(Explainer, name, "explainers")
        own = {setting: value for setting, value in given.items() if setting in kind.defaults()}
        member = kind(trial.case.model, layer=trial.layer, **own)
        maps = as_tuple(member.attribute(trial.case.inputs, trial.case.targets))
        for k, (m, x) in enumerate(zip(maps, as_tuple(trial.values), strict=True)):
            m = m if m.ndim == x.ndim or x.is_floating_point() else m.sum(-1)
            scale = m.flatten(1).std(1, correction=0).reshape(-1, *[1] * (m.ndim - 1))
            expected[k] = expected[k] + m / scale / len(made.explainers)
    return deviation(trial.maps, tuple(expected))
