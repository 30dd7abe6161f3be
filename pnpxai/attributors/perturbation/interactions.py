"""Computes how much two groups of elements are worth together beyond what each is worth, for every pair of groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.perturbation.designs import Budget, Design
from pnpxai.attributors.perturbation.estimates import weighted_gains
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.plays import Play
from pnpxai.attributors.perturbation.stand_ins import Rows
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ForwardArgs, Model, ModelInputs
from pnpxai.tensors import Tensors

__all__ = ["Interactions", "shapley_interactions"]

Index: TypeAlias = Literal["faithful", "k-SII"]
_RANK = 1e-10  # singular values below this share of the largest are rounding errors


@dataclass(frozen=True)
class Interactions:
    """Holds a game's best additive model of single groups and pairs of groups.

    Values and pairs (each pair once) sum to F(x) - F(baseline).

    Attributes:
        values: (examples, groups) worth of each group alone.
        pairs: (examples, groups, groups) worth of two together beyond their own; symmetric, zero on the diagonal.
        base_value: (examples,) score with all groups absent.
        n_samples: number of coalitions that ran.
    """

    values: Tensor
    pairs: Tensor
    base_value: Tensor
    n_samples: int


def shapley_interactions(
    forward_func: Model,
    inputs: ModelInputs,
    baselines: Baselines | Rows = None,
    target: Target = None,
    additional_forward_args: ForwardArgs = None,
    feature_mask: Tensor | Tensors | None = None,
    n_samples: int | Literal["auto"] = "auto",
    *,
    index: Index = "faithful",
    held: Sequence[Tensor | None] | None = None,
    perturbations_per_eval: int = 1,
    show_progress: bool = False,
    seed: int | RandomStream = 0,
) -> Interactions:
    r"""Return Shapley interactions of order two of groups of elements.

    "faithful" minimises \sum_S mu(S) (v(S) - \sum_{T in S, |T| <= 2} a_T)^2 with the Shapley kernel mu, and is exact
    for nobody and for all (Tsai et al., 2023, arXiv:2203.00870). "k-SII" has the Shapley interaction index as pairs,
    \sum_S (n - s - 2)! s! / (n - 1)! (v(S + ij) - v(S + i) - v(S + j) + v(S)), half of which the values leave to them
    (Grabisch and Roubens, 1999; Bordt and von Luxburg, 2023, arXiv:2209.04012); it needs all coalitions.

    Args:
        forward_func: the model.
        inputs: a tensor (examples, ...), or a tuple of them.
        baselines: replacement of absent groups, as for ``KernelShap``.
        target: output to explain.
        additional_forward_args: further arguments of the model.
        feature_mask: an id for each element, as ``FeatureAblation`` takes it; by default every element is alone.
        n_samples: number of coalitions; "auto" runs all of them where these are at most 4,096, else twice as many as a
            fit of all pairs needs, 2 n (n - 1) + 2.
        index: "faithful" or "k-SII".
        held: for each input, true for elements that are always present.
        perturbations_per_eval: at most so many coalitions of each example in one pass; 1 leaves it to the device.
        show_progress: show a progress bar.
        seed: seed of the coalitions.

    Raises:
        ArgumentError: there are fewer coalitions than a fit of all pairs needs, n (n - 1) + 2, or fewer than all for
            "k-SII".
    """
    if index not in ("faithful", "k-SII"):
        raise ArgumentError(f"index: expected 'faithful' or 'k-SII', got {index!r}")
    if n_samples != "auto":
        whole_number("n_samples", n_samples, 2)
    with borrowed(forward_func, gradients=False):
        game = Game.of(forward_func, inputs, baselines, target, additional_forward_args, feature_mask, held)
        most = max(game.groups.sizes)
        budget = Budget(n_samples, n_rows=game.stand_ins.n_rows)
        calls = max(budget.calls(most), 2 * most * (most - 1) + 2) if n_samples == "auto" else n_samples
        if calls < 2**most and (index == "k-SII" or calls < most * (most - 1) + 2):
            least = 2**most if index == "k-SII" else most * (most - 1) + 2
            raise ArgumentError(
                f"n_samples: expected at least {least:,} for {most} groups and {index!r}, got {calls:,}"
            )
        exact = 2**most <= calls
        budget = Budget(calls, "exact" if exact else "leverage", game.stand_ins.n_rows)
        stream = RandomStream.of(seed)
        play, scores = Play.played(game, budget, stream, perturbations_per_eval, show_progress)
        values, pairs = _of_play(play, scores.double().cpu(), index)
        return Interactions(values.to(scores), pairs.to(scores), scores[:, 0].clone(), len(play.designs[-1][0].present))


def _of_play(play: Play, scores: Tensor, index: Index) -> tuple[Tensor, Tensor]:
    """Return the values (examples, groups) and pairs (examples, groups, groups) of scores (examples, coalitions)."""
    most = play.roles.shape[1]
    values, pairs = scores.new_zeros(len(scores), most), scores.new_zeros(len(scores), most, most)
    for number, (design, _) in enumerate(play.designs):
        rows = torch.arange(len(scores)) if len(play.which) == 1 else (play.which == number).nonzero()[:, 0]
        size = design.n_players
        solve = _indices if index == "k-SII" else _faithful
        alone, together = solve(design, scores[rows, : len(design.present)])
        for row, a, t in zip(rows.tolist(), alone, together, strict=True):
            roles = play.roles[row % len(play.roles), :size]
            values[row, :size] = a[roles]
            pairs[row, :size, :size] = t[roles][:, roles]
    return values, pairs


def _indices(design: Design, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return k-SII of order two, from the scores of all coalitions."""
    size = design.n_players
    members, codes = design.present.sum(1), torch.arange(len(design.present))
    pairs = scores.new_zeros(len(scores), size, size)
    factor = [math.factorial(size - s - 2) * math.factorial(s) / math.factorial(size - 1) for s in range(size - 1)]
    chances = torch.tensor(factor, dtype=torch.float64)
    for i in range(size):
        for j in range(i + 1, size):
            without = codes[~design.present[:, i] & ~design.present[:, j]]
            gains = scores[:, without + 2**i + 2**j] - scores[:, without + 2**i] - scores[:, without + 2**j]
            pairs[:, i, j] = pairs[:, j, i] = (gains + scores[:, without]) @ chances[members[without]]
    return weighted_gains(design.present, scores) - pairs.sum(2) / 2, pairs


