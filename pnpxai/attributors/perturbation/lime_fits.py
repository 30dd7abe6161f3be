r"""Fits the surrogates of LIME, and tells how far other samples would have moved the weights of a linear one.

With samples z_k drawn at random, weights p_k and residuals e_k of w, the least squares fit of the scores, the variance
of w is the sandwich

    A^-1 (\sum_k p_k^2 e_k^2 / (1 - h_k)^2 z_k z_k^T) A^-1,   A = \sum_k p_k z_k z_k^T,   h_k = p_k z_k^T A^-1 z_k

with z_k centred on its weighted mean, which the intercept takes up (HC3; MacKinnon and White, 1985,
doi:10.1016/0304-4076(85)90158-7). It holds though the model is not linear, where residuals are no noise.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from pnpxai.attributors.perturbation.ridge import Ridge
from pnpxai.errors import ArgumentError

__all__ = ["fitted", "weight_errors", "without_penalty"]


def without_penalty(model: object) -> bool:
    """Return whether a surrogate is fitted by weighted least squares alone, with an intercept.

    What a penalty (ridge, lasso) takes from a weight is a bias, which no error of the samples holds.
    """
    from sklearn.linear_model import LinearRegression

    return type(model) is LinearRegression and model.fit_intercept and not model.positive


def weight_errors(z: Tensor, scores: Tensor, weights: Tensor, coefficients: Tensor) -> Tensor:
    """Return (groups,) standard errors of a fit; NaN where the samples do not tell all groups apart.

    Args:
        z: (samples, groups) zeros and ones.
        scores: (samples,) their scores.
        weights: (samples,) how near each is to the original.
        coefficients: (groups,) the weights of the fit.
    """
    unknown = torch.full_like(coefficients, math.nan)
    count, size = z.shape
    if count < size + 3:
        return unknown
    shares = weights / weights.sum()
    centred = z - shares @ z
    residuals = scores - shares @ scores - centred @ coefficients
    whole = centred.T @ (shares[:, None] * centred)
    factor, singular = torch.linalg.cholesky_ex(whole)
    if int(singular) or float(factor.diagonal().min()) < 1e-6:
        return unknown
    influence = torch.cholesky_solve(centred.T * shares, factor)  # (groups, samples)
    leverage = shares + (centred * influence.T).sum(1)
    if float(leverage.max()) > 1 - 1e-6:
        return unknown
    return (influence * (residuals / (1 - leverage))).square().sum(1).sqrt()


def fitted(model: Any, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return (groups,) the weights of a copy of the model, fitted to samples x with scores y."""
    if model is None:
        from sklearn.linear_model import Lasso

        model = Lasso(alpha=0.01)
    if not x.shape[1]:  # all elements are held
        return x.new_zeros(0)
    if isinstance(model, Ridge):
        return model.weights(x, y, weights)
    model = copy.deepcopy(model)
    if hasattr(model, "representation"):
        data = TensorDataset(x.float(), y.float(), weights.float())
        model.fit(DataLoader(data, batch_size=len(data)))
        coefficients = torch.as_tensor(model.representation())
    else:
        model.fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
        coefficients = torch.as_tensor(model.coef_)
    if coefficients.numel() != x.shape[1]:
        raise ArgumentError(
            f"interpretable_model: expected {x.shape[1]} weights of {type(model).__name__}, "
            f"got {tuple(coefficients.shape)}"
        )
    return coefficients.detach().double().cpu().reshape(-1)
