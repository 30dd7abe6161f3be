"""Runs each kind of method on a model; its oracle is a loop in plain torch, or the same network in plain operations."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import pnpxai.attributors as A  # noqa: N812
from pnpxai import errors
from pnpxai.attributors.gradient.paths import quadrature
from pnpxai.engine.running.score import select_output
from pnpxai.explainers import AttnLRP

__all__ = ["METHODS", "Given", "Situation", "judged"]

OWN = tuple(e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception))
STEPS = 5


@dataclass(frozen=True)
class Given:
    """A model, its inputs, further arguments, and the same network in plain operations where there is one."""

    model: Any
    x: Tensor
    extra: tuple[Any, ...] = ()
    plain: Any = None

    def scores(self, target: Any) -> Callable[[Tensor], Tensor]:
        """Return the explained scores as a function of the inputs; all calls draw the same random numbers."""

        model = self.model if self.plain is None else self.plain

        def run(x: Tensor) -> Tensor:
            torch.manual_seed(1)
            output = model(x.clone(), *self.extra)
            return target(output) if callable(target) else select_output(output)[:, target]

        return run


@dataclass(frozen=True)
class Situation:
    """What a model does.

    Attributes:
        name: as the table has it.
        build: makes it.
        target: what is explained.
        tolerance: of the comparison, as a share of the largest value.
        refusal: a pattern that the message of a refusal must have; none is allowed by default.
    """

    name: str
    build: Callable[[], Given] = field(repr=False)
    target: Any = 1
    tolerance: float = 1e-4
    refusal: str = "(?!)"


def gradient(scores: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return autograd's gradient of the summed scores of the whole batch."""
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(scores(x).sum(), x)[0]


def path(scores: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the sum of gradients along the path from zeros, one step of the whole batch after the other."""
    shares, weights = quadrature("gausslegendre", STEPS)
    return x * sum(w * gradient(scores, k * x) for k, w in zip(shares, weights, strict=True))


def losses(scores: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return what the scores lose where a column of the whole batch is set to zero."""
    flat, found = x.reshape(len(x), -1), []
    with torch.no_grad():
        for k in range(flat.shape[1]):
            without = flat.clone()
            without[:, k] = 0
            found.append(scores(x) - scores(without.reshape(x.shape)))
    return torch.stack(found, 1).reshape(x.shape) if len(found[0]) == len(x) else torch.stack(found, 1)


Method = Callable[[Any, Given, Any], Any]
METHODS: dict[str, tuple[Method, Callable[..., Tensor] | None]] = {
    "gradient": (
        lambda model, g, t: A.Saliency(model).attribute(g.x, t, False, g.extra or None),
        gradient,
    ),
    "path": (
        lambda model, g, t: A.IntegratedGradients(model).attribute(g.x, None, t, g.extra or None, n_steps=STEPS),
        path,
    ),
    "noise": (
        lambda model, g, t: A.NoiseTunnel(A.Saliency(model)).attribute(
            g.x, stdevs=0.0, nt_samples=3, target=t, abs=False, additional_forward_args=g.extra or None
        ),
        gradient,
    ),
    "ablation": (
        lambda model, g, t: A.FeatureAblation(model).attribute(g.x, target=t, additional_forward_args=g.extra or None),
        losses,
    ),
    "LRP": (lambda model, g, t: A.LRP(model).relevance(g.x, t, g.extra or None), None),
    "AttnLRP": (lambda model, g, t: AttnLRP(model).attributor().relevance(g.x, t, g.extra or None), None),
    "DeepLift": (
        lambda model, g, t: A.DeepLift(model).attribute(g.x, None, t, g.extra or None),
        None,
    ),
    "guided": (lambda model, g, t: A.GuidedBackprop(model).attribute(g.x, t, g.extra or None), None),
    "FullGrad": (lambda model, g, t: A.FullGrad(model).decompose(g.x, t, g.extra or None), None),
}
"""By kind: how a method is called, and its loop in plain torch. Rules have none: the same network stands for it."""


def judged(situation: Situation) -> dict[str, str]:
    """Return "right" or "refused" for each kind of method that there is an oracle for.

    Raises:
        AssertionError: a map is wrong, a refusal does not say what it should, or another error comes.
    """
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        given = situation.build()
        outcomes = {}
        for kind, (call, loop) in METHODS.items():
            if kind == "guided" and given.plain is None:
                continue
            torch.manual_seed(1)
            try:
                found = call(given.model, given, situation.target)
            except OWN as refusal:
                if not re.search(situation.refusal, str(refusal)):
                    raise AssertionError(f"{situation.name}: {kind} is refused: {refusal}") from refusal
                outcomes[kind] = "refused"
                continue
            torch.manual_seed(1)
            off = _deviation(kind, found, call, loop, given, situation.target)
            assert off <= situation.tolerance, f"{situation.name}: {kind} is off by {off:.2g}"
            outcomes[kind] = "right"
    return outcomes


def _deviation(kind: str, found: Any, call: Method, loop: Any, given: Given, target: Any) -> float:
    """Return how far a result is from the right one, as a share of the largest value."""
    if loop is not None:
        return _off(found, loop(given.scores(target), given.x))
    if given.plain is not None:
        return max(map(_off, _tensors(found), _tensors(call(given.plain, given, target))))
    # of the whole batch, as rows may depend on each other
    scores, total = given.scores(target), float(sum(t.sum() for t in _tensors(found)))
    with torch.no_grad():
        promised = scores(given.x).sum() - (scores(torch.zeros_like(given.x)).sum() if kind == "DeepLift" else 0)
    if isinstance(found, A.Relevance):
        total += float((found.bias + found.epsilon + found.rest).sum())
    return abs(total - float(promised)) / max(1.0, abs(float(promised)))


def _tensors(found: Any) -> tuple[Tensor, ...]:
    if isinstance(found, A.Relevance):
        return (found.attributions,)
    return (*found.inputs, *found.biases) if isinstance(found, A.FullGradients) else (found,)


def _off(found: Tensor, right: Tensor) -> float:
    if found.shape != right.shape:
        return float("inf")
    return float((found.detach().double() - right.detach().double()).abs().max() / right.detach().abs().max())


class Does(nn.Module):
    """A module that does what a function says with its parts."""

    def __init__(self, does: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.does = does
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *inputs: Any) -> Any:
        return self.does(self, *inputs)
