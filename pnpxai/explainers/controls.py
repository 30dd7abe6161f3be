"""Defines maps that explain nothing. An explainer must beat them before it is believed."""

from __future__ import annotations

from typing import ClassVar

import torch

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.padding import unseen, without
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream, at_seen
from pnpxai.explainers.base import Explainer
from pnpxai.model_types import Attributions, ForwardArgs, ModelInputs
from pnpxai.tensors import as_tuple, like

__all__ = ["InputOnly", "RandomMap"]


class RandomMap(Explainer):
    """Draws independent normal numbers for each example, from its content and the seed."""

    needs_gradient: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    control: ClassVar[bool] = True

    def attributor(self) -> Attributor:
        """Return a source of random maps."""
        return _Random(self.forward_func)


class InputOnly(Explainer):
    """Computes |x - mean(x)| for each example: what the input shows without any model."""

    needs_gradient: ClassVar[bool] = False
    control: ClassVar[bool] = True

    def attributor(self) -> Attributor:
        """Return a map of the inputs alone."""
        return _Distance(self.forward_func)


class _Random(Attributor):
    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        return 0

    def attribute(
        self,
        inputs: ModelInputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        *,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        tensors, _ = prepared(self.forward_func, inputs, target, additional_forward_args)
        hidden = unseen(self.forward_func, tensors, additional_forward_args)
        stream = RandomStream(RandomStream.of(seed).seed).of_examples(tensors, hidden)
        drawn = [stream.draws("map", k).normal(x.shape[1:], x) for k, x in enumerate(tensors)]
        return like(inputs, [at_seen(m, out) for m, out in zip(drawn, hidden, strict=True)])


class _Distance(Attributor):
    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        return 0

    def attribute(
        self, inputs: ModelInputs, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Attributions:
        maps, tensors = [], as_tuple(inputs)
        for x, out in zip(tensors, unseen(self.forward_func, tensors, additional_forward_args), strict=True):
            values = x.detach().to(x.dtype if x.is_floating_point() else torch.float32)
            mean = without(values, out).reshape(len(x), -1).mean(1)
            if out is not None:
                mean = mean / (~out).to(mean).mean(1).clamp_min(1 / out.shape[1])
            maps.append(without((values - mean.reshape(-1, *[1] * (x.ndim - 1))).abs(), out))
        return like(inputs, maps)
