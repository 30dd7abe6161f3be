"""Shapley values, and how exact they are, from the scores of the coalitions of a design."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.perturbation.designs import Design, Estimator
from pnpxai.attributors.perturbation.odd_terms import MOST_PAIRS, odd_values

__all__ = ["Estimate", "estimated"]

_RANK = 1e-10  # singular values below this share of the largest are rounding errors


@dataclass(frozen=True)
class Estimate:
    """Shapley values of some examples.

    Attributes:
        values: (examples, players), in float64.
        standard_error: (examples, players); None where the values are exact, or their error is not known.
        degrees_of_freedom: of Student's t distribution, of which the standard error is the scale.
    """

    values: Tensor
    standard_error: Tensor | None = None
    degrees_of_freedom: int | None = None


def estimated(design: Design, scores: Tensor, method: Estimator, *, all_rows: bool = True) -> Estimate:
    """Return the values that the scores (examples, coalitions) of a design give.

    Args:
        design: the coalitions.
        scores: their scores, averaged over what stands in.
        method: how the values are estimated.
        all_rows: whether each coalition was averaged over all rows.
    """
    scores = scores.double()
    if design.method == "exact":
        return Estimate(weighted_gains(design.present, scores))
    gap = scores[:, design.full] - scores[:, design.empty]
    estimate = _from_orders(design, scores) if design.method == "permutation" else None
    if estimate is None:
        odd_scores = (scores[:, 2 : len(design.present) : 2] - scores[:, 3 : len(design.present) : 2]) / 2
        if method == "odd" and odd_scores.shape[1] <= MOST_PAIRS:
            estimate = Estimate(odd_values(design.present[2::2], odd_scores, gap / 2))
        else:
            estimate = _least_squares(design, odd_scores, gap, all_rows)
    missing = gap - estimate.values.sum(1)  # rounding errors, but for a regression with a prior
    values = estimate.values + missing[:, None] / design.n_players
    return Estimate(values, estimate.standard_error, estimate.degrees_of_freedom)


def weighted_gains(present: Tensor, scores: Tensor) -> Tensor:
    r"""Return (examples, players) \sum_{S without i} (v(S + i) - v(S)) / (n C(n - 1, |S|)), from all coalitions."""
    size = present.shape[1]
    chances = torch.tensor([1 / (size * math.comb(size - 1, members)) for members in range(size)], dtype=torch.float64)
    codes, members = torch.arange(len(present)), present.sum(1)
    values = scores.new_zeros(len(scores), size)
    for player in range(size):
        without = codes[~present[:, player]]
        gains = scores[:, without + 2**player] - scores[:, without]
        values[:, player] = gains @ chances[members[without]].to(scores.device)
    return values


def _from_orders(design: Design, scores: Tensor) -> Estimate:
    """Return the mean gain over orders; an order and its reverse make one draw."""
    count, size = design.orders.shape
    ends = scores[:, :1, None].expand(-1, count, 1), scores[:, 1:2, None].expand(-1, count, 1)
    inner = scores[:, 2 : len(design.present)].reshape(len(scores), count, size - 1)
    gains = torch.cat([ends[0], inner, ends[1]], 2).diff(dim=2)
    ranks = design.orders.argsort(1).to(scores.device)
    joined = gains.gather(2, ranks.expand(len(gains), -1, -1))
    draws = count // 2
    if draws < 2:
        return Estimate(joined.mean(1))
    means = joined[:, : 2 * draws].reshape(len(joined), draws, 2, size).mean(2)
    return Estimate(joined.mean(1), means.std(1) / math.sqrt(draws), draws - 1)


def _least_squares(design: Design, odd_scores: Tensor, gap: Tensor, all_rows: bool) -> Estimate:
    r"""Return the values that minimise \sum_p w_p (g(S_p) - \sum_i x_pi phi_i / 2)^2 among those that sum to the gap.

    The error is that of a stratified sample of pairs: the variance within each size of the residuals' shares in the
    solution, without what complete sizes cannot add.
    """
    x = design.present[2::2].double() * 2 - 1
    shares = x.mean(1, keepdim=True)
    roots = design.weights.sqrt()[:, None]
    centred = x - shares
    solver = torch.linalg.pinv(roots * centred, rtol=_RANK) * roots.T
    offsets = odd_scores.cpu() - shares.T * gap.cpu()[:, None] / 2
    solution = offsets @ solver.T
    values = (gap.cpu()[:, None] / len(solver) + 2 * solution).to(odd_scores.device)
    pairs, unknowns = len(x), len(solver) - 1
    free = pairs - unknowns
    if free < 2:
        return Estimate(values)
    leverage = (centred * solver.T).sum(1).clamp(0, 1 - 1e-6)
    residuals = (offsets - solution @ centred.T) / (1 - leverage).sqrt()
    parts = 2 * residuals[:, :, None] * solver.T  # (examples, pairs, players)
    variance = torch.zeros_like(solution)
    for members in design.strata.unique():
        own = design.strata == members
        unseen = 1 - float(design.sampled[own][0]) if all_rows else 1.0
        part = parts[:, own]
        drawn = part.shape[1]
        if drawn > 1:
            variance += unseen * drawn / (drawn - 1) * (part - part.mean(1, keepdim=True)).square().sum(1)
        else:
            variance += unseen * part.square().sum(1)
    return Estimate(values, variance.sqrt().to(odd_scores.device), free)