def _faithful(design: Design, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted least squares fit of groups and pairs that is exact for nobody and for all."""
    size = design.n_players
    first, second = torch.triu_indices(size, size, 1)
    x = design.present.double()
    x = torch.cat([x, x[:, first] * x[:, second]], 1)
    gap = scores[:, design.full] - scores[:, design.empty]
    inner = torch.ones(len(x), dtype=torch.bool)
    inner[[design.empty, design.full]] = False
    if size < 2:  # there is no pair, and nobody beside the one player
        return gap[:, None].expand(-1, size), scores.new_zeros(len(scores), size, size)
    members = design.present[inner].sum(1)
    if design.method == "exact":
        kernel = [1 / (math.comb(size, s) * s * (size - s)) for s in members.tolist()]
        roots = torch.tensor(kernel, dtype=torch.float64).sqrt()[:, None]
    else:
        roots = design.weights.repeat_interleave(2).sqrt()[:, None]
    x = x[inner]
    means = x.mean(1, keepdim=True)
    # a = gap / m + b, where the b of all terms sum to zero
    y = (scores[:, inner] - scores[:, design.empty : design.empty + 1]).T - means * gap
    away = torch.linalg.lstsq(roots * (x - means), roots * y, rcond=_RANK, driver="gelsd").solution.T
    terms = away - away.mean(1, keepdim=True) + gap[:, None] / x.shape[1]
    pairs = scores.new_zeros(len(scores), size, size)
    pairs[:, first, second] = pairs[:, second, first] = terms[:, size:]
    return terms[:, :size], pairs
