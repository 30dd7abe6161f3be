"""The frame of LIME against captum's, with the same draws, and against a fit by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors.perturbation.lime_base import LimeBase
from pnpxai.errors import ArgumentError, ShapeError
from tests.on_demand import CAPTUM

X = torch.tensor([[1.0, -2.0, 0.5, 3.0]])


class Ridge:
    """Least squares with a penalty, weighted, kept in the object as captum's models are."""

    def fit(self, loader):
        ((z, y, w),) = list(loader)
        z = torch.cat([z, torch.ones(len(z), 1)], 1)
        weighted = z * w[:, None]
        self.weights = torch.linalg.solve(weighted.T @ z + 1e-3 * torch.eye(z.shape[1]), weighted.T @ y)

    def representation(self):
        return self.weights[:-1]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def similarity(original, perturbed, interpretable, **_):
    return float((-(original - perturbed).square().sum() / 4).exp())


def present(interpretable, original, **_):
    return original * interpretable


def which(perturbed, original, **_):
    return (perturbed == original).float()


def coins():
    draws = torch.Generator().manual_seed(1)
    return lambda inputs, **_: torch.randint(2, (1, 4), generator=draws).float()


def hidden():
    draw = coins()
    return lambda inputs, **_: inputs * draw(inputs)


def endless():
    draws = torch.Generator().manual_seed(1)

    def each(inputs, **_):
        while True:
            yield torch.randint(2, (1, 4), generator=draws).float()

    return each


WAYS = {
    "interpretable": (coins, True, present, None),
    "inputs": (hidden, False, None, which),
    "generator": (endless, True, present, None),
}


@pytest.mark.smoke
@pytest.mark.parametrize("per_pass", [1, 7])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_draws_give_captums_weights(way, per_pass):
    draw, interpretable, there, back = WAYS[way]
    ours, theirs = (
        cls(net(), Ridge(), similarity, draw(), interpretable, there, back).attribute(
            X, target=1, n_samples=40, perturbations_per_eval=per_pass
        )
        for cls in (LimeBase, CAPTUM.LimeBase)
    )
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.abs().max() > 0.01


def test_of_a_linear_model_it_is_what_each_feature_adds():
    weights = torch.tensor([2.0, -1.0, 0.0, 0.5])
    model = Ridge()
    found = LimeBase(lambda x: x @ weights, model, lambda *_, **__: 1.0, coins(), True, present, None).attribute(
        X, None
    )
    assert torch.allclose(found, weights * X[0], atol=0.01)
    assert found is model.representation() or torch.equal(found, model.representation())  # it is fitted in place


def test_several_examples_with_one_value_are_one_sample():
    model = net()

    def whole(x, factor):
        return (factor * model(x)).sum()

    pair = torch.cat([X, 2 * X])
    ours, theirs = (
        cls(whole, Ridge(), similarity, coins(), True, present, None).attribute(
            pair, additional_forward_args=(3.0,), n_samples=20
        )
        for cls in (LimeBase, CAPTUM.LimeBase)
    )
    assert torch.allclose(ours, theirs, atol=1e-3 * float(theirs.abs().max()))


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ArgumentError, match="from_interp_rep_transform: expected a function"):
        LimeBase(net(), Ridge(), similarity, coins(), True, None, which)
    with pytest.raises(ArgumentError, match="to_interp_rep_transform: expected a function"):
        LimeBase(net(), Ridge(), similarity, hidden(), False, present, None)
    wrong = LimeBase(net(), Ridge(), similarity, coins(), True, lambda z, x, **_: z[:, :2], None)
    with pytest.raises(ShapeError, match="perturb_func: expected samples of shapes"):
        wrong.attribute(X, target=0)
    with pytest.raises(ArgumentError, match="n_samples"):
        LimeBase(net(), Ridge(), similarity, coins(), True, present, None).attribute(X, 0, n_samples=0)
