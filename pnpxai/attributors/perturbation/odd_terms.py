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

What is fitted are the scores less their linear fit, in units of the largest rest. So rounding is small beside the
interactions, and the fits that each example has for itself, which take most of the time, run in single precision.
"""

from __future__ import annotations

import math
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
"""Fits that are less likely than the best one by e to this power are left out."""
_AT_ONCE = 2**21
"""About so many numbers of covariances are held at a time."""
_NODES = 64
"""At most so many nodes; with fewer than 128 players they integrate exactly."""


def odd_values(first: Tensor, odd_scores: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return (examples, players) Shapley values and their standard errors under the prior, in float64.

    Args:
        first: (pairs, players) one coalition of each pair.
        odd_scores: (examples, pairs) half the difference between its score and its complement's.
        total: (examples,) half the difference between the full and the empty coalition's.
    """
    x = torch.cat([torch.ones_like(first[:1]), first]).double() * 2 - 1
    y = torch.cat([total[:, None], odd_scores], 1).double()
    n_coalitions, n_players = x.shape
    linear = 2 * torch.linalg.lstsq(x, y.T, rcond=1e-10, driver="gelsd").solution.T
    y = y - linear @ x.T / 2
    unit = y.abs().amax(1, keepdim=True).clamp_min(1e-300)
    y = y / unit
    noise = torch.tensor(_NOISE, dtype=torch.float64)
    scales = torch.tensor(_EQUAL, dtype=torch.float64)[:, None].expand(-1, n_players)
    fits = _Fits.of(x, scales, noise.expand(len(scales), -1), y.expand(len(scales), -1, -1))
    values, variances = fits.averaged()
    if bool(fits.likelihood.isneginf().all()):  # players that are not told apart share equally
        return linear, torch.full_like(values, math.nan)
    if n_coalitions > n_players + 2:  # else the linear terms take up all there is
        tries = max(1, min(len(_BY_VALUE) * len(_NOISE), int(_OPERATIONS / n_coalitions**3)))
        n_noises = 4 if tries >= 16 else 2 if tries >= 4 else 1
        powers, sizes = torch.tensor(_BY_VALUE[: tries // n_noises], dtype=torch.float64).T[:, :, None]
        likely = noise.repeat(len(scales))[fits.likelihood.argmax(0)]
        near = noise[(noise.log() - likely.log()[:, None]).abs().argsort(dim=1, stable=True)[:, :n_noises]]
        shares = (linear + unit * values).abs()[:, None]
        shares = shares / shares.mean(2, keepdim=True).clamp_min(1e-300) + 0.02
        weights = shares**powers  # (examples, priors, players)
        scales = sizes * weights / weights.amax(2, keepdim=True)
        n_priors = len(powers)
        own = _Fits.of(
            x.float(),
            scales.flatten(0, 1).float(),
            near.repeat_interleave(n_priors, 0).float(),
            y.repeat_interleave(n_priors, 0)[:, None].float(),
        )
        values, variances = fits.and_own(own).averaged()
    return linear + unit * values, unit * variances.sqrt()


@dataclass(frozen=True)
class _Fits:
    """What the generalised least squares fits under some priors and noises say.

    Attributes:
        likelihood: (fits, examples) the restricted log-likelihood of the scores, but for a constant; -inf where there
            is no solution.
        values: (fits, examples, players) Shapley values.
        variances: (fits, examples, players) the squares of their standard errors.
    """

    likelihood: Tensor
    values: Tensor
    variances: Tensor

    @classmethod
    def of(cls, x: Tensor, l: Tensor, noise: Tensor, y: Tensor) -> _Fits:  # noqa: E741  (as in the formula)
        """Fit scores under priors and noises, in the dtype of x.

        Args:
            x: (coalitions, players) 1 for present, -1 for absent.
            l: (priors, players) as in the formula.
            noise: (priors, noises).
            y: (priors, examples, coalitions) the scores.
        """
        at_once = max(1, _AT_ONCE // (noise.shape[1] * len(x) ** 2))
        parts = zip(l.split(at_once), noise.split(at_once), y.split(at_once), strict=True)
        columns = zip(*(_fitted(x, *part) for part in parts), strict=True)
        return cls(*(torch.cat(column).flatten(0, 1).double() for column in columns))

    def and_own(self, own: _Fits) -> _Fits:
        """Return these fits of all examples, with fits that belong to one example each, in the order of examples."""
        size = self.likelihood.shape[1]

        def joined(common: Tensor, of_one: Tensor) -> Tensor:
            return torch.cat([common, of_one[:, 0].unflatten(0, (size, -1)).transpose(0, 1)])

        return _Fits(
            joined(self.likelihood, own.likelihood),
            joined(self.values, own.values),
            joined(self.variances, own.variances),
        )

    def averaged(self) -> tuple[Tensor, Tensor]:
        """Return the mean values (examples, players) by likelihood and the squares of their standard errors."""
        likelihood = self.likelihood[:, :, None]
        weights = likelihood.masked_fill(likelihood < likelihood.amax(0) - _UNLIKELY, -math.inf).softmax(0)
        values, variances = (part.masked_fill(weights == 0, 0.0) for part in (self.values, self.variances))
        mean = (weights * values).sum(0)
        return mean, (weights * (variances + (values - mean).square())).sum(0)


def _fitted(x: Tensor, l: Tensor, noise: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: E741
    r"""Return likelihoods (priors, noises, examples), values and variances (priors, noises, examples, players).

    A value is 2 (c_i + s_i), s_i its share of the interactions. With k_i the covariances of s_i and the scores and v_i
    the variance of s_i, the variance of the error of c_i + s_i is, as in universal kriging,
    v_i - k_i K^-1 k_i + r_i (x^T K^-1 x)^-1 r_i,  r_i = e_i - x^T K^-1 k_i.
    """
    n_coalitions, n_players = x.shape
    log_scale = _log_scale(l)
    kernel = _kernel(x, l, log_scale)[:, None]
    covariance = kernel.repeat(1, noise.shape[1], 1, 1) if noise.shape[1] > 1 else kernel
    diagonal = covariance.diagonal(dim1=2, dim2=3)
    diagonal[..., 0] += _EXACT
    diagonal[..., 1:] += noise[..., None]
    lower, failed = torch.linalg.cholesky_ex(covariance.mT)  # symmetric: columns are what LAPACK takes
    right = torch.cat([x.expand(len(l), -1, -1), y.mT, _shares(x, l, log_scale)], 2)[:, None]
    whitened = torch.linalg.solve_triangular(lower, right, upper=False)
    a, b, shares = whitened.split([n_players, y.shape[1], n_players], 3)
    gram, singular = torch.linalg.cholesky_ex(a.mT @ a)
    linear = torch.cholesky_solve(a.mT @ b, gram)
    residual = b - a @ linear
    free = max(n_coalitions - n_players, 1)
    spread = residual.square().sum(2).clamp_min(torch.finfo(x.dtype).tiny) / free
    logs = [factor.diagonal(dim1=2, dim2=3).log().sum(2, keepdim=True) for factor in (lower, gram)]
    likelihood = -0.5 * free * torch.log(spread) - logs[0] - logs[1]
    values = 2 * (linear + shares.mT @ residual).mT
    left = torch.eye(n_players, dtype=x.dtype) - a.mT @ shares
    certain = _variances(l, log_scale)[:, None] - shares.square().sum(2)
    fitted = torch.linalg.solve_triangular(gram, left, upper=False).square().sum(2)
    variances = 4 * (certain + fitted).clamp_min(0)[:, :, None] * spread[..., None]
    unsolved = ((failed != 0) | (singular != 0))[:, :, None] | ~likelihood.isfinite()
    return likelihood.masked_fill(unsolved, -math.inf), values, variances


def _log_scale(l: Tensor) -> Tensor:  # noqa: E741
    r"""Return (priors,) the logarithm of \sum_{|T| odd, >= 3} \prod_T l_i, by which covariances are divided."""
    l = l.double()  # noqa: E741
    plus, minus = torch.log1p(l).sum(1), torch.log1p(-l).sum(1)
    # (e^plus - e^minus) / 2 - \sum l_i, of which e^plus may be too large
    inside = -torch.expm1(minus - plus) / 2 - l.sum(1) * (-plus).exp()
    return plus + inside.clamp_min(1e-300).log()


def _kernel(x: Tensor, l: Tensor, log_scale: Tensor) -> Tensor:  # noqa: E741
    """Return (priors, coalitions, coalitions) k, divided so that it is one where z = 1."""
    plus, minus = torch.log1p(l.double()), torch.log1p(-l.double())
    half = ((plus - minus) / 2).to(x)
    log_factor = ((plus + minus).sum(1) / 2 - log_scale - math.log(2)).to(x)[:, None, None]
    # in place, as these are the largest tensors of a fit
    rising = torch.baddbmm(log_factor, x * half[:, None], x.T.expand(len(l), -1, -1))
    falling = (2 * log_factor - rising).exp_()
    kernel = rising.exp_().sub_(falling)
    return kernel.baddbmm_(x * (l * (-log_scale).exp().to(x)[:, None])[:, None], x.T.expand(len(l), -1, -1), alpha=-1)


def _shares(x: Tensor, l: Tensor, log_scale: Tensor) -> Tensor:  # noqa: E741
    r"""Return (priors, coalitions, players) covariances of each player's share of the interactions and each score.

    They are \sum_{T \ni i, |T| odd, >= 3} \prod_{j in T} l_j x_j / |T|. 1 / |T| is the integral of t^(|T| - 1) over
    [0, 1], under which the sum over T is a product again; Gauss-Legendre nodes integrate it:

        l_i x_i \int (P_-i + M_-i) / 2 - 1 dt,   P_-i, M_-i = \prod_{j != i} (1 +- t l_j x_j)
    """
    t, weights = (part.to(x) for part in _nodes(min(x.shape[1] // 2 + 1, _NODES)))
    log_scale = log_scale.to(x)[:, None, None]
    tl = t[:, None] * l[:, None]
    plus, minus = torch.log1p(tl), torch.log1p(-tl)
    both = (plus + minus).sum(2)[:, None] / 2 - log_scale
    logs = x @ ((plus - minus) / 2).mT
    p, m = torch.exp(both + logs), torch.exp(both - logs)
    without = weights[:, None] / (2 * (1 - tl * tl))  # 1 / (1 + t l x) = (1 - t l x) / (1 - t^2 l^2)
    lx = l[:, None] * x
    return lx * ((p + m) @ without - lx * ((p - m) @ (without * t[:, None])) - (-log_scale).exp())


def _variances(l: Tensor, log_scale: Tensor) -> Tensor:  # noqa: E741
    r"""Return (priors, players) the variance of each player's share: \sum_{T \ni i, |T| odd, >= 3} \prod_T l_j / |T|^2.

    1 / |T|^2 is the integral of (s t)^(|T| - 1) over both s and t.
    """
    t, weights = (part.to(l) for part in _nodes(min(l.shape[1] // 2 + 1, _NODES)))
    log_scale = log_scale.to(l)[:, None, None]
    stl = torch.outer(t, t).reshape(-1, 1) * l[:, None]
    odd = -(-log_scale).exp()
    for sign in (1, -1):
        logs = torch.log1p(sign * stl)
        odd = odd + torch.exp(logs.sum(2, keepdim=True) - logs - log_scale) / 2
    return l * (torch.outer(weights, weights).reshape(-1) @ odd)


@cache
def _nodes(count: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights that integrate polynomials over [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
