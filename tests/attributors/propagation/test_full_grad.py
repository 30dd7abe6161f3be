"""Full gradients: the parts sum to the score, each is what it should be, and the map is the paper's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors.propagation.full_grad import FullGrad
from pnpxai.errors import ConfinedError, RuleError
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES

CNN, SKIP, TWO, SERIES = (CASES[name]() for name in ("cnn", "skip_cnn", "two_inputs", "series"))
NAMES = ("mlp", "cnn", "skip_cnn", "series", "two_inputs", "vit", "resnet18")


def total(parts, size):
    return sum(part.reshape(size, -1).sum(1) for part in (*parts.inputs, *parts.biases))


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(n, marks=pytest.mark.slow) for n in ("vgg", "efficientnet"))])
def test_the_parts_sum_to_the_score(name):
    case = ARCHITECTURES[name]()
    parts = FullGrad(case.model).decompose(case.inputs, case.targets)
    with torch.no_grad():
        score = case.model(*case.tensors)[range(len(case)), case.targets]
    assert torch.allclose(parts.score, score, atol=1e-12)
    assert torch.allclose(total(parts, len(case)), score, rtol=0, atol=1e-10)


@pytest.mark.parametrize("activation", [nn.Hardsigmoid(), nn.Hardswish(), nn.GELU(), nn.Softsign()])
def test_activations_are_split_whether_or_not_they_have_a_second_derivative(activation):
    net = nn.Sequential(nn.Conv2d(1, 3, 3), activation, nn.Flatten(), nn.Linear(27, 2)).double()
    x = torch.randn(4, 1, 5, 5, dtype=torch.float64)
    parts = FullGrad(net).decompose(x, 1)
    with torch.no_grad():
        assert torch.allclose(total(parts, 4), net(x)[:, 1], rtol=0, atol=1e-12)


def gradients_at(module, x, targets, layers):
    """Return the gradients at some layers' outputs, in plain torch."""
    kept = []

    def keep(module, args, output):
        kept.append(output)
        output.retain_grad()
        return output.clone()

    handles = [layer.register_forward_hook(keep) for layer in layers]
    module(x)[range(len(x)), targets].sum().backward()
    for handle in handles:
        handle.remove()
    return [tensor.grad for tensor in kept]


def test_the_parts_of_convolutions_are_their_biases_times_gradients():
    layers = [CNN.model[0], CNN.model[3], CNN.model[6]]
    x = CNN.inputs.clone().requires_grad_()
    gradients = gradients_at(CNN.model, x, CNN.targets, layers)
    parts = FullGrad(CNN.model).decompose(CNN.inputs, CNN.targets)
    assert torch.allclose(parts.inputs[0], x.grad * CNN.inputs, atol=1e-12)
    assert len(parts.biases) == 3
    for part, layer, gradient in zip(parts.biases, layers, gradients, strict=True):
        bias = layer.bias.detach().reshape(1, -1, *[1] * (gradient.ndim - 2))
        assert torch.allclose(part, bias * gradient, atol=1e-12)


def test_the_part_of_batch_normalisation_is_its_shift():
    norms = [SKIP.model.stem[1], SKIP.model.bn1, SKIP.model.bn2]
    gradients = gradients_at(SKIP.model, SKIP.inputs.clone().requires_grad_(), SKIP.targets, norms)
    parts = FullGrad(SKIP.model).decompose(SKIP.inputs, SKIP.targets)
    for part, norm, gradient in zip(parts.biases, norms, gradients, strict=False):
        shift = norm.bias - norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps)
        assert torch.allclose(part, shift.detach()[None, :, None, None] * gradient, atol=1e-12)


def test_the_part_of_a_smooth_activation_is_what_its_tangent_misses():
    class Smooth(nn.Module):
        def forward(self, x):
            return torch.tanh(x).sum(1, keepdim=True)

    x = torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(2, 3)
    parts = FullGrad(Smooth()).decompose(x)
    slope = 1 - torch.tanh(x) ** 2
    assert torch.allclose(parts.inputs[0], slope * x)
    assert torch.allclose(parts.biases[0], torch.tanh(x) - slope * x)


@pytest.mark.parametrize(
    ("forward", "parts"),
    [
        (lambda x: x.relu() + 3, 1),
        (lambda x: 2 - x, 1),
        (lambda x: torch.cat([x, torch.ones_like(x)], 1), 1),
        (lambda x: F.pad(x, (0, 1), value=4.0), 1),
        (lambda x: x.masked_fill(x > 0, 5.0), 1),
        (lambda x: x.clone().add_(1).relu_().mul_(2), 1),
        (lambda x: F.max_pool1d(x[:, None], 2)[:, 0], 0),
        (lambda x: F.leaky_relu(x).abs(), 0),
        (lambda x: x * x, 1),
        (lambda x: F.hardtanh(x), 1),
        (lambda x: F.layer_norm(x, (4,)) @ torch.ones(4, 2, dtype=x.dtype), None),
        (lambda x: x.softmax(1).log(), None),
        (lambda x: 1 / (x + 10), None),
    ],
)
def test_every_constant_is_found(forward, parts):
    x = torch.tensor([[0.5, -1.0, 2.0, -0.25], [1.5, 0.75, -2.0, 3.0]], dtype=torch.float64)
    found = FullGrad(lambda x: forward(x).sum(1, keepdim=True)).decompose(x)
    assert torch.allclose(total(found, 2), forward(x).sum(1), atol=1e-12)
    if parts is not None:
        assert len(found.biases) == parts


