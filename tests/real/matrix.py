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
from tests.laws import laws_of, linearised
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
    of = cells.maxvit(64) if name == "MaxViT pico" else cells.CASES[name]()  # smaller pictures cost less
    model, layer, inputs, target = of.model.double().eval(), of.layer, of.inputs, of.target
    if isinstance(inputs, tuple):
        model, inputs, layer = OnIds(model).eval(), inputs[0][:1], f"model.{layer}"  # without padding
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    if name == "CenterFace":
        model = HeatMap(model.detector).eval()
        inputs = inputs.clamp(min=1)  # of a place that is the baseline's, no run tells whether it was masked
    with torch.no_grad():
        outputs = model(inputs)
    if name == "CenterFace":
        target = int(outputs[0].argmax())
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
_NOT_OF = {"MaxViT pico": (linearised.rules_at_convolutions,)}
"""Laws that do not speak of a network: batch normalisation stands before its convolutions, not behind them."""


def real_cell(explainer: type[Explainer], case: Case) -> dict[str, float | str]:
    """Return how far each law of an explainer is from holding on a network, or the reason of a refusal."""
    figures: dict[str, float | str] = {}
    reason = reason_against(explainer, case) or _refused(explainer, case)
    try:
        for law in laws_of(explainer) if reason is None else ():
            if (law.on is None or case.name in law.on) and law.measure not in _NOT_OF.get(case.name, ()):
                steps = {"n_steps": 320} if "n_steps" in law.changes else {}  # as many as ``explain`` takes by itself
                changes = {**law.changes, **_FEWER.get(explainer.__name__, {}), **steps}
                figures[law.title] = float(f"{law.measure(Trial(explainer, case, changes)):.1e}")
    except UnsuitableError as error:
        reason = str(error)
    return figures if reason is None else {"refused": reason}


def _refused(explainer: type[Explainer], case: Case) -> str | None:
    """Return why an explainer that reads maps inside the model finds none there."""
    if not explainer.__module__.startswith(("pnpxai.explainers.attention", "pnpxai.explainers.cam")):
        return None
    try:
        Trial(explainer, case, _FEWER.get(explainer.__name__, {})).maps  # noqa: B018  (computed on first use)
    except UnsuitableError as error:
        return str(error)
    return None
