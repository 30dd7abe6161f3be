"""Laws of explainers that perturb: the inputs that the model was run on are caught, and their scores taken again."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.running.probes import is_probe
from pnpxai.tensors import as_tuple
from tests.laws.trial import Trial, deviation, worst

__all__ = ["kernel_fit", "losses", "masked_scores", "orders", "ridge_fit", "scaled_windows", "windows"]


def windows(trial: Trial) -> float:
    """The map is, at each position, the mean loss of score of the windows that cover it, by a loop over windows."""
    made: Any = trial.made
    return deviation(trial.maps, _mean_losses(trial, made.window, made.stride))


def scaled_windows(trial: Trial) -> float:
    """The map is the mean over windows of several sizes, each map scaled to standard deviation 1."""
    made: Any = trial.made
    sizes = [_mean_losses(trial, size, None) for size in made.windows]
    if all(torch.equal(a, b) for a, b in zip(*sizes, strict=True)):  # single columns or tokens, whatever the window
        return deviation(trial.maps, sizes[0])
    parts = []
    for maps in sizes:
        flat = torch.cat([m.flatten(1) for m in maps], 1)
        spread = torch.maximum(flat.std(1, unbiased=False), flat.abs().amax(1) / 1000)
        parts.append(tuple(m / spread.reshape(-1, *[1] * (m.ndim - 1)) for m in maps))
    return deviation(trial.maps, tuple(torch.stack(each).mean(0) for each in zip(*parts, strict=True)))


def _mean_losses(trial: Trial, window: float, stride: float | None) -> tuple[Tensor, ...]:
    """Return, at each position, the mean loss of the windows that cover it; columns are covered one by one."""
    total = [torch.zeros(v.shape, dtype=torch.float64) for v in trial.values]
    count = [torch.zeros(v.shape[1:], dtype=torch.float64) for v in trial.values]
    with torch.no_grad():
        whole = trial.score(trial.values)
        for k, values in enumerate(trial.values):
            sides = values.shape[2:] if values.ndim > 2 else values.shape[1:]
            columns = values.ndim == 2 and values.is_floating_point()
            sizes = [1 if columns else _size(side, window) for side in sides]
            moves = [
                max(1, size // 3) if stride is None else min(_size(side, stride), size)
                for side, size in zip(sides, sizes, strict=True)
            ]
            starts = [_starts(*each) for each in zip(sides, sizes, moves, strict=True)]
            for corner in itertools.product(*starts):
                box: Any = tuple(slice(c, c + size) for c, size in zip(corner, sizes, strict=True))
                box = (slice(None), *box) if values.ndim > 2 else box
                changed = values.clone()
                changed[(slice(None), *box)] = trial.baseline[k][(slice(None), *box)]
                lost = whole - trial.score((*trial.values[:k], changed, *trial.values[k + 1 :]))
                total[k][(slice(None), *box)] += lost.reshape(-1, *[1] * (values.ndim - 1))
                count[k][box] += 1
    return tuple(t / c for t, c in zip(total, count, strict=True))


def losses(trial: Trial) -> float:
    """The map is, at each feature, the score lost by the one run that lacks it; all features had their run."""
    figures = []
    for alone in trial.alone():
        game = _Game(alone)
        expected = torch.full((game.count,), float("nan"), dtype=torch.float64)
        for present, score in zip(game.present, game.scores, strict=True):
            if int((~present).sum()) == 1:
                expected[~present] = game.full - score
        figures.append(_off(game.shares, expected))
    return worst(figures)


def orders(trial: Trial) -> float:
    """The map is each feature's mean gain over the orders that were run; they all go from nothing to everything."""
    figures = []
    for alone in trial.alone():
        game = _Game(alone)
        between = (0 < game.present.sum(1)) & (game.present.sum(1) < game.count)
        chains = game.present[between].reshape(-1, game.count - 1, game.count)
        scores = game.scores[between].reshape(-1, game.count - 1)
        gains = torch.zeros(game.count, dtype=torch.float64)
        for chain, along in zip(chains, scores, strict=True):
            steps = torch.cat([torch.zeros_like(chain[:1]), chain, torch.ones_like(chain[:1])])
            values = torch.cat([game.empty[None], along, game.full[None]])
            joined = steps[1:] & ~steps[:-1]
            if not bool((joined.sum(1) == 1).all()):
                return float("inf")
            gains += joined.double().T @ values.diff()
        figures.append(_off(game.shares, gains / len(chains)))
    return worst(figures)


