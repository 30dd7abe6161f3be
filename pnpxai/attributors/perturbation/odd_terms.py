r"""Shapley values from the odd part of a game, fitted with all interactions of odd order.

A game of n players is a sum of products: v(S) = \sum_T c_T \prod_{i in T} x_i, with x_i = 1 if i is in S, else -1. Only
odd T matter to Shapley values, phi_i = 2 \sum_{T \ni i, |T| odd} c_T / |T|, and the even ones cancel in
g(S) = (v(S) - v(N \ S)) / 2. Following the regression on odd terms of arXiv:2602.01399, but instead of choosing some
products of three, all of them have a prior: c_i is free, and c_T of three or more is normal with the variance
\prod_{i in T} l_i. The sum over all T then has a closed form,

    k(x, y) = \sum_{|T| odd, >= 3} \prod_{i in T} l_i x_i y_i = (\prod_i (1 + l_i z_i) - \prod_i (1 - l_i z_i)) / 2
              - \sum_i l_i z_i,    z = x y,

so that the fit is one regression with as many unknowns as pairs of coalitions. l and the noise nu are those under which
the scores are most likely (REML), among some that are equal for all players, and some that go by how much a player
matters: l_i \propto |phi_i|^gamma.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["MOST_PAIRS", "odd_values"]

MOST_PAIRS = 1200
"""With more pairs of coalitions the fit takes longer than most models."""
_EQUAL = (0.05, 0.15, 0.4)
_BY_VALUE = ((1.0, 0.6), (1.0, 0.9), (1.0, 0.3), (0.5, 0.6), (0.5, 0.3), (0.5, 0.9), (1.0, 0.1), (0.5, 0.1))
_NOISE = (1e-3, 1e-2, 1e-1, 1.0)
_OPERATIONS = 2.5e8
"""About so many multiplications of one Cholesky factor for each example: fewer priors are tried with more pairs."""
_EXACT = 1e-9
"""The noise of g(N), which makes the values sum to v(N) - v(empty)."""


def odd_values(first: Tensor, odd_scores: Tensor, total: Tensor) -> Tensor:
    """Return (examples, players) Shapley values, in float64.

    Args:
        first: (pairs, players) one coalition of each pair.
        odd_scores: (examples, pairs) half the difference between its score and its complement's.
        total: (examples,) half the difference between the full and the empty coalition's.
    """
    x = torch.cat([torch.ones_like(first[:1]), first]).double() * 2 - 1
    y = torch.cat([total[:, None], odd_scores], 1).double().T
    fits = _Fits.none(y.shape[1], x.shape[1])
    for scale in _EQUAL:
        fits.improve(_Prior.of(x, torch.full((x.shape[1],), scale, dtype=torch.float64)), y, _NOISE)
    if len(x) <= x.shape[1] + 2:  # the linear terms take up all there is
        return fits.values
    base, noise = fits.values.clone(), fits.noise.clone()
    tries = max(1, min(len(_BY_VALUE) * len(_NOISE), int(_OPERATIONS / len(x) ** 3)))
    for example in range(y.shape[1]):
        share = base[example].abs()
        if not float(share.max()) > 0:
            continue
        share = share / share.mean() + 0.02
        near = sorted(_NOISE, key=lambda nu: abs(math.log(nu / float(noise[example]))))
        chosen = list(itertools.product(_BY_VALUE, near if tries >= 16 else near[:2] if tries >= 4 else near[:1]))[
            :tries
        ]
        for (gamma, scale), pairs in itertools.groupby(chosen, key=lambda pair: pair[0]):
            own = share**gamma
            prior = _Prior.of(x, scale * own / own.max())
            fits.improve(prior, y[:, example : example + 1], [nu for _, nu in pairs], example)
    return fits.values


@dataclass(frozen=True)
class _Prior:
    """A prior of the odd interactions, at the coalitions that were run.

    Attributes:
        x: (coalitions, players) 1 for present, -1 for absent.
        kernel: (coalitions, coalitions) covariances, scaled to a mean variance of one.
        shares: (players, coalitions) covariances of each player's value and each coalition's score.
    """

    x: Tensor
    kernel: Tensor
    shares: Tensor

    @classmethod
    def of(cls, x: Tensor, l: Tensor) -> _Prior:  # noqa: E741  (as in the formula)
        plus, minus = torch.log1p(l), torch.log1p(-l)
        half = (plus - minus) / 2
        kernel = torch.exp((plus + minus).sum() / 2) * torch.sinh((x * half) @ x.T) - (x * l) @ x.T
        scale = kernel.diagonal().mean().clamp_min(1e-300)
        return cls(x, kernel / scale, _shares(x, l) / scale)


def _shares(x: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    r"""Return (players, coalitions) \sum_{T \ni i, |T| odd, >= 3} \prod_{j in T} l_j x_j / |T|.

    1 / |T| is the integral of t^(|T| - 1) over [0, 1], under which the sum over T is a product again; Gauss-Legendre
    nodes integrate it exactly.
    """
    nodes, weights = np.polynomial.legendre.leggauss(x.shape[1] // 2 + 1)
    total = torch.zeros_like(x)
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        plus, minus = torch.log1p(t * l), torch.log1p(-t * l)
        half, both = (plus - minus) / 2, (plus + minus) / 2
        others = (x @ half)[:, None] - half * x
        total += float(weight) * (torch.exp(both.sum() - both) * torch.cosh(others) - 1)
    return (l * x * total).T


@dataclass(frozen=True)
class _Fits:
    """The most likely fit of each example so far.

    Attributes:
        values: (examples, players) Shapley values.
        likelihood: (examples,) the restricted log-likelihood of the scores, but for a constant.
        noise: (examples,) the noise of the fit.
    """

    values: Tensor
    likelihood: Tensor
    noise: Tensor

    @classmethod
    def none(cls, examples: int, players: int) -> _Fits:
        double = torch.float64
        values = torch.zeros(examples, players, dtype=double)
        return cls(values, torch.full((examples,), -math.inf, dtype=double), torch.ones(examples, dtype=double))

    def improve(self, prior: _Prior, y: Tensor, noises: tuple[float, ...] | list[float], example: int = 0) -> None:
        """Take over what is more likely under a prior; ``y`` is (coalitions, examples) from ``example`` on."""
        rows = slice(example, example + y.shape[1])
        for nu in noises:
            values, likelihood = _fit(prior, y, nu)
            better = likelihood > self.likelihood[rows]
            self.values[rows] = torch.where(better[:, None], values, self.values[rows])
            self.noise[rows] = torch.where(better, nu, self.noise[rows])
            self.likelihood[rows] = torch.where(better, likelihood, self.likelihood[rows])


def _fit(prior: _Prior, y: Tensor, nu: float) -> tuple[Tensor, Tensor]:
    """Return the values (examples, players) of the generalised least squares fit, and its likelihood (examples,)."""
    x, free = prior.x, len(y) - prior.x.shape[1]
    noise = torch.full((len(y),), nu, dtype=torch.float64)
    noise[0] = _EXACT
    lower, failed = torch.linalg.cholesky_ex(prior.kernel + torch.diag(noise))
    whitened = torch.linalg.solve_triangular(lower, torch.cat([x, y], 1), upper=False)
    a, b = whitened[:, : x.shape[1]], whitened[:, x.shape[1] :]
    gram, singular = torch.linalg.cholesky_ex(a.T @ a)
    if int(failed) or int(singular):  # players that the coalitions do not tell apart share equally
        solution = torch.linalg.lstsq(a, b, rcond=1e-10, driver="gelsd").solution
        return 2 * solution.T, y.new_full((y.shape[1],), -1e300)
    linear = torch.cholesky_solve(a.T @ b, gram)
    residual = b - a @ linear
    weights = torch.linalg.solve_triangular(lower.T, residual, upper=True)
    values = 2 * (linear + prior.shares @ weights)
    spread = residual.square().sum(0) / max(free, 1)
    logs = lower.diagonal().log().sum() + gram.diagonal().log().sum()
    return values.T, -0.5 * free * torch.log(spread.clamp_min(1e-300)) - logs
