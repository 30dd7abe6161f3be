"""Laws of answers: what a method must say where the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import borrowed
from pnpxai.testing.subject import Subject, close, require
from pnpxai.testing.zoo import Case, mlp

__all__ = ["Answer", "check_ignored_features", "check_linear", "check_sums_to", "linear_case"]

Answer = Callable[[Tensor, Tensor], Tensor]
"""What is expected on a linear model: (weights of the targets (examples, features), inputs) -> maps."""


def linear_case(examples: int = 3, seed: int = 0) -> Case:
    """Return a linear model of six features, two of which it ignores."""
    generator = torch.Generator().manual_seed(seed)
    like = mlp(examples, seed)
    with torch.random.fork_rng():
        model = nn.Linear(6, like.outputs).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        model.weight[:, 4:] = 0
    return replace(like, name="linear", model=model)


def check_linear(subject: Subject, answer: Answer, *, tolerance: float = 1e-6) -> None:
    """On a linear model the result is the expected one: for a gradient, the weights."""
    case = linear_case()
    (maps,) = subject.run(case)
    weights = case.model.weight.detach()[case.targets]  # type: ignore[index,union-attr]
    expected = answer(weights, case.tensors[0])
    require(close((maps,), (expected,), tolerance), "linear model", f"expected {expected}, got {maps}")


def check_ignored_features(subject: Subject) -> None:
    """What the model ignores gets nothing, and what it uses gets something."""
    case = linear_case()
    (maps,) = subject.run(case)
    ignored, used = maps[:, 4:].abs().max(), maps[:, :4].abs().max()
    require(ignored <= 1e-9 * used, "ignored features", f"{float(ignored):.2g} went to features that do nothing")
    require(used > 0, "ignored features", "nothing went to the others either")


def check_sums_to(
    subject: Subject, case: Case, expected: Callable[[Tensor], Tensor], *, tolerance: float = 1e-6
) -> None:
    """The map of each example sums to ``expected(scores)``, ``scores`` being the explained outputs (examples,).

    For a method that compares with zeros: ``lambda score: score - model(zeros)[:, target]``.
    """
    with borrowed(case.model, gradients=False):
        score = case.model(*case.tensors)[range(len(case)), case.targets]
    total = torch.stack([r.flatten(1).sum(1) for r in subject.run(case)]).sum(0)
    gap = (total - expected(score)).abs().max()
    require(gap <= tolerance, "sums to", f"expected {expected(score)}, got {total}")
