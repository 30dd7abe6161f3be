r"""Shapley values from the odd part of a game, fitted with all interactions of odd order.

A game of n players is a sum of products: v(S) = \sum_T c_T \prod_{i in T} x_i, with x_i = 1 if i is in S, else -1. Only
odd T matter to Shapley values, phi_i = 2 \sum_{T \ni i, |T| odd} c_T / |T|, and the even ones cancel in
g(S) = (v(S) - v(N \ S)) / 2. Following the regression on odd terms of arXiv:2602.01399, but instead of choosing some
products of three, all of them have a prior: c_i is free, and c_T of three or more is normal with the variance
\prod_{i in T} l_i. The sum over all T then has a closed form,

    k(x, y) = \sum_{|T| odd, >= 3} \prod_{i in T} l_i x_i y_i = (\prod_i (1 + l_i z_i) - \prod_i (1 - l_i z_i)) / 2
              - \sum_i l_i z_i,    z = x y,

so that the fit is one regression with as many unknowns as pairs of coalitions. l and the noise nu are not known. Some l
are tried that are equal for all players, and some that go by how much a player matters, l_i \propto |phi_i|^gamma. Each
l with each nu weighs as much as the scores are likely under both (REML). The values are the weighted mean, and their
variance is the mean variance plus the variance of the means: the most likely l and nu alone would be too sure.
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
_UNLIKELY = 8.0
"""Fits that are less likely than the best one so far by e to this power are left out."""


def odd_values(first: Tensor, odd_scores: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return (examples, players) Shapley values and their standard errors under the prior, in float64.

    Args:
        first: (pairs, players) one coalition of each pair.
        odd_scores: (examples, pairs) half the difference between its score and its complement's.
        total: (examples,) half the difference between the full and the empty coalition's.
    """
    x = torch.cat([torch.ones_like(first[:1]), first]).double() * 2 - 1
    y = torch.cat([total[:, None], odd_scores], 1).double().T
    n_coalitions, n_players = x.shape
    equal: list[_Solutions] = []
    for scale in _EQUAL:
        _add(equal, _Prior.of(x, torch.full((n_players,), scale, dtype=torch.float64)), y, _NOISE)
    values, variances = _averaged(equal)
    if all(bool(part.likelihood.isneginf().all()) for part in equal):  # players that are not told apart share equally
        values = 2 * torch.linalg.lstsq(x, y, rcond=1e-10, driver="gelsd").solution.T
        return values, torch.full_like(values, math.nan)
    if n_coalitions <= n_players + 2:  # the linear terms take up all there is
        return values, variances.sqrt()
    noise = torch.cat([part.noise for part in equal])[torch.cat([part.likelihood for part in equal]).argmax(0)].tolist()
    tries = max(1, min(len(_BY_VALUE) * len(_NOISE), int(_OPERATIONS / n_coalitions**3)))
    for example, share in enumerate(values.abs()):
        if not float(share.max()) > 0:
            continue
        share = share / share.mean() + 0.02
        near = sorted(_NOISE, key=lambda nu: abs(math.log(nu / noise[example])))
        near = near if tries >= 16 else near[:2] if tries >= 4 else near[:1]
        own = [part.of_example(example) for part in equal]
        for (gamma, scale), pairs in itertools.groupby(
            itertools.islice(itertools.product(_BY_VALUE, near), tries), key=lambda pair: pair[0]
        ):
            weights = share**gamma
            prior = _Prior.of(x, scale * weights / weights.max())
            _add(own, prior, y[:, example : example + 1], [nu for _, nu in pairs])
        values[example : example + 1], variances[example : example + 1] = _averaged(own)
    return values, variances.sqrt()


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
class _Solutions:
    """What the fits under some priors and noises say.

    Attributes:
        noise: (fits,) the noise of each.
        likelihood: (fits, examples) the restricted log-likelihood of the scores, but for a constant.
        values: (fits, examples, players) Shapley values.
        variances: (fits, examples, players) the squares of their standard errors.
    """

    noise: Tensor
    likelihood: Tensor
    values: Tensor
    variances: Tensor

    def of_example(self, example: int) -> _Solutions:
        """Return those of one example."""
        one = slice(example, example + 1)
        return _Solutions(self.noise, self.likelihood[:, one], self.values[:, one], self.variances[:, one])