def kernel_fit(trial: Trial) -> float:
    """The map satisfies the normal equations of the weighted fit to the coalitions that were run, given its sum."""
    figures = []
    for alone in trial.alone():
        game = _Game(alone)
        sizes = game.present.sum(1)
        inner = (0 < sizes) & (sizes < game.count)
        present, sizes = game.present[inner].double(), sizes[inner]
        # coalitions of a size share what the Shapley kernel gives the size, however many of them were run
        runs, n = torch.bincount(sizes, minlength=game.count), game.count
        weights = torch.tensor([(n - 1) / (s * (n - s) * int(runs[s])) for s in sizes.tolist()]).double()
        residual = game.scores[inner] - game.empty - present @ game.shares
        slope = present.T @ (weights * residual)
        size = present.T @ (weights * (game.scores[inner] - game.empty)).abs()
        gap = game.shares.sum() - (game.full - game.empty)
        figures += [float((slope - slope.mean()).abs().max() / size.max()), float(gap.abs() / game.full.abs())]
    return worst(figures)


def ridge_fit(trial: Trial) -> float:
    """The map satisfies the normal equations of a ridge regression on the samples, weighted by cosine distance."""
    figures = []
    for alone in trial.alone():
        game = _Game(alone)
        original = torch.cat([v.double().flatten(1) for v in alone.values], 1)
        perturbed = torch.cat([v.double().flatten(1) for v in game.rows], 1)
        distance = 1 - torch.cosine_similarity(original.expand_as(perturbed), perturbed)
        weights = torch.exp(-(distance**2) / 2)
        present = game.present.double()
        residual = game.scores - present @ game.shares
        residual = residual - (weights * residual).sum() / weights.sum()
        slope = present.T @ (weights * residual) - game.shares
        size = present.T @ (weights * game.scores).abs()
        figures.append(float(slope.abs().max() / size.max()))
    return worst(figures)


def masked_scores(trial: Trial) -> float:
    """The map is the mean over the masks that were run of the mask times how far its score is from their mean."""
    made: Any = trial.made
    figures = []
    for alone in trial.alone():
        rows = _runs(alone)
        with torch.no_grad():
            scores = _scores(alone, rows)
        moves = (scores - scores.mean()) / (len(scores) * made.probability)
        expected = []
        for row, value, blank in zip(rows, alone.values, alone.baseline, strict=True):
            masks = (row == value).double()
            if value.is_floating_point():
                span = value - blank
                masks = (row - blank) / span  # best seen in the channel that changes most
                if value.ndim > 2:
                    best = span.abs().argmax(1, keepdim=True)
                    masks = masks.gather(1, best.expand(len(row), *best.shape[1:])).expand_as(row)
            if masks.min() < -1e-6 or masks.max() > 1 + 1e-6:
                return float("inf")
            expected.append(torch.einsum("s,s...->...", moves, masks)[None])
        figures.append(deviation(alone.maps, tuple(expected)))
    return worst(figures)


class _Game:
    """What was run for a single example, in terms of its features.

    Attributes:
        rows: (runs, ...) the inputs that the model was run on.
        scores: (runs,) their scores.
        present: (runs, features) which features were left as they are.
        shares: (features,) what the map gives to each of them.
        full: the score with all of them.
        empty: the score with none.
    """

    def __init__(self, trial: Trial) -> None:
        made: Any = trial.made
        masks = as_tuple(made.game()["feature_mask"].function(trial.values))
        ids = [m.expand(v.shape).flatten() for m, v in zip(masks, trial.values, strict=True)]
        self.rows = _runs(trial)
        kept = [
            ((row == value) | (value == blank)).flatten(1)
            for row, value, blank in zip(self.rows, trial.values, trial.baseline, strict=True)
        ]
        features = torch.cat(ids).unique()
        self.count = len(features)
        of, is_kept = torch.cat(ids), torch.cat(kept, 1)
        maps = torch.cat([m.flatten() for m in trial.maps])
        self.present = torch.stack([is_kept[:, of == f].all(1) for f in features], 1)
        self.shares = torch.stack([maps[of == f][0] for f in features])
        with torch.no_grad():
            self.scores = _scores(trial, self.rows)
            self.full, self.empty = trial.score(trial.values)[0], trial.score(trial.baseline)[0]


def _off(found: Tensor, expected: Tensor) -> float:
    """Return how far shares are from what is expected; infinitely, where nothing is known of one."""
    if not torch.isfinite(expected).all():
        return float("inf")
    return deviation((found,), (expected,))


def _runs(trial: Trial) -> tuple[Tensor, ...]:
    """Return all inputs (runs, ...) that the explainer runs the model on."""
    caught: list[tuple[Tensor, ...]] = []

    def catch(module: Any, args: tuple[Tensor, ...]) -> None:
        if not is_probe():
            caught.append(tuple(a.detach().clone() for a in args))

    handle = trial.case.model.register_forward_pre_hook(catch)
    try:
        trial.maps  # noqa: B018  (computed on first use)
    finally:
        handle.remove()
    return tuple(torch.cat(members) for members in zip(*caught, strict=True))


def _scores(trial: Trial, rows: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([trial.score(part) for part in zip(*(r.split(64) for r in rows), strict=True)])


def _size(side: int, fraction: float) -> int:
    return max(1, round(fraction * side))


def _starts(side: int, size: int, step: int) -> list[int]:
    """Return where windows start, the last one reaching the far end."""
    return [k * step for k in range(math.ceil((side - size) / step) + 1)]
