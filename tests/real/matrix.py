"""Every explainer on networks with trained weights: how far its laws are from holding, or why it refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.testing.zoo import Case
from pnpxai.traits import Traits
from tests.laws import laws_of
from tests.laws.refusals import reason_against
from tests.laws.trial import Trial
from tests.real import cells

__all__ = ["NETWORKS", "real_cell"]


class OnIds(nn.Module):
    """A network of token ids and a mask, as one of ids alone: all of them take part."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids, torch.ones_like(ids))


class HeatMap(nn.Module):
    """All places of a detector's heat map, (examples, places): the largest of them is a choice of its own."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, picture: Tensor) -> Tensor:
        return self.detector(picture)[0].flatten(1)


def _case(name: str, traits: Traits) -> Case:
    """Return a network in double precision, in which a law that holds holds to many digits."""
    of = cells.CASES[name]()
    model, layer, inputs, target = of.model.double().eval(), of.layer, of.inputs, of.target
    if isinstance(inputs, tuple):
        model, inputs, layer = OnIds(model).eval(), inputs[0][:1], f"model.{layer}"  # without padding
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    with torch.no_grad():
        outputs = (model := HeatMap(model.detector).eval() if name == "CenterFace" else model)(inputs)
    target = int(outputs[0].argmax()) if name == "CenterFace" else target
    return Case(name, model, inputs, [target] * len(inputs), outputs.shape[1], traits, layer)


_KINDS = {"MiniLM": Traits.text(), "SmolLM2-135M": Traits.text()}
NETWORKS: dict[str, Callable[[], Case]] = {
    name: functools.partial(_case, name, _KINDS.get(name, Traits.image())) for name in cells.CASES
}
"""The networks by name."""
_FEWER = {
    "Ensemble": {"explainers": ("GradientXInput", "LRPUniformEpsilon")},
    "ScoreCAM": {"n_channels": 8},
}
"""Settings that only cost time, besides those of ``Trial``."""


def real_cell(explainer: type[Explainer], case: Case) -> dict[str, float | str]:
    """Return how far each law of an explainer is from holding on a network, or the reason of a refusal."""
    reason, figures = reason_against(explainer, case), {}
    try:
        for law in laws_of(explainer) if reason is None else ():
            if law.on is None or case.name in law.on:
                changes = {**law.changes, **_FEWER.get(explainer.__name__, {})}
                figures[law.title] = float(f"{law.measure(Trial(explainer, case, changes)):.1e}")
    except UnsuitableError as error:
        reason = str(error)
    return figures if reason is None else {"refused": reason}
