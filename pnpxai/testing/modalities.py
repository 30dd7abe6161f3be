"""Laws of modalities: what is stated of a kind of data fits the data, and is enough to explain and to draw it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pnpxai.declare.registry import by_name, every
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.modalities import Modality, modality_of
from pnpxai.model_types import Model
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.testing.subject import require

__all__ = ["ModalityCase", "check_defaults_suit", "check_drawn", "check_explained", "check_recognised", "check_traits"]


@dataclass(frozen=True)
class ModalityCase:
    """A modality with a model and a batch of its kind.

    Attributes:
        modality: what is checked.
        model: a model of such data, with several outputs.
        values: (examples, ...) its input.
    """

    modality: Modality
    model: Model
    values: Tensor


def check_traits(case: ModalityCase) -> None:
    """The axes that it names are those of the values: examples, positions, and channels if there are any."""
    traits = case.modality.traits
    axes = 1 + traits.positions + (traits.channel_dim is not None and not traits.discrete)
    require(case.values.ndim == axes, "traits", f"{traits} speaks of {axes} axes, the values have {case.values.ndim}")
    require(traits.discrete != case.values.is_floating_point(), "traits", f"discrete={traits.discrete}")
    require(by_name(Modality, case.modality.name, "modality") is type(case.modality), "traits", "its name is taken")


def check_recognised(case: ModalityCase) -> None:
    """The values are recognised, with a reason, and its name stands for it."""
    for spec in (None, case.modality.name):
        modality, reason = modality_of(spec, (case.values,), case.model)
        require(modality == case.modality and bool(reason), "recognised", f"as {modality!r}, since {reason!r}")


def check_defaults_suit(case: ModalityCase) -> None:
    """Its baseline suits such data, and so do some baseline and some feature mask that can be searched."""
    traits = case.modality.traits
    baseline = case.modality.baseline(case.values)
    require(baseline(case.values).shape == case.values.shape, "defaults", f"{baseline!r} gives another shape")
    for kind in (Baseline, FeatureMask):
        require(any(one.suits(traits) for one in every(kind)), "defaults", f"no {kind.__name__.lower()} suits {traits}")


def check_drawn(case: ModalityCase) -> None:
    """Values and maps of its shape are drawn, as its view says."""
    explanation = Gradient(case.model).explain(case.values, 0)
    figure = replace(explanation, views=(case.modality.view(case.values),)).plot(limit=1)
    require(bool(figure.axes), "drawn", "the figure is empty")


def check_explained(case: ModalityCase) -> None:
    """Gradients of the model are explained under its settings, and say something."""
    maps = Gradient(case.model).attribute(case.values, 0)
    require(torch.isfinite(maps).all() and bool(maps.abs().max() > 0), "explained", "the map says nothing")
