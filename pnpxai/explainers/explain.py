"""Explains a batch: attributions, scores, how exact the attributions are, and more steps where they are not."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pnpxai.attributors.base import Outcome
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import Score, Target, select_output
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.results.descriptions import described, numbered_examples, plain_target
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.explainers.results.gap import TOLERANCE, base_values, missed, scale_of, without_map
from pnpxai.explainers.run import Run
from pnpxai.model_types import ModelInputs, ModelOutput
from pnpxai.tensors import as_tuple, own

if TYPE_CHECKING:
    from pnpxai.explainers.base import Explainer

__all__ = ["explain", "predicted"]

_FACTOR = 4
"""Factor by which a setting grows from one attempt to the next."""


def explain(
    explainer: Explainer, inputs: ModelInputs, targets: Target, seed: int | RandomStream, *, narrowed: bool = True
) -> Explanation:
    """Return the explanation of a batch; with ``narrowed=False``, with the number of steps of the settings alone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arguments = explainer.arguments(inputs)
        with borrowed(explainer.model, gradients=explainer.needs_gradient):
            scored = _Scored.of(explainer, arguments, targets)
            start = time.perf_counter()
            run = Run.of(explainer, arguments)
            judged = _judged(run.detailed(scored.targets, seed), scored, run)
            judged, used = _refined(run, judged, scored, seed) if narrowed else (judged, {})
            outcome = _masked(judged, explainer)
            if run.tolerance is not None and outcome.draws is not None:
                used |= {explainer.draws or "": outcome.draws}
            attributions = run.given_back(outcome.attributions, whole=not judged.hopeless.any())
            seconds = time.perf_counter() - start
    return Explanation(
        explainer=type(explainer).__name__,
        settings=described(explainer),
        attributions=attributions,
        inputs=tuple(own(x) for x in run.inputs),
        targets=plain_target(scored.targets),
        scores=scored.scores,
        gap=outcome.gap,
        seconds=seconds,
        warnings=(
            *outcome.notes,
            *_noise_warnings(outcome, explainer.draws or ""),
            *(str(warning.message) for warning in caught),
            *_gap_warnings(judged, explainer, used),
        ),
        sinks=dict(outcome.sinks),
        scale=judged.scale if outcome.gap is not None else None,
        base_value=judged.base_value,
        used=used,
        standard_error=None if outcome.standard_error is None else run.given_back(outcome.standard_error),
        degrees_of_freedom=outcome.degrees_of_freedom,
        feature_mask=None if outcome.feature_mask is None else run.back(outcome.feature_mask),
        group_values=outcome.group_values,
        signed=explainer.drawn_signed,
    )


def _noise_warnings(outcome: Outcome, setting: str) -> tuple[str, ...]:
    """Return a sentence where values cannot be told from noise; ``setting`` is the number of draws."""
    if outcome.needed_draws is None or outcome.draws is None or not bool((noisy := outcome.needed_draws > 0).any()):
        return ()
    needed = float(f"{float(outcome.needed_draws[noisy].median()):.1e}")
    return (
        f"{setting}: the values of {int(noisy.sum())} of {len(noisy)} examples cannot be told from noise: their "
        f"standard errors are more than half of their spread over features; about {setting}={needed:,.0f} would tell "
        f"them apart (here {int(outcome.draws[noisy].median()):,})",
    )


def predicted(output: ModelOutput) -> Tensor | None:
    """Return (examples,) the index of the largest output; None unless the output is (examples, several)."""
    outputs = select_output(output)
    return None if outputs.ndim != 2 or outputs.shape[-1] == 1 else outputs.argmax(-1)


@dataclass(frozen=True)
class _Scored:
    """Holds the model's output for a batch.

    Attributes:
        output: everything that the model returns.
        targets: the output that is explained.
        scores: (examples,) the values of that output.
    """

    output: ModelOutput
    targets: Target
    scores: Tensor

    @classmethod
    def of(cls, explainer: Explainer, arguments: Arguments, targets: Target) -> _Scored:
        with torch.no_grad():
            score = arguments.score(explainer.model, targets)
            output = score.checked_output(arguments.explained)
            if targets is None:
                targets = predicted(output)
                score = arguments.score(explainer.model, targets)
            return cls(output, targets, score.of_output(output, arguments.explained))


@dataclass(frozen=True)
class _Judged:
    """Holds an outcome and how it compares with the scores.

    Attributes:
        outcome: the attributions and their gap.
        base_value: (examples,) the score that attributions start from, where it is known.
        scale: (examples,) size of the scores and outputs.
        misses: (examples,) True where the gap is more than 1 % of the scale.
        hopeless: (examples,) True where the attributions are not a map.
    """

    outcome: Outcome
    base_value: Tensor | None
    scale: Tensor
    misses: Tensor
    hopeless: Tensor


