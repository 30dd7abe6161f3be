"""A gradient that is missing is refused, naming the layer; one that is zero is zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import LRP, FeatureAblation, GuidedBackprop, InputXGradient, IntegratedGradients, Saliency
from pnpxai.errors import ArgumentError, ConfinedError, ShapeError

X = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))


class Skipping(nn.Module):
    """A part that torch cannot differentiate, beside one that it can."""

    def __init__(self, part):
        super().__init__()
        self.a, self.part, self.other = nn.Linear(6, 6), part, nn.Linear(6, 2)

    def forward(self, x):
        return self.part(self.a(x)) + self.other(x)


@pytest.fixture
def quantised():
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(6, 2)), {nn.Linear}, dtype=torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [Saliency, InputXGradient, IntegratedGradients])
def test_a_quantized_layer_is_named(quantised, method):
    for model, name in ((nn.Sequential(nn.Linear(6, 6), nn.Tanh(), quantised), "'2"), (Skipping(quantised), "'part")):
        with pytest.raises(ArgumentError, match=f"quantized.*{name}"):
            method(model).attribute(X, target=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [Saliency, GuidedBackprop])
def test_a_quantized_layer_in_a_function_gives_no_zeros(quantised, method):
    with pytest.raises(ArgumentError, match="quantized"):
        method(lambda x: quantised(x.relu())).attribute(X, target=0)


class Rounded(nn.Module):
    def forward(self, x):
        return x.detach().round()


def test_a_layer_that_ends_every_gradient_is_named():
    model = nn.Sequential(nn.Linear(6, 6), Rounded(), nn.Linear(6, 2))
    with pytest.raises(ArgumentError, match="does not depend on the inputs .*layer '1'"):
        Saliency(model).attribute(X, target=0)


@pytest.mark.filterwarnings("ignore")
def test_a_frozen_script_is_differentiated():
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)).eval()
    frozen = torch.jit.freeze(torch.jit.script(model))
    assert torch.allclose(Saliency(frozen).attribute(X, target=0), Saliency(model).attribute(X, target=0), atol=1e-6)


def test_zero_is_zero():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    assert not Saliency(model).attribute(X, target=0).any()
    both = Saliency(lambda x, y: 2 * x).attribute((X, X), target=1)
    assert both[0].any()
    assert not both[1].any()


@pytest.mark.parametrize("kind", [nn.LazyLinear, nn.LazyConv1d, nn.LazyBatchNorm1d])
def test_layers_that_were_never_run_are_named(kind):
    model = nn.Sequential(kind(*{nn.LazyLinear: (4,), nn.LazyConv1d: (4, 3)}.get(kind, ())), nn.Flatten())
    with pytest.raises(ConfinedError, match=f"its {kind.__name__} has no parameters yet.*run the model once"):
        Saliency(model).attribute(X, target=0)


@pytest.mark.parametrize("method", [FeatureAblation, LRP, IntegratedGradients])
def test_numbers_of_another_type_than_the_models_are_told(method):
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
    with pytest.raises(ArgumentError, match=r"expected torch.float32, in which the model .* got torch.float64"):
        method(model).attribute(X.double(), target=0)


@pytest.mark.parametrize("method", [FeatureAblation, Saliency])
def test_sparse_inputs_are_refused(method):
    with pytest.raises(ArgumentError, match="expected a dense tensor"):
        method(nn.Linear(6, 2)).attribute(X.to_sparse(), target=0)


def test_complex_numbers_are_told_from_ids():
    with pytest.raises(ArgumentError, match="expected real numbers.*view_as_real"):
        Saliency(lambda x: x.abs()).attribute(X.to(torch.complex64), target=0)
    found = Saliency(lambda parts: torch.view_as_complex(parts).abs()).attribute(torch.stack([X, X], -1), target=(0,))
    assert found.shape == (3, 6, 2)


CONV = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


@pytest.mark.parametrize("method", [Saliency, IntegratedGradients])
@pytest.mark.parametrize(("model", "shape"), [(CONV, (3, 8, 8)), (nn.Linear(6, 3), (6,))], ids=["picture", "row"])
def test_an_example_without_a_batch_dimension_is_told_what_is_missing(method, model, shape):
    with pytest.raises(ShapeError, match=r"unsqueeze\(0\)"):
        method(model).attribute(torch.zeros(shape), target=0)


def test_a_model_that_squeezes_a_batch_of_one_is_told():
    model = nn.Linear(6, 3)
    with pytest.raises(ShapeError, match="does the model squeeze the output of a batch of one"):
        Saliency(lambda x: model(x).squeeze()).attribute(X[:1], target=0)
