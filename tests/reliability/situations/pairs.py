"""How a network is written: each beside the same network in plain operations (those of ``tests.odd_models``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from tests.odd_models.judging import Situation as Written
from tests.odd_models.written import SITUATIONS as WRITTEN
from tests.reliability.calls import Call, Method
from tests.reliability.judging import Situation

__all__ = ["SITUATIONS"]


def written(situation: Written, plain: bool) -> Callable[[Call, Method], Call]:
    """Return the call of a network as it is written, or in plain operations."""

    def make(call: Call, method: Method) -> Call:
        torch.manual_seed(0)
        built = situation.build()
        model = built.plain if plain else built.model
        layer = next((m for m in model.modules() if isinstance(m, torch.nn.Linear)), None)
        return replace(call, model=model, inputs=built.x, target=[0, 1, 2, 1], layer=layer)

    return make


def of_rows(method: Method) -> bool:
    """Whether it explains rows of numbers; modified gradients differ where a ReLU stands otherwise, rightly."""
    return method.case == "mlp" and "Deconv" not in method.name and "Guided" not in method.name


SITUATIONS = [
    Situation("written", one.name, written(one, False), written(one, True), suits=of_rows, tolerance=one.tolerance)
    for one in WRITTEN
]
