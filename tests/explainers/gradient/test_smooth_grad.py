"""SmoothGrad's exact contract, and an independent oracle."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.attributors import NoiseTunnel, RelativeNoise, Saliency
from pnpxai.attributors.base import Configured
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError, SignatureError
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad, VarGrad
from pnpxai.testing.answers import check_linear, linear_case
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES

MLP, TWO, TOKENS, SKIP = (CASES[name]() for name in ("mlp", "two_inputs", "tokens", "skip_cnn"))


def seen(model, run):
    """Return what the model was called with, a tuple of concatenated tensors, while ``run()`` ran."""
    calls = []
    hook = model.register_forward_pre_hook(
        lambda module, args: None if is_probe() else calls.append([a.detach().clone() for a in args])
    )
    try:
        run()
    finally:
        hook.remove()
    return tuple(torch.cat(column) for column in zip(*calls, strict=True))


def test_the_signature():
    parameters = inspect.signature(SmoothGrad).parameters
    assert parameters["column_spread"].kind is inspect.Parameter.KEYWORD_ONLY
    defaults = {n: p.default for n, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY}
    assert list(defaults) == [
        "model", "noise_level", "n_iter", "forward_arg_extractor", "additional_forward_arg_extractor",
        "layer", "n_classes",
    ]  # fmt: skip
    assert list(defaults.values())[1:] == [0.1, 20, None, None, None, None]
    assert list(inspect.signature(VarGrad).parameters) == [name for name in parameters if name != "tolerance"]


def test_every_argument_by_position():
    given = (MLP.model, 0.2, 30, str, repr, "second", 4)
    made = SmoothGrad(*given)
    assert tuple(getattr(made, name) for name in list(inspect.signature(SmoothGrad).parameters)[: len(given)]) == given


@pytest.mark.parametrize("explainer", [SmoothGrad, VarGrad])
def test_tunables(explainer):
    assert explainer.get_tunables() == {
        "noise_level": (float, {"low": 0.05, "high": 0.95, "step": 0.05}),
        "n_iter": (int, {"low": 10, "high": 100, "step": 10}),
    }


@pytest.mark.parametrize(("explainer", "kind"), [(SmoothGrad, "smoothgrad"), (VarGrad, "vargrad")])
def test_the_configured_backend(explainer, kind):
    backend = explainer(MLP.model, 0.3, 40).attributor()
    assert isinstance(backend, Configured)
    assert isinstance(backend.attributor, NoiseTunnel)
    assert backend.settings == {"nt_type": kind, "nt_samples": 40, "stdevs": RelativeNoise(0.3), "last_clean": True}
    inner = backend.attributor.attribution_method
    assert isinstance(inner.attributor, Saliency)
    assert inner.settings == {"abs": False}
    assert backend.forward_func is MLP.model


def test_the_noise_is_a_fraction_of_each_examples_range_and_the_last_copy_has_none():
    model = nn.Linear(3000, 2)
    x = torch.stack([torch.linspace(0, 1, 3000), torch.linspace(-4, 4, 3000)])
    (rows,) = seen(model, lambda: SmoothGrad(model, noise_level=0.25, n_iter=6).attribute(x, [0, 1]))
    noise = rows.reshape(6, 2, 3000) - x
    assert not noise[-1].any()
    for k, spread in enumerate((1.0, 8.0)):
        assert float(noise[:-1, k].std()) == pytest.approx(0.25 * spread, rel=0.05)
    assert float(torch.corrcoef(noise[:-1].transpose(0, 1).flatten(1))[0, 1]) == pytest.approx(0, abs=0.03)


def oracle(model, x, targets, level, n_iter, seed):
    """Return mean and variance of the gradient in plain torch, with the draws that the seed stands for."""
    spread = (x.flatten(1).amax(1) - x.flatten(1).amin(1)).reshape(-1, *[1] * (x.ndim - 1))
    gradients, draws = [], RandomStream(seed).of_examples((x,)).draws("noise", 0)
    for k in range(n_iter):
        noise = draws.at(k).normal(x.shape[1:], x) if k < n_iter - 1 else 0
        noisy = (x + level * spread * noise).requires_grad_()
        score = model(noisy)[range(len(x)), targets].sum()
        gradients.append(torch.autograd.grad(score, noisy)[0])
    stacked = torch.stack(gradients)
    return stacked.mean(0), stacked.var(0, correction=0)


@pytest.mark.parametrize("name", ["mlp", "skip_cnn", "series", "vit"])
@pytest.mark.parametrize("seed", [0, 7])
def test_it_equals_a_plain_loop(name, seed):
    case = CASES[name]()
    mean, variance = oracle(case.model, case.inputs, case.targets, 0.15, 5, seed)
    settings = {"noise_level": 0.15, "n_iter": 5}
    found = SmoothGrad(case.model, **settings).attribute(case.inputs, case.targets, seed=seed)
    assert torch.allclose(found, mean, atol=1e-10)
    found = VarGrad(case.model, **settings).attribute(case.inputs, case.targets, seed=seed)
    assert torch.allclose(found, variance, atol=1e-10)
    assert found.min() >= 0


def test_of_a_linear_model():
    check_linear(Subject.of_explainer(SmoothGrad, linear_case(), n_iter=3), lambda weights, inputs: weights)
    found = VarGrad(linear_case().model, n_iter=3).attribute(linear_case().inputs, 1)
    assert not found.any()


def test_one_copy_is_the_gradient():
    from pnpxai.explainers.gradient.saliency import Gradient

    found = SmoothGrad(MLP.model, n_iter=1).attribute(MLP.inputs, MLP.targets)
    assert torch.equal(found, Gradient(MLP.model).attribute(MLP.inputs, MLP.targets))


def test_one_tensor_is_bare_and_several_are_a_tuple():
    one = SmoothGrad(MLP.model, n_iter=2)
    assert isinstance(one.attribute(MLP.inputs, 1), torch.Tensor)
    assert isinstance(one.attribute((MLP.inputs,), 1), torch.Tensor)
    several = SmoothGrad(TWO.model, n_iter=2).attribute(TWO.inputs, 1)
    assert [a.shape for a in several] == [x.shape for x in TWO.inputs]


def test_a_layer_by_module_and_by_name_is_the_same():
    by_name = SmoothGrad(TOKENS.model, n_iter=3, layer="embedding")
    by_module = SmoothGrad(TOKENS.model, n_iter=3, layer=TOKENS.model.embedding)
    assert by_name == by_module
    found = by_name.attribute(TOKENS.inputs, TOKENS.targets)
    assert found.shape == (3, 7, 5)
    assert torch.equal(found, by_module.attribute(TOKENS.inputs, TOKENS.targets))


def test_at_a_layer_it_is_smooth_grad_of_what_follows():
    found = SmoothGrad(TOKENS.model, n_iter=3, layer="embedding").attribute(TOKENS.inputs, TOKENS.targets)
    values = TOKENS.model.embedding(TOKENS.inputs).detach()

    def after(x):
        return TOKENS.model.head(TOKENS.model.lstm(x)[0][:, -1])

    expected, _ = oracle(after, values, TOKENS.targets, 0.1, 3, 0)
    assert torch.allclose(found, expected, atol=1e-10)


def test_an_argument_by_name_is_explained_alone():
    found = SmoothGrad(TWO.model, n_iter=3, layer="table").attribute(TWO.inputs, TWO.targets)
    image, table = TWO.inputs
    expected, _ = oracle(lambda x: TWO.model(image, x), table, TWO.targets, 0.1, 3, 0)
    assert torch.allclose(found, expected, atol=1e-10)


def test_arguments_and_layers_mixed_come_in_their_order():
    found = SmoothGrad(TWO.model, n_iter=2, layer=["table", TWO.model.conv]).attribute(TWO.inputs, 1)
    assert [tuple(a.shape) for a in found] == [(3, 4), (3, 4, 4, 4)]


def test_extractors():
    batch = {"picture": TWO.inputs[0], "row": TWO.inputs[1]}
    made = SmoothGrad(TWO.model, 0.1, 3, lambda b: b["picture"], lambda b: b["row"])
    expected, _ = oracle(lambda x: TWO.model(x, TWO.inputs[1]), TWO.inputs[0], TWO.targets, 0.1, 3, 0)
    assert torch.allclose(made.attribute(batch, TWO.targets), expected, atol=1e-10)


def test_a_mapping_is_keyword_arguments():
    image, table = TWO.inputs
    made = SmoothGrad(TWO.model, n_iter=3)
    by_keyword = made.attribute({"table": table, "image": image}, TWO.targets)
    by_position = SmoothGrad(TWO.model, n_iter=3, layer=["table", "image"]).attribute((image, table), TWO.targets)
    assert all(torch.equal(a, b) for a, b in zip(by_keyword, by_position, strict=True))


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (
            lambda: SmoothGrad(MLP.model, n_iters=3),
            SignatureError,
            r"SmoothGrad: no setting 'n_iters'; did you mean 'n_iter'\?",
        ),
        (
            lambda: SmoothGrad(MLP.model, noise_level="0.1"),
            ArgumentError,
            r"noise_level: expected a number >= 0, got '0.1'",
        ),
        (
            lambda: SmoothGrad(MLP.model, noise_level=-0.1),
            ArgumentError,
            "noise_level: expected a number >= 0, got -0.1",
        ),
        (lambda: SmoothGrad(MLP.model, n_iter=0), ArgumentError, "n_iter: expected a whole number >= 1, got 0"),
        (lambda: SmoothGrad(MLP.model, n_iter=2.5), ArgumentError, "n_iter: expected a whole number >= 1, got 2.5"),
        (lambda: SmoothGrad(MLP.model, n_iter=True), ArgumentError, "n_iter: expected a whole number >= 1, got True"),
        (lambda: SmoothGrad(), SignatureError, "SmoothGrad: 'model' is required"),
        (lambda: SmoothGrad(3), ArgumentError, "SmoothGrad: model: expected a function, got 3"),
        (
            lambda: SmoothGrad(MLP.model, layer="secand"),
            ArgumentError,
            r"no layer .* 'secand'; did you mean 'second'\?",
        ),
        (
            lambda: SmoothGrad(MLP.model, layer=nn.ReLU()),
            ArgumentError,
            "this ReLU is not part of the model Perceptron",
        ),
        (
            lambda: SmoothGrad(MLP.model, forward_arg_extractor=3),
            ArgumentError,
            "forward_arg_extractor: expected a function or None",
        ),
    ],
)
def test_wrong_settings_are_refused(made, kind, message):
    with pytest.raises(kind, match=message):
        made()


@pytest.mark.parametrize(
    ("case", "settings", "inputs", "targets", "kind", "message"),
    [
        (MLP, {}, MLP.inputs.long(), 1, ArgumentError, "got torch.int64, which no embedding of the model reads; give"),
        (TOKENS, {"layer": "ids"}, None, 1, ArgumentError, "argument 'ids' holds no floating point numbers"),
        (SKIP, {"layer": "relu"}, None, 1, ArgumentError, "layer 'relu' runs more than once in a forward pass"),
        (
            MLP,
            {},
            None,
            4,
            ArgumentError,
            r"target: expected an index from 0 to 3 \(the model gives 4 outputs\), got 4",
        ),
        (MLP, {}, None, None, ArgumentError, "say which one to explain, such as target=0"),
        (MLP, {}, MLP.inputs[:0], 1, ShapeError, "inputs: expected at least one example, got an empty batch"),
        (MLP, {}, MLP.inputs / 0, 1, ArgumentError, "inputs: expected finite numbers, got 18 NaN or infinite"),
        (MLP, {}, 3, 1, ArgumentError, "inputs: expected a tensor or a tuple of tensors, got int"),
    ],
)
def test_wrong_inputs_are_refused(case, settings, inputs, targets, kind, message):
    with pytest.raises(kind, match=message):
        SmoothGrad(case.model, n_iter=2, **settings).attribute(case.inputs if inputs is None else inputs, targets)


def test_what_does_not_fit_in_memory_is_computed_in_smaller_passes():
    largest = []

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = MLP.model

        def forward(self, x):
            if len(x) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            largest.append(len(x))
            return self.model(x)

    found = SmoothGrad(Small(), n_iter=10).attribute(MLP.inputs, MLP.targets)
    assert torch.allclose(found, SmoothGrad(MLP.model, n_iter=10).attribute(MLP.inputs, MLP.targets), atol=1e-12)
    assert max(largest) <= 4


def test_cost_at_a_layer_includes_reading_it():
    made = SmoothGrad(SKIP.model, n_iter=5, layer="conv1")
    with counted(SKIP.model) as counter:
        made.attribute(SKIP.inputs, 1)
    assert made.cost(SKIP.inputs) == counter.rows


def test_noise_on_a_table_has_the_size_of_each_column(tmp_path):
    spread, seen = torch.tensor([0.01, 100.0, 1.0], dtype=torch.float64), []

    def model(x):
        seen.append(x.detach())
        return x.sum(1)

    x = torch.tensor([[0.0, 50.0, 1.0]], dtype=torch.float64)
    SmoothGrad(model, n_iter=400, column_spread=spread).attribute(x)
    noise = torch.cat([rows for rows in seen if len(rows) > 2]) - x
    assert torch.allclose(noise.std(0) / (0.1 * spread), torch.ones(3, dtype=torch.float64), atol=0.15)
    auto = pnpxai.auto_explain(torch.nn.Linear(3, 2).double(), torch.randn(50, 3).double() * spread)
    widths = auto.settings["column_spread"]
    assert torch.allclose(widths / spread, torch.ones(3, dtype=torch.float64), atol=0.4)


def test_one_value_far_out_does_not_set_the_noise_of_all_rows():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 2] = 0.0
    x[7, 2], x[8, 3] = 1.0, torch.nan
    broken = x.clone()
    broken[5, 0] = 1e6

    def spread(rows):
        return pnpxai.auto_explain(torch.nn.Linear(4, 2).double(), rows, modality="table").settings["column_spread"]

    plain = np.nanstd(x.numpy(), axis=0)
    assert np.allclose(spread(x), plain), "ordinary values all count, of a rare one too"
    rest = torch.cat([x[:5, :1], x[6:, :1]]).numpy()
    assert np.allclose(spread(broken), [rest.std(), *plain[1:]])


def test_the_names_of_pnpxai_0_1():
    every_kind = ["Linear", "Convolution", "LSTM", "RNN", "Attention"]
    assert [kind.__name__ for kind in SmoothGrad.SUPPORTED_MODULES] == every_kind
    assert [kind.__name__ for kind in pnpxai.explainers.GradCam.SUPPORTED_MODULES] == ["Convolution"]
    assert SmoothGrad(MLP.model).SUPPORTED_MODULES == SmoothGrad.SUPPORTED_MODULES
    made = SmoothGrad(MLP.model, n_iter=4)
    with made.attributor() as attributor:
        mean = attributor.forward(MLP.inputs, MLP.targets, None, return_squared=False)
        both = attributor.forward(MLP.inputs, MLP.targets, return_squared=True)
    assert torch.equal(mean, made.attribute(MLP.inputs, MLP.targets))
    assert torch.equal(both[0], mean)
    assert torch.equal(
        both[1], pnpxai.explainers.SmoothGradSquared(MLP.model, n_iter=4).attribute(MLP.inputs, MLP.targets)
    )
