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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["odd_values"]

_EQUAL = (0.05, 0.15, 0.4)
_BY_VALUE = ((1.0, 0.6), (1.0, 0.9), (1.0, 0.3), (0.5, 0.6), (0.5, 0.3), (0.5, 0.9), (1.0, 0.1), (0.5, 0.1))
_NOISE = (1e-3, 1e-2, 1e-1, 1.0)
_OPERATIONS = 2e8
"""About so many multiplications of one Cholesky factor for each example: fewer priors are tried with more pairs."""
_EXACT = 1e-9
"""The noise of g(N), which makes the values sum to v(N) - v(empty)."""


def odd_values(first: Tensor, odd_scores: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return (examples, players) Shapley values and their standard errors under the prior, in float64.

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
        return fits.values, fits.errors
    base, noise = fits.values.abs(), fits.noise.tolist()
    tries = max(1, min(len(_BY_VALUE) * len(_NOISE), int(_OPERATIONS / len(x) ** 3)))
    for example, share in enumerate(base):
        if not float(share.max()) > 0:
            continue
        share = share / share.mean() + 0.02
        near = sorted(_NOISE, key=lambda nu: abs(math.log(nu / noise[example])))
        near = near if tries >= 16 else near[:2] if tries >= 4 else near[:1]
        for (gamma, scale), pairs in itertools.groupby(
            itertools.islice(itertools.product(_BY_VALUE, near), tries), key=lambda pair: pair[0]
        ):
            own = share**gamma
            prior = _Prior.of(x, scale * own / own.max())
            fits.improve(prior, y[:, example : example + 1], [nu for _, nu in pairs], example)
    return fits.values, fits.errors


@dataclass(frozen=True)
class _Prior:
    """A prior of the odd interactions, at the coalitions that were run.

    Attributes:
        x: (coalitions, players) 1 for present, -1 for absent.
        l: (players,) as in the formula.
        kernel: (coalitions, coalitions) covariances, scaled to a mean variance of one.
        scale: what the kernel was divided by.
    """

    x: Tensor
    l: Tensor  # noqa: E741  (as in the formula)
    kernel: Tensor
    scale: float

    @classmethod
    def of(cls, x: Tensor, l: Tensor) -> _Prior:  # noqa: E741  (as in the formula)
        plus, minus = torch.log1p(l), torch.log1p(-l)
        half = (plus - minus) / 2
        factor = torch.exp((plus + minus).sum() / 2)
        scale = max(float(factor * half.sum().sinh() - l.sum()), 1e-300)  # z = 1 on the diagonal
        # in place, as these are the largest tensors of a fit
        kernel = ((x * half) @ x.T).sinh_()
        return cls(x, l, kernel.addmm_(x * (l / scale), x.T, beta=float(factor) / scale, alpha=-1), scale)

    def shares(self) -> Tensor:
        r"""Return (players, coalitions) covariances of each player's share of the interactions and each score.

        They are \sum_{T \ni i, |T| odd, >= 3} \prod_{j in T} l_j x_j / |T|. 1 / |T| is the integral of t^(|T| - 1) over
        [0, 1], under which the sum over T is a product again; Gauss-Legendre nodes integrate it exactly:

            l_i x_i \int (P_-i + M_-i) / 2 - 1 dt,   P_-i, M_-i = \prod_{j != i} (1 +- t l_j x_j)
        """
        t, weights = _nodes(self.x.shape[1] // 2 + 1)
        tl = t[:, None] * self.l
        half, both = (torch.log1p(tl) - torch.log1p(-tl)) / 2, (torch.log1p(tl) + torch.log1p(-tl)).sum(1) / 2
        logs = self.x @ half.T
        p, m = torch.exp(both + logs), torch.exp(both - logs)
        without = weights[:, None] / (2 * (1 - tl * tl))  # 1 / (1 + t l x) = (1 - t l x) / (1 - t^2 l^2)
        lx = self.l * self.x
        total = (p + m) @ without - lx * ((p - m) @ (without * t[:, None])) - 1
        return (lx * total).T / self.scale

    def variances(self) -> Tensor:
        r"""Return (players,) the variance of each player's share: \sum_{T \ni i, |T| odd, >= 3} \prod_T l_j / |T|^2.

        1 / |T|^2 is the integral of (s t)^(|T| - 1) over both s and t.
        """
        t, weights = _nodes(self.x.shape[1] // 2 + 1)
        stl = torch.outer(t, t).reshape(-1, 1) * self.l
        both, weights = torch.stack([torch.log1p(stl), torch.log1p(-stl)]), torch.outer(weights, weights).reshape(-1, 1)
        odd = torch.exp(both.sum(2, keepdim=True) - both).mean(0) - 1
        return self.l * (weights * odd).sum(0) / self.scale


@cache
def _nodes(count: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights that integrate polynomials over [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


@dataclass(frozen=True)
class _Fits:
    """The most likely fit of each example so far.

    Attributes:
        values: (examples, players) Shapley values.
        errors: (examples, players) their standard errors.
        likelihood: (examples,) the restricted log-likelihood of the scores, but for a constant.
        noise: (examples,) the noise of the fit.
    """

    values: Tensor
    errors: Tensor
    likelihood: Tensor
    noise: Tensor

    @classmethod
    def none(cls, examples: int, players: int) -> _Fits:
        values = torch.zeros(examples, players, dtype=torch.float64)
        return cls(values, values.clone(), values.new_full((examples,), -math.inf), values.new_ones(examples))

    def improve(self, prior: _Prior, y: Tensor, noises: Sequence[float], example: int = 0) -> None:
        """Take over what is more likely under a prior; ``y`` is (coalitions, examples) from ``example`` on."""
        rows = slice(example, example + y.shape[1])
        for nu in noises:
            fit = _Fit.of(prior, y, nu)
            better = fit.likelihood > self.likelihood[rows]
            if not bool(better.any()):
                continue
            values, errors = fit.values()
            self.values[rows] = torch.where(better[:, None], values, self.values[rows])
            self.errors[rows] = torch.where(better[:, None], errors, self.errors[rows])
            self.noise[rows] = torch.where(better, nu, self.noise[rows])
            self.likelihood[rows] = torch.where(better, fit.likelihood, self.likelihood[rows])


@dataclass(frozen=True)
class _Fit:
    """The generalised least squares fit under a prior.

    Attributes:
        prior: the prior.
        lower: the Cholesky factor of the covariances, noise included.
        a: (coalitions, players) x, whitened by the factor.
        gram: the Cholesky factor of a^T a; None where the coalitions do not tell all players apart.
        linear: (players, examples) the linear terms.
        residual: (coalitions, examples) what they leave of the whitened scores.
    """

    prior: _Prior
    lower: Tensor
    a: Tensor
    gram: Tensor | None
    linear: Tensor
    residual: Tensor

    @classmethod
    def of(cls, prior: _Prior, y: Tensor, nu: float) -> _Fit:
        covariance = prior.kernel.clone()
        covariance.diagonal()[0] += _EXACT
        covariance.diagonal()[1:] += nu
        lower, failed = torch.linalg.cholesky_ex(covariance)
        whitened = torch.linalg.solve_triangular(lower, torch.cat([prior.x, y], 1), upper=False)
        a, b = whitened.split([prior.x.shape[1], y.shape[1]], 1)
        gram, singular = torch.linalg.cholesky_ex(a.T @ a)
        if int(failed) or int(singular):  # players that the coalitions do not tell apart share equally
            linear = torch.linalg.lstsq(a, b, rcond=1e-10, driver="gelsd").solution
            return cls(prior, lower, a, None, linear, b - a @ linear)
        linear = torch.cholesky_solve(a.T @ b, gram)
        return cls(prior, lower, a, gram, linear, b - a @ linear)

    @property
    def spread(self) -> Tensor:
        """(examples,) the scale of the prior and the noise."""
        free = len(self.a) - self.a.shape[1]
        return self.residual.square().sum(0).clamp_min(1e-300) / max(free, 1)

    @property
    def likelihood(self) -> Tensor:
        """(examples,) the restricted log-likelihood, but for a constant."""
        if self.gram is None:
            return self.residual.new_full(self.residual.shape[1:], -1e300)
        free = len(self.a) - self.a.shape[1]
        logs = self.lower.diagonal().log().sum() + self.gram.diagonal().log().sum()
        return -0.5 * free * torch.log(self.spread) - logs

    def values(self) -> tuple[Tensor, Tensor]:
        r"""Return the values (examples, players) and their standard errors.

        A value is 2 (c_i + s_i), s_i its share of the interactions. With k_i the covariances of s_i and the scores and
        v_i the variance of s_i, the variance of the error of c_i + s_i is, as in universal kriging,
        v_i - k_i K^-1 k_i + r_i (x^T K^-1 x)^-1 r_i,  r_i = e_i - x^T K^-1 k_i.
        """
        if self.gram is None:
            return 2 * self.linear.T, torch.full_like(self.linear.T, math.nan)
        shares = torch.linalg.solve_triangular(self.lower, self.prior.shares().T, upper=False)
        values = 2 * (self.linear + shares.T @ self.residual)
        left = torch.eye(len(self.linear), dtype=self.a.dtype) - self.a.T @ shares
        certain = self.prior.variances() - shares.square().sum(0)
        fitted = torch.linalg.solve_triangular(self.gram, left, upper=False).square().sum(0)
        return values.T, 2 * ((certain + fitted).clamp_min(0) * self.spread[:, None]).sqrt()