def by_the_paper(case, mode, pooling="abssum"):
    """Return the paper's map in plain torch, of layers with biases in a plain sequence."""
    layers = [m for m in case.model.modules() if isinstance(m, nn.Conv2d)]
    x = case.inputs.clone().requires_grad_()
    gradients = gradients_at(case.model, x, case.targets, layers)
    parts = [x.grad * case.inputs]
    parts += [layer.bias.detach()[None, :, None, None] * g for layer, g in zip(layers, gradients, strict=True)]
    result = 0
    for part in parts:
        part = part.abs() if pooling == "abssum" else part.clamp(min=0)
        flat = part.flatten(1)
        flat = flat - flat.min(1, keepdim=True).values
        flat = flat / flat.max(1, keepdim=True).values
        align = None if mode == "nearest" else False
        part = F.interpolate(flat.reshape(part.shape), size=case.inputs.shape[2:], mode=mode, align_corners=align)
        result = result + part.sum(1, keepdim=True)
    return result


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("pooling", ["abssum", "possum"])
def test_the_map_is_the_papers(mode, pooling):
    found = FullGrad(CNN.model).attribute(CNN.inputs, CNN.targets, None, pooling, mode)
    assert torch.allclose(found, by_the_paper(CNN, mode, pooling), atol=1e-12)


def test_each_input_has_its_map():
    image, table = FullGrad(TWO.model).attribute(TWO.inputs, TWO.targets)
    parts = FullGrad(TWO.model).decompose(TWO.inputs, TWO.targets)
    assert image.shape == (3, 1, 6, 6)
    assert table.shape == (3, 4)
    share = parts.inputs[1].abs()
    low, high = share.amin(1, keepdim=True), share.amax(1, keepdim=True)
    assert torch.allclose(table, (share - low) / (high - low))


def test_a_series_is_resized_along_time():
    found = FullGrad(SERIES.model).attribute(SERIES.inputs, SERIES.targets)
    assert found.shape == (3, 1, 16)
    assert found.min() >= 0


def test_one_row_for_each_example_is_run():
    with counted(CNN.model) as counter:
        FullGrad(CNN.model).attribute(CNN.inputs, CNN.targets)
    assert counter.rows == FullGrad(CNN.model).cost(CNN.inputs) == 3


def test_hidden_parts_are_told():
    class Detached(nn.Module):
        def forward(self, x):
            return (x.relu() + x.detach() ** 2).sum(1, keepdim=True)

    x = torch.rand(2, 3, dtype=torch.float64)
    constant = FullGrad(Detached()).decompose(x)  # a constant like any other
    assert torch.allclose(total(constant, 2), Detached()(x)[:, 0])
    with pytest.warns(FutureWarning, match=r"torch.jit"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 2)).double())
    with pytest.raises(ConfinedError, match="the parts differ from the score by .* pass the original Python model"):
        FullGrad(lambda x: scripted(x)).decompose(x, 1)


def test_an_operation_without_a_second_derivative_is_refused(monkeypatch):
    grad = torch.autograd.grad

    def once(*args, **kwargs):
        if kwargs.get("create_graph"):
            raise RuntimeError("differentiable once")
        return grad(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", once)
    with pytest.raises(RuleError, match="FullGrad: the operation 'max_pool2d' cannot be split: differentiable once"):
        FullGrad(CNN.model).decompose(CNN.inputs, 1)


@pytest.mark.parametrize(
    "between",
    [
        nn.LPPool2d(2, 2),
        nn.LocalResponseNorm(2),
        nn.Softplus(threshold=1.0),
        nn.BatchNorm2d(3, affine=False, track_running_stats=False),
        nn.Hardtanh(-30.0, 30.0),
    ],
    ids=lambda module: type(module).__name__,
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rounding_is_not_stretched(between, dtype):
    """A constant that is rounding, or hardly more, moves no map when the input moves by its last digit."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), between, nn.Flatten(), nn.LazyLinear(2)).to(dtype)
    x = torch.randn(2, 1, 6, 6, dtype=dtype)
    net(x)
    moved = x * (1 + 4 * torch.finfo(dtype).eps)
    one, other = (FullGrad(net).attribute(inputs, 1) for inputs in (x, moved))
    assert (one - other).abs().max() < 1e4 * torch.finfo(dtype).eps * one.max()


class Mixed(nn.Module):
    """A convolution whose weights each example chooses: all run at once, with the examples among the channels."""

    def __init__(self):
        super().__init__()
        self.kernels, self.choice = nn.Parameter(torch.randn(2, 3, 2, 3, 3)), nn.Linear(2, 2)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        size, (height, width) = len(x), x.shape[2:]
        weights = torch.einsum("bk,koihw->boihw", self.choice(x.mean((2, 3))).softmax(1), self.kernels)
        joined = F.conv2d(x.reshape(1, -1, height, width), weights.flatten(0, 1), padding=1, groups=size)
        return self.head(joined.reshape(size, 3, height, width).relu().mean((2, 3)))


@pytest.mark.parametrize("size", [2, 3])
def test_biases_with_the_examples_among_the_channels_count_for_each(size):
    torch.manual_seed(0)
    net, x = Mixed().double(), torch.randn(size, 2, 4, 4, dtype=torch.float64)
    alone = torch.cat([FullGrad(net).attribute(x[k : k + 1], 1) for k in range(size)])
    assert torch.allclose(FullGrad(net).attribute(x, 1), alone, rtol=0, atol=1e-9)
