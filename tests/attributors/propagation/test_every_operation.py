"""Operation by operation: relevance is conserved, differences are complete, in float64 and with a bfloat16 forward."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pnpxai.attributors import LRP, DeepLift
from pnpxai.errors import RuleError

pytestmark = pytest.mark.filterwarnings("ignore:index_reduce")
C = torch.tensor([0.7, -1.2, 0.4, 1.5, -0.3, 0.9], dtype=torch.float64)
ROWS = torch.tensor([0, 2, 1, 0, 2, 1])


def like(x, values):
    return values.to(x)


def _written(x, index, value):
    y = x.clone()
    y[index] = value
    return y


OPERATIONS = {
    "log_softmax": lambda x: x.log_softmax(1),
    "softmax": lambda x: x.softmax(1),
    "softmin": lambda x: F.softmin(x, 1),
    "logsumexp": lambda x: torch.cat([x.logsumexp(1, keepdim=True), x[:, 1:]], 1),
    "logsumexp without its axis": lambda x: torch.stack([x.logsumexp(1)] * 6, 1),
    "squared error": lambda x: F.mse_loss(x, like(x, C).expand_as(x), reduction="none"),
    "absolute error": lambda x: F.l1_loss(x, like(x, C).expand_as(x), reduction="none"),
    "Huber's loss": lambda x: F.huber_loss(x, like(x, C).expand_as(x), reduction="none", delta=0.3),
    "smooth absolute error": lambda x: F.smooth_l1_loss(x, like(x, C).expand_as(x), reduction="none", beta=0.4),
    "cross entropy": lambda x: torch.stack([F.cross_entropy(x, ROWS[: len(x)], reduction="none")] * 6, 1),
    "log-likelihood": lambda x: torch.stack([F.nll_loss(x.log_softmax(1), ROWS[: len(x)], reduction="none")] * 6, 1),
    "binary cross entropy": lambda x: F.binary_cross_entropy_with_logits(x, (x > 9).to(x), reduction="none"),
    "binary cross entropy of probabilities": lambda x: F.binary_cross_entropy(
        x.sigmoid(), torch.ones_like(x), reduction="none"
    ),
    "divergence": lambda x: F.kl_div(x.log_softmax(1), torch.full_like(x, 1 / 6), reduction="none"),
    "clamp": lambda x: x.clamp(-0.3, 0.4),
    "clamp_min": lambda x: x.clamp_min(0.1),
    "abs": lambda x: x.abs(),
    "exp": lambda x: x.exp(),
    "quotient": lambda x: x / (1 + x.abs()),
    "quotient across a sign": lambda x: x / (x - 0.2),
    "reciprocal": lambda x: 1 / (2 + x.square()),
    "norm": lambda x: x / x.norm(dim=1, keepdim=True),
    "norm itself": lambda x: torch.cat([x.norm(dim=1, keepdim=True), x[:, 1:]], 1),
    "one-norm": lambda x: x / torch.linalg.vector_norm(x, 1, dim=1, keepdim=True),
    "largest norm": lambda x: x / torch.linalg.vector_norm(x, float("inf"), dim=1, keepdim=True),
    "normalize": lambda x: F.normalize(x),
    "cosine": lambda x: x * F.cosine_similarity(x, like(x, C)[None])[:, None],
    "cosine of two": lambda x: x * F.cosine_similarity(x, x.tanh() + 1)[:, None],
    "topk": lambda x: torch.cat([x.topk(3).values, x[:, :3]], 1),
    "topk with places": lambda x: torch.cat([x.topk(3).values, x.gather(1, x.topk(3).indices) ** 2], 1),
    "sort": lambda x: x.sort(1, descending=True).values,
    "kthvalue": lambda x: torch.cat([x.kthvalue(2, 1, keepdim=True).values, x[:, 1:]], 1),
    "median": lambda x: torch.cat([x.median(1, keepdim=True).values, x[:, 1:]], 1),
    "largest": lambda x: torch.cat([x.amax(1, keepdim=True), x.amin(1, keepdim=True), x[:, 2:]], 1),
    "largest with its place": lambda x: torch.cat([x.max(1, keepdim=True).values, x[:, 1:]], 1),
    "largest over axes": lambda x: torch.cat([x.reshape(-1, 2, 3).amax((1, 2))[:, None], x[:, 1:]], 1),
    "maximum": lambda x: torch.maximum(x, x.flip(1) * 0.5),
    "maximum with a constant": lambda x: torch.maximum(x, like(x, C)),
    "max of two": lambda x: torch.max(x, like(x, 0 * C)),
    "masked_scatter": lambda x: x.masked_scatter(C > 0, x[:, :4] * 2),
    "index_add": lambda x: x.index_add(1, ROWS, x * 2),
    "largest by groups": lambda x: x.scatter_reduce(1, ROWS.expand_as(x), x * 2, "amax"),
    "largest by groups alone": lambda x: torch.zeros_like(x).scatter_reduce(
        1, ROWS.expand_as(x), x, "amax", include_self=False
    ),
    "smallest by groups": lambda x: x.scatter_reduce(1, ROWS.expand_as(x), x.tanh(), "amin"),
    "mean by groups": lambda x: x.scatter_reduce(1, ROWS.expand_as(x), x * 3, "mean"),
    "sum by groups alone": lambda x: x.scatter_reduce(1, ROWS.expand_as(x), x * 3, "sum", include_self=False),
    "product by groups": lambda x: x.scatter_reduce(1, ROWS.expand_as(x), x + 1, "prod"),
    "index_reduce": lambda x: x.index_reduce(1, ROWS, x * 2, "amax", include_self=False),
    "scatter_add": lambda x: x.scatter_add(1, ROWS.expand_as(x), x * 3),
    "index_copy": lambda x: x.index_copy(1, torch.tensor([0, 3]), x[:, 1:3] * 2),
    "written": lambda x: _written(x, (slice(None), 0), x[:, 1] * 2),
    "written constant": lambda x: _written(x, (slice(None), 0), 0.7),
    "masked_fill": lambda x: x.masked_fill(C > 1, 0.7),
    "where": lambda x: torch.where(C > 0, x, 0.3),
    "var": lambda x: torch.cat([x.var(1, keepdim=True), x[:, 1:]], 1),
    "std": lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
    "var_mean": lambda x: sum(torch.var_mean(x, 1, keepdim=True)) + x,
    "prod": lambda x: torch.cat([x.prod(1, keepdim=True), x[:, 1:]], 1),
    "cumprod": lambda x: x.cumprod(1),
    "addcmul": lambda x: torch.addcmul(x, x, x.tanh(), value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.exp(), value=0.5),
    "lerp": lambda x: torch.lerp(x, x.tanh(), 0.3),
    "lerp by a value": lambda x: torch.lerp(x, x.tanh(), x.sigmoid()),
    "einsum of three": lambda x: torch.einsum("bi,bj,jk->bik", x, x, like(x, torch.outer(C, C))).sum(1),
    "cdist": lambda x: torch.cdist(x[:, None], like(x, torch.outer(C, C))[None])[:, 0],
    "power": lambda x: x**2 + x**3,
    "aten": lambda x: torch.ops.aten.gelu.default(torch.ops.aten.add.Tensor(x, like(x, C))),
    "aten layer norm": lambda x: torch.ops.aten.native_layer_norm.default(x, [6], None, None, 1e-5)[0],
    "packed and padded": lambda x: pad_packed_sequence(
        pack_padded_sequence(x[..., None], torch.full((len(x),), 4), batch_first=True), True, 0.7, total_length=6
    )[0][..., 0],
    "unfolded": lambda x: x.unfold(1, 2, 1).amax(2).repeat(1, 2)[:, :6],
}
EXACT_ONLY = {
    "fft": lambda x: torch.fft.fft(x).real,
    "size of a spectrum": lambda x: torch.fft.fft(x).abs(),
    "there and back": lambda x: torch.fft.irfft(torch.fft.rfft(x) * (0.5 + 0.2j), n=6),
    "rotation": lambda x: torch.view_as_real(torch.view_as_complex(x.reshape(-1, 3, 2)) * (0.6 + 0.8j)).flatten(1),
    "grid_sample": lambda x: F.grid_sample(
        x.reshape(-1, 1, 2, 3), like(x, C.reshape(1, 1, 3, 2).expand(len(x), 1, 3, 2) / 2), align_corners=False
    ).repeat(1, 1, 2, 1).flatten(1),
    "roi_align": lambda x: __import__("torchvision").ops.roi_align(
        x.reshape(-1, 1, 2, 3), [like(x, torch.tensor([[0.0, 0.0, 2.0, 1.0]]))] * len(x), (2, 3)
    ).flatten(1),
}  # fmt: skip

NAMED = {
    "addmm": (lambda x: torch.addmm(input=x, mat1=x, mat2=_weights(x)), lambda x: torch.addmm(x, x, _weights(x))),
    "addmv": (
        lambda x: x * torch.addmv(input=x[:, 0], mat=x, vec=x[0].detach())[:, None],
        lambda x: x * torch.addmv(x[:, 0], x, x[0].detach())[:, None],
    ),
    "baddbmm": (
        lambda x: torch.baddbmm(input=_paired(x), batch1=_paired(x), batch2=_paired(x), beta=0.5).flatten(1)[:, :6],
        lambda x: torch.baddbmm(_paired(x), _paired(x), _paired(x), beta=0.5).flatten(1)[:, :6],
    ),
    "addcmul": (lambda x: torch.addcmul(input=x, tensor1=x, tensor2=x.tanh()), lambda x: torch.addcmul(x, x, x.tanh())),
    "addcdiv": (lambda x: x.addcdiv(tensor1=x, tensor2=x.exp()), lambda x: torch.addcdiv(x, x, x.exp())),
    "lerp": (lambda x: torch.lerp(input=x, end=x.tanh(), weight=x.sigmoid()), OPERATIONS["lerp by a value"]),
    "div": (lambda x: like(x, C).div(other=2 + x.square()), lambda x: like(x, C) / (2 + x.square())),
    "maximum": (lambda x: torch.maximum(input=x, other=x.flip(1)), lambda x: torch.maximum(x, x.flip(1))),
    "max": (lambda x: x - torch.max(input=x, dim=1, keepdim=True).values, lambda x: x - x.max(1, keepdim=True).values),
    "gather": (lambda x: torch.gather(input=x, dim=1, index=x.argsort(1)), lambda x: x.gather(1, x.argsort(1))),
    "where": (lambda x: torch.where(condition=x > 0, input=x, other=0 * x), lambda x: torch.where(x > 0, x, 0 * x)),
}
"""Operations that are called with the names of their arguments, and without."""


def _paired(x):
    return torch.cat([x, x.tanh(), x.exp()], 1)[:, :9].reshape(-1, 3, 3)


def _weights(x):
    return like(x, torch.outer(C, C))


class Between(nn.Module):
    """An operation between two linear layers."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.second(self.operation(self.first(x)))