def _add(solutions: list[_Solutions], prior: _Prior, y: Tensor, noises: Sequence[float]) -> None:
    """Add what the fits under a prior say, unless one that is there is far more likely for all examples."""
    fits = _Fits.of(prior, y, noises)
    best = torch.cat([part.likelihood for part in solutions] + [fits.likelihood]).amax(0)
    if bool((fits.likelihood >= best - _UNLIKELY).any()):
        solutions.append(_Solutions(fits.noise, fits.likelihood, *fits.values()))


def _averaged(solutions: list[_Solutions]) -> tuple[Tensor, Tensor]:
    """Return the mean values (examples, players) by likelihood and the squares of their standard errors."""
    likelihood = torch.cat([part.likelihood for part in solutions])[:, :, None]
    weights = likelihood.masked_fill(likelihood < likelihood.amax(0) - _UNLIKELY, -math.inf).softmax(0)
    values, variances = (
        torch.cat(parts).masked_fill(weights == 0, 0.0)
        for parts in zip(*((part.values, part.variances) for part in solutions), strict=True)
    )
    mean = (weights * values).sum(0)
    return mean, (weights * (variances + (values - mean).square())).sum(0)


@dataclass(frozen=True)
class _Fits:
    """The generalised least squares fits under a prior, one for each noise.

    Attributes:
        prior: the prior.
        noise: (fits,) the noises.
        lower: (fits, coalitions, coalitions) the Cholesky factors of the covariances, noise included.
        a: (fits, coalitions, players) x, whitened by the factors.
        gram: (fits, players, players) the Cholesky factors of a^T a.
        linear: (fits, players, examples) the linear terms.
        residual: (fits, coalitions, examples) what they leave of the whitened scores.
        solved: (fits,) whether there is a solution.
    """

    prior: _Prior
    noise: Tensor
    lower: Tensor
    a: Tensor
    gram: Tensor
    linear: Tensor
    residual: Tensor
    solved: Tensor

    @classmethod
    def of(cls, prior: _Prior, y: Tensor, noises: Sequence[float]) -> _Fits:
        noise = torch.tensor(noises, dtype=torch.float64)
        covariance = prior.kernel.repeat(len(noises), 1, 1)
        diagonal = covariance.diagonal(dim1=1, dim2=2)
        diagonal[:, 0] += _EXACT
        diagonal[:, 1:] += noise[:, None]
        lower, failed = torch.linalg.cholesky_ex(covariance)
        whitened = torch.linalg.solve_triangular(lower, torch.cat([prior.x, y], 1), upper=False)
        a, b = whitened.split([prior.x.shape[1], y.shape[1]], 2)
        gram, singular = torch.linalg.cholesky_ex(a.mT @ a)
        linear = torch.cholesky_solve(a.mT @ b, gram)
        return cls(prior, noise, lower, a, gram, linear, b - a @ linear, (failed == 0) & (singular == 0))

    @property
    def spread(self) -> Tensor:
        """(fits, examples) the scale of the prior and the noise."""
        return self.residual.square().sum(1).clamp_min(1e-300) / self._free

    @property
    def _free(self) -> int:
        return max(self.a.shape[1] - self.a.shape[2], 1)

    @property
    def likelihood(self) -> Tensor:
        """(fits, examples) the restricted log-likelihood, but for a constant; -inf where there is no solution."""
        logs = sum(factor.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True) for factor in (self.lower, self.gram))
        return (-0.5 * self._free * torch.log(self.spread) - logs).masked_fill(~self.solved[:, None], -math.inf)

    def values(self) -> tuple[Tensor, Tensor]:
        r"""Return the values (fits, examples, players) and the squares of their standard errors.

        A value is 2 (c_i + s_i), s_i its share of the interactions. With k_i the covariances of s_i and the scores and
        v_i the variance of s_i, the variance of the error of c_i + s_i is, as in universal kriging,
        v_i - k_i K^-1 k_i + r_i (x^T K^-1 x)^-1 r_i,  r_i = e_i - x^T K^-1 k_i.
        """
        shares = torch.linalg.solve_triangular(self.lower, self.prior.shares().T, upper=False)
        values = 2 * (self.linear + shares.mT @ self.residual).mT
        left = torch.eye(self.a.shape[2], dtype=self.a.dtype) - self.a.mT @ shares
        certain = self.prior.variances() - shares.square().sum(1)
        fitted = torch.linalg.solve_triangular(self.gram, left, upper=False).square().sum(1)
        return values, 4 * (certain + fitted).clamp_min(0)[:, None] * self.spread[:, :, None]
