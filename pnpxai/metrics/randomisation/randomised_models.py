"""A copy of a model whose layers can be given random parameters, from the top down."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.seeds import draws
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.model_types import Model

__all__ = ["RandomisedCopy"]


class RandomisedCopy:
    """A copy of a model, and for each layer with parameters of its own some that are drawn at random.

    A parameter is drawn from the normal distribution with the mean and standard deviation of its own values, so that
    signals keep about their size. The last layer (in the order in which the model holds them) comes first. The model
    itself is not touched.

    Args:
        model: the model.
        seed: fixes the draws.

    Raises:
        UnsuitableError: the model cannot be copied, or has no parameters.
    """

    def __init__(self, model: Model, seed: int) -> None:
        module = module_of(model)
        if module is None:
            raise UnsuitableError("model: only the parameters of a torch.nn.Module can be made random")
        self._memo: dict[int, object] = {}
        try:
            self._copy: nn.Module = copy.deepcopy(module, self._memo)
        except (RuntimeError, TypeError, NotImplementedError) as problem:
            raise UnsuitableError(f"model: it cannot be copied, to make the copy's parameters random: {problem}") from (
                problem
            )
        self._layers = _drawn(self._copy, seed)
        if not self._layers:
            raise UnsuitableError("model: it has no parameters that could be made random")

    @classmethod
    def stages(cls, model: Model, most: int) -> list[int]:
        """Return how many layers are random at each stage: at most so many stages, evenly, the last with all layers."""
        module = module_of(model)
        count = 0 if module is None else len(_owners(module))
        return sorted({max(1, round(count * (k + 1) / most)) for k in range(most)}) if count else []

    def bound(self, explainer: Explainer) -> Explainer:
        """Return the explainer on the copy; layers that it names are those of the copy."""
        return copy.deepcopy(explainer, dict(self._memo))

    @contextmanager
    def random(self, layers: int) -> Iterator[None]:
        """Let the top layers of the copy be random inside a ``with`` block."""
        chosen = [pair for layer in self._layers[:layers] for pair in layer]
        before = [parameter.data for parameter, _ in chosen]
        try:
            for parameter, drawn in chosen:
                parameter.data = drawn
            yield
        finally:
            for (parameter, _), data in zip(chosen, before, strict=True):
                parameter.data = data


def _owners(module: nn.Module) -> list[tuple[str, dict[str, nn.Parameter]]]:
    """Return the layers with parameters of their own, from the last to the first; a shared parameter counts once."""
    seen: set[int] = set()
    owners = []
    for name, layer in list(module.named_modules())[::-1]:
        own = {k: p for k, p in layer.named_parameters(recurse=False) if id(p) not in seen and p.is_floating_point()}
        seen |= {id(p) for p in own.values()}
        if own:
            owners.append((name, own))
    return owners


def _drawn(module: nn.Module, seed: int) -> list[list[tuple[nn.Parameter, Tensor]]]:
    return [
        [(parameter, _random_like(parameter.data, seed, f"{name}.{own}")) for own, parameter in layer.items()]
        for name, layer in _owners(module)
    ]


def _random_like(values: Tensor, seed: int, name: str) -> Tensor:
    drawn = draws(seed, "parameters", name).normal(values.shape)
    exact = values.to(torch.float32)
    return (exact.mean() + exact.std(correction=0) * drawn.to(values.device)).to(values.dtype)