def drawn(rows=5, seed=0):
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", [*OPERATIONS, *EXACT_ONLY])
def test_relevance_is_conserved(name):
    model = Between((OPERATIONS | EXACT_ONLY)[name]).double()
    found = LRP(model).relevance(drawn(), 1)
    size = torch.maximum(found.score.abs(), sum(found.attributions.abs().flatten(1).sum(1), found.bias.abs()) * 1e-3)
    assert (found.gap.abs() <= 1e-6 * size).all()
    assert found.attributions.any()


@pytest.mark.parametrize("name", [*OPERATIONS, *EXACT_ONLY])
@pytest.mark.parametrize("baseline", ["zeros", "others", "close"])
def test_differences_are_complete(name, baseline):
    model, x = Between((OPERATIONS | EXACT_ONLY)[name]).double(), drawn()
    base = {"zeros": 0 * x, "others": drawn(seed=1), "close": x + 1e-9 * drawn(seed=1)}[baseline]
    _, delta = DeepLift(model).attribute(x, base, 1, return_convergence_delta=True)
    with torch.no_grad():
        size = model(x).abs().max() + model(base).abs().max()
    assert (delta.abs() <= 1e-9 * size).all()


@pytest.mark.parametrize("method", [LRP, DeepLift])
@pytest.mark.parametrize("name", NAMED)
def test_names_of_arguments_make_no_difference(name, method):
    by_name, by_place = (method(Between(call).double()).attribute(drawn(), target=1) for call in NAMED[name])
    assert torch.allclose(by_name, by_place, atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_half_precision_gives_the_map_of_the_same_network(name):
    """The map of bfloat16 is that of float64 up to some hundredths of its size."""
    if name in ("written", "written constant", "cdist", "norm itself", "quotient across a sign", "clamp_min"):
        pytest.skip("a pole or a tie near a value: digits of bfloat16 decide")
    model, x = Between(OPERATIONS[name]).bfloat16().double(), drawn().bfloat16().double()
    right = [LRP(model).attribute(x, 1), DeepLift(model).attribute(x, None, 1)]
    model = model.bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = [LRP(model).attribute(x.bfloat16(), 1), DeepLift(model).attribute(x.bfloat16(), None, 1)]
        except NotImplementedError:
            pytest.skip("torch has no bfloat16 kernel of it")
    for one, other in zip(found, right, strict=True):
        assert one.dtype == torch.bfloat16
        assert torch.isfinite(one).all()
        rows = (one.double() - other).abs().amax(1) / other.abs().amax(1)
        assert rows.median() < 0.2


def test_an_exported_program_has_the_map_of_the_model():
    model, x = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2)).double(), drawn()
    program = torch.export.export(model.eval(), (x,)).module()
    for method in (LRP, DeepLift):
        assert torch.allclose(method(program).attribute(x, target=0), method(model).attribute(x, target=0), atol=1e-12)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


def _scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(_swish)


def _swish(x: torch.Tensor):
    return x * torch.sigmoid(x)


def _traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.Sequential(nn.Linear(6, 6), nn.Tanh()).double(), torch.zeros(1, 6).double())


HIDDEN = {
    "an autograd function": lambda: Doubled.apply,
    "a scripted function": _scripted,
    "a traced module": _traced,
    "vmap": lambda: torch.func.vmap(_swish),
    "jvp": lambda: lambda x: torch.func.jvp(torch.sin, (x,), (torch.ones_like(x),))[1],
    "a gradient within": lambda: lambda x: torch.func.vmap(torch.func.grad(lambda t: t.sin().sum()))(x),
}


@pytest.mark.parametrize("method", [LRP, DeepLift])
@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_is_refused_by_name(name, method):
    model = Between(HIDDEN[name]()).double()
    with pytest.raises(RuleError, match="out of sight|no rule for the operation"):
        method(model).attribute(drawn(), target=0)


def test_a_quantised_layer_is_refused_by_name():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model[2] = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(6, 2)), {nn.Linear}, torch.qint8)[0]
    for method in (LRP, DeepLift):
        with pytest.raises(RuleError, match="'linear_dynamic'"):
            method(model).attribute(drawn().float(), target=0)
