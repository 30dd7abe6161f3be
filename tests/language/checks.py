"""What holds for every architecture: how far a figure may be from an independent way, and what it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import pnpxai
from pnpxai.attributors.language.seeds import gradients_of, relevances_of
from tests.language.models import Case, case, ids

RESPONSE = " is blue ."
LONGER = ["the cat is red . what colour", "the old dog", "the keeper of the tower saw a bird . where is it ?"]


@dataclass(frozen=True)
class Check:
    """A figure of an architecture, which is zero up to rounding.

    Attributes:
        title: what is compared.
        figure: of an architecture, the largest deviation, as a part of what is compared; None where it has no meaning.
        limit: the largest one that passes.
    """

    title: str
    figure: Callable[[str], float | None]
    limit: float


def apart(found: Tensor, right: Tensor) -> float:
    """The largest difference as a part of the largest number."""
    return float((found.double() - right.double()).abs().max() / right.double().abs().max())


def step_by_step(of: Case, prompt: Tensor, response: Tensor, cells: Tensor | None = None) -> Tensor:
    """(response tokens,) log-probabilities in plain transformers, each from a pass of its own."""
    found = []
    with torch.no_grad():
        for k, token in enumerate(response):
            found.append(of.logits(prompt, response[:k], cells)[-1].log_softmax(-1)[token])
    return torch.stack(found).double()


def scores_of_prompts(name: str) -> float:
    of, response = case(name), ids(RESPONSE)
    prompts = [of.with_media(ids(p)) for p in LONGER]
    right = torch.stack([step_by_step(of, p, response) for p in prompts])
    assert right.std(0).min() > 1e-3  # the prompts matter
    return apart(of.reads(response).scores(prompts), right)


def alone_and_together(name: str) -> float:
    of, response = case(name), ids(RESPONSE)
    prompts = [of.with_media(ids(p)) for p in LONGER]
    alone = torch.cat([of.reads(response).scores([p]) for p in prompts])
    return apart(of.reads(response).scores(prompts), alone)


def left_and_right(name: str) -> float | None:
    of, prompts = case(name), [ids(p) for p in LONGER]
    reads = of.reads(ids(RESPONSE))
    if of.media is not None or reads.encodes or "position_ids" not in reads.takes:  # none is padded on the left
        return None
    left, right = (of.reads(ids(RESPONSE), padding=side).scores(prompts) for side in ("left", "right"))
    return apart(left, right)


def eager_and_fused(name: str) -> float | None:
    if not case(name).fused:
        return None
    found = [relevance(case(name, attention), ids(RESPONSE)) for attention in ("eager", "sdpa")]
    return max(apart(one, other) for one, other in zip(*found, strict=True))


def relevance(of: Case, response: Tensor) -> tuple[Tensor, ...]:
    return relevances_of(*of.function(response), epsilon=1e-9).values


def slopes(name: str) -> float:
    """Gradients against differences along a random direction of all inputs."""
    made, function, *inputs = case(name).function(ids(RESPONSE))
    found, _ = gradients_of(made, function, *inputs)
    draw, h = torch.Generator().manual_seed(1), 2e-3
    ways = [torch.randn(x.shape, generator=draw) for x in inputs]
    with torch.no_grad():
        up, down = (function(*(x + s * h * w for x, w in zip(inputs, ways, strict=True))) for s in (1, -1))
    along = sum((g[:, 0] * w).flatten(1).sum(1) for g, w in zip(found, ways, strict=True))
    return apart(torch.as_tensor(along), (up - down)[0] / (2 * h))


def conserved(name: str) -> float:
    found = relevances_of(*case(name).function(ids(RESPONSE)), epsilon=1e-9)
    total = sum(v.flatten(1).sum(1) for v in found.values)
    return apart(total + found.sinks, found.scores)


def one_pass_for_all(name: str) -> float:
    """Relevance of all scores from one forward pass, against a pass for each score."""
    made, function, *inputs = case(name).function(ids(RESPONSE))
    together = relevances_of(made, function, *inputs, epsilon=1e-9).values
    worst = 0.0
    for k in range(len(together[0])):
        alone = relevances_of(made, lambda *at, k=k: function(*at)[:, k : k + 1], *inputs, epsilon=1e-9).values
        worst = max(worst, *(apart(one[k], other[0]) for one, other in zip(together, alone, strict=True)))
    return worst


def layers_again(name: str) -> float | None:
    """Gradients and relevance of layers that run again in the backward pass, against those of layers that do not."""
    made, function, *inputs = case(name).function(ids(RESPONSE))
    if "use_cache" not in case(name).reads(ids(RESPONSE)).takes:  # would keep keys and values twice
        return None
    pairs = [
        (of(made, function, *inputs, lean=True, **more), of(made, function, *inputs, **more))
        for of, more in ((gradients_of, {}), (relevances_of, {"epsilon": 1e-9}))
    ]
    (one, _), (other, _) = pairs[0]
    worst = max(apart(a, b) for a, b in zip(one, other, strict=True))
    lean, kept = pairs[1]
    return max(
        worst, apart(lean.sinks, kept.sinks), *(apart(a, b) for a, b in zip(lean.values, kept.values, strict=True))
    )


def shapley(value: Callable[[set[int]], Tensor], n: int) -> Tensor:
    """(outputs, n) by the definition; ``value`` takes the set of those present."""
    found = []
    for i in range(n):
        others, total = [k for k in range(n) if k != i], torch.zeros(())
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for s in itertools.combinations(others, size):
                total = total + weight * (value({*s, i}) - value({*s}))
        found.append(total)
    return torch.stack(found, 1)


def brute_force(name: str) -> float:
    """Shapley values of words and cells against the definition, with text and cells really removed."""
    of, response = case(name), ids(RESPONSE)
    words = ["the", " cat", " is", " red"] if of.media is None else [" the", " red"]
    begin, n_words = torch.tensor([2]), len(words)
    n = n_words + of.n_cells
    kept: dict[tuple[int, ...], Tensor] = {}

    def value(s: set[int]) -> Tensor:
        key = tuple(sorted(s))
        if key not in kept:
            text = "".join(words[k] for k in key if k < n_words)
            prompt = of.with_media(ids(text)) if text or of.media is not None else begin
            cells = torch.tensor([k + n_words in s for k in range(of.n_cells)])
            kept[key] = step_by_step(of, prompt, response, cells)
        return kept[key]

    found = pnpxai.AutoExplanationForGeneration(
        of.model, of.tokenizer, of.prompt("".join(words)), response, grid=(1, 2)
    ).explain("ShapleyValues")
    return apart(found.values, shapley(value, n)[-len(found.values) :])


CHECKS = (
    Check("log-probabilities: a pass for every token", scores_of_prompts, 1e-5),
    Check("alone, in a batch", alone_and_together, 1e-5),
    Check("padding left, right", left_and_right, 1e-5),
    Check("gradient: finite differences", slopes, 2e-2),
    Check("AttnLRP: sum of relevance", conserved, 2e-3),
    Check("AttnLRP: a pass for every token", one_pass_for_all, 1e-4),
    Check("gradient, AttnLRP: layers run again", layers_again, 1e-5),
    Check("AttnLRP: eager, fused attention", eager_and_fused, 2e-3),
    Check("Shapley values: brute force", brute_force, 1e-4),
)