def _judged(outcome: Outcome, scored: _Scored, run: Run) -> _Judged:
    base = base_values(outcome, scored.scores)
    scale = scale_of(scored.scores, base, scored.output)
    if outcome.gap is None:
        return _Judged(outcome, base, scale, torch.zeros(len(scale), dtype=torch.bool), without_map(outcome, scale))
    misses = missed(outcome.gap, scale) > TOLERANCE
    if misses.any() and len(scale) > 1 and not _are_apart(run, scored):
        # an example's attributions are also shares of other examples' scores: only the total of all sums is promised
        shared = outcome.gap.mean().expand_as(outcome.gap).clone()
        outcome, misses = replace(outcome, gap=shared), missed(shared, scale) > TOLERANCE
    return _Judged(outcome, base, scale, misses, without_map(outcome, scale))


def _refined(run: Run, judged: _Judged, scored: _Scored, seed: int | RandomStream) -> tuple[_Judged, dict[str, Tensor]]:
    """Return better attributions of the examples that miss the promised sum, and the setting used for each example.

    Only these examples run again, with ever larger settings, so that an example has the map that it has alone. If the
    examples of a batch depend on each other, all run again.
    """
    name, limit = run.explainer.narrows_gap, run.explainer.explains_up_to
    if name is None or limit is None or judged.outcome.gap is None:
        return judged, {}
    setting = getattr(run.explainer, name)
    used = torch.full((len(judged.scale),), setting)
    while setting < limit and judged.misses.any():
        setting = min(_FACTOR * setting, limit)
        rows = judged.misses.nonzero().flatten().cpu()
        part = _part(run, scored, rows)
        if part is None:
            rows = torch.arange(len(used))
        chosen, targets = part or (run, scored.targets)
        draws = seed.take(rows.tolist()) if isinstance(seed, RandomStream) else seed
        better = chosen.having(**{name: setting}).detailed(targets, draws)
        judged = _judged(_replaced(judged.outcome, rows, better), scored, run)
        used[rows] = setting
    return judged, {name: used}


def _part(run: Run, scored: _Scored, rows: Tensor) -> tuple[Run, Target] | None:
    """Return the run and the targets of some examples; None if the examples of a batch depend on each other."""
    score = Score.of(run.explainer.forward_func, run.values, scored.targets, run.extra)
    return (run.take(rows), score.given_target(rows)) if _are_apart(run, scored) else None


def _are_apart(run: Run, scored: _Scored) -> bool:
    score = Score.of(run.explainer.forward_func, run.values, scored.targets, run.extra)
    return score.size == 1 or rows_are_apart(score, run.values, row_limit(run.values, score.extra))


def _replaced(outcome: Outcome, rows: Tensor, better: Outcome) -> Outcome:
    """Return an outcome with the attributions and gaps of some examples replaced."""

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.index_copy(0, rows.to(old.device), new) if len(old) > len(new) else new

    members = zip(as_tuple(outcome.attributions), as_tuple(better.attributions), strict=True)
    attributions = tuple(put(old, new) for old, new in members)
    assert outcome.gap is not None  # noqa: S101  (only outcomes with a gap are refined)
    assert better.gap is not None  # noqa: S101
    return replace(outcome, attributions=attributions, gap=put(outcome.gap, better.gap))


def _masked(judged: _Judged, explainer: Explainer) -> Outcome:
    """Return the outcome with NaN for examples without a map.

    Raises:
        UnsuitableError: no example has a map.
    """
    outcome, hopeless = judged.outcome, judged.hopeless
    if outcome.gap is None or not hopeless.any():
        return outcome
    if hopeless.all():
        worst = int(missed(outcome.gap, judged.scale).argmax())
        raise UnsuitableError(
            f"{type(explainer).__name__}: no map: the attributions of each example miss the sum that the method "
            f"promises by more than the score itself (example {worst}: by {float(outcome.gap[worst]):.3g}, where the "
            f"score and outputs are at most {float(judged.scale[worst]):.3g}); use another explainer for this model"
        )
    size = len(hopeless)
    members = []
    for a in as_tuple(outcome.attributions):
        rows = hopeless.to(a.device).repeat_interleave(len(a) // size) if len(a) % size == 0 else hopeless.new_ones(1)
        members.append(a.masked_fill(rows.reshape(-1, *[1] * (a.ndim - 1)), float("nan")))
    return replace(outcome, attributions=tuple(members))


def _gap_warnings(judged: _Judged, explainer: Explainer, used: dict[str, Tensor]) -> tuple[str, ...]:
    """Return warnings of attributions that cannot be read as shares of a score, with the remedy."""
    texts: list[str] = []
    if judged.hopeless.any():
        texts.append(
            f"gap: the attributions of {numbered_examples(judged.hopeless)} are NaN: they miss what they should add up "
            "to by more than the scores and outputs themselves"
        )
    if (judged.misses & ~judged.hopeless).any():
        name = explainer.narrows_gap
        largest = int(used[name].max()) if name in used else getattr(explainer, name) if name else 0
        remedy = f"; a larger {name} (here {largest}) narrows it" if name else ""
        texts.append(
            "gap: some examples' attributions miss what they should add up to by more than "
            f"{TOLERANCE:.0%} of the score{remedy}"
        )
    return tuple(texts)
