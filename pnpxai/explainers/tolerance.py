"""Draws more samples for each example until its standard error is small enough."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pnpxai.attributors.base import Outcome
from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.explainers.results.descriptions import numbered_examples
from pnpxai.tensors import as_tuple, batch_size, flat, sum_rows

if TYPE_CHECKING:
    from pnpxai.explainers.run import Run

__all__ = ["within_tolerance"]

_MOST = 64
"""At most so many times the first number of samples is drawn."""


def within_tolerance(run: Run, tolerance: float, setting: str, targets: Target, seed: int | RandomStream) -> Outcome:
    """Return the outcome of a run whose samples are doubled for each example until its error is within the tolerance.

    An example that is within the tolerance is not run again, so that it has the attributions that it has alone. If the
    examples of a batch depend on each other, all run again.

    Args:
        run: the run.
        tolerance: the largest standard error, as a fraction of the size of the attributions (both as the root of the
            sum of squares over an example).
        setting: name of the setting that is the number of samples.
        targets: the outputs that are explained.
        seed: seed of the draws.
    """
    outcome = run.once(targets, seed)
    draws, errors = _draws(outcome), _relative(outcome)
    most = _MOST * draws
    score = Score.of(run.explainer.forward_func, run.values, targets, run.extra)
    size = batch_size(run.values)
    apart = len(errors) == size and (size == 1 or rows_are_apart(score, run.values, row_limit(run.values, score.extra)))
    while bool((left := (errors > tolerance) & (draws < most)).any()):
        for count in draws[left].unique().tolist() if apart else [int(draws[left].max())]:
            rows = (left & (draws == count)).nonzero()[:, 0] if apart else torch.arange(len(errors))
            part = run.take(rows) if apart and len(rows) < size else run
            targets_of = score.given_target(rows) if part is not run else targets
            own = seed.take(rows.tolist()) if isinstance(seed, RandomStream) and part is not run else seed
            better = part.having(**{setting: 2 * count}).once(targets_of, own)
            if 0 < int(_draws(better).max()) <= count:  # it cannot draw more
                most[rows] = count
            outcome = _replaced(outcome, rows, better)
        draws, errors = _draws(outcome), _relative(outcome)
    known = outcome.standard_error is not None and not any(bool(e.isnan().any()) for e in flat(outcome.standard_error))
    above = errors > tolerance
    notes = outcome.notes
    if bool(above.any()):
        worst, drawn = float(errors[above].max()), int(draws[above].max())
        size_of = f"{worst:.2g} of the size of the attributions" if math.isfinite(worst) else "not known"
        notes = (
            f"tolerance: the standard error of {numbered_examples(above)} is above {tolerance:g} (at most {size_of}) "
            f"with {setting}={drawn:,}, the most that are drawn; start with a larger {setting}",
            *notes,
        )
    return replace(outcome, notes=notes, standard_error=outcome.standard_error if known else None)


def _relative(outcome: Outcome) -> Tensor:
    """Return (examples,) the standard error over the size of the attributions: 0 where nothing was drawn."""
    drawn, rows = _draws(outcome), len(as_tuple(outcome.attributions)[0])
    if outcome.standard_error is None:
        return torch.where(drawn > 0, math.inf, 0.0)

    def squares(values: Tensor | tuple[Tensor, ...]) -> Tensor:
        return torch.stack([sum_rows(v.double().square(), rows).cpu() for v in as_tuple(values)]).sum(0)

    noise = squares(outcome.standard_error)
    share = torch.where(noise == 0, noise, (noise / squares(outcome.attributions)).sqrt())
    return torch.where(drawn > 0, share.nan_to_num(nan=math.inf, posinf=math.inf), 0.0)


def _replaced(outcome: Outcome, rows: Tensor, better: Outcome) -> Outcome:
    """Return an outcome of which some rows are those of a better one; an error that is not known is NaN."""
    if len(rows) == len(as_tuple(outcome.attributions)[0]):
        return better

    def put(old: Tensor, new: Tensor) -> Tensor:
        wide = old.clone()  # shorter texts have fewer groups, which come first
        if wide.ndim == 2 and new.ndim == 2:
            wide[rows.to(old.device), : new.shape[1]] = new
            return wide
        return wide.index_copy_(0, rows.to(old.device), new)

    def errors(part: Outcome) -> tuple[Tensor, ...]:
        if part.standard_error is not None:
            return as_tuple(part.standard_error)
        unknown = torch.where(_draws(part) > 0, math.nan, 0.0)
        return tuple(
            torch.zeros_like(a) + unknown.to(a).reshape(-1, *[1] * (a.ndim - 1)) for a in as_tuple(part.attributions)
        )

    def puts(old: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(put(a, b) for a, b in zip(old, new, strict=True))

    free = [part.degrees_of_freedom for part in (outcome, better) if part.degrees_of_freedom is not None]
    changes = {
        name: put(old, new)
        for name in ("gap", "base_value", "group_values", "draws")
        if (old := getattr(outcome, name)) is not None and (new := getattr(better, name)) is not None
    }
    return replace(
        outcome,
        attributions=puts(as_tuple(outcome.attributions), as_tuple(better.attributions)),
        standard_error=puts(errors(outcome), errors(better)),
        degrees_of_freedom=min(free, default=None),
        notes=better.notes,
        **changes,
    )


def _draws(outcome: Outcome) -> Tensor:
    """Return (examples,) the number of draws, 0 where they are not counted."""
    rows = len(as_tuple(outcome.attributions)[0])
    return torch.zeros(rows, dtype=torch.long) if outcome.draws is None else outcome.draws
