"""Kernels that are kept: laid out once, the normalisation that follows folded in, and nobody sees a difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from pnpxai.engine.kernels import KeptKernels
from pnpxai.engine.loops import gradient_sum, perturbed_scores
from pnpxai.engine.score import Score


class _Seen(TorchFunctionMode):
    """Notes the kernels that convolutions get, and how many normalisations ran."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Tensor] = []
        self.normalised = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.conv2d:
            self.kernels.append(args[1])
        self.normalised += func is F.batch_norm
        return func(*args, **(kwargs or {}))


def _norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(4, eps=0.1)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm.eval()


class _Block(nn.Module):
    """A convolution of (examples, 3, 8, 8) and two ways to normalise it, used as a test says."""

    def __init__(self, way: Callable[[_Block, Tensor], Tensor], *, bias: bool = True) -> None:
        super().__init__()
        self.conv, self.norm, self.other = nn.Conv2d(3, 4, 3, padding=1, bias=bias), _norm(), _norm()
        self.way, self.passes, self.kept = way, 0, list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.way(self, x).square().flatten(1).sum(1)


def _in_line(block: _Block, x: Tensor) -> Tensor:
    return torch.relu(block.norm(block.conv(x)))


def _held(block: _Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    normal = block.norm(plain)
    return torch.relu(normal)


def _seen_before(block: _Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    size = plain.abs().sum()
    return block.norm(plain) * size


def _seen_after(block: _Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    return block.norm(plain) + plain


def _normalised_twice(block: _Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    return block.norm(plain) * block.other(plain)


def _one_kernel_twice(block: _Block, x: Tensor) -> Tensor:
    return block.norm(block.conv(x)) * block.other(block.conv(x))


def _at_times_otherwise(block: _Block, x: Tensor) -> Tensor:
    return torch.relu(block.conv(x) if block.passes % 3 == 0 else block.norm(block.conv(x)))


def _at_times_another_norm(block: _Block, x: Tensor) -> Tensor:
    return (block.other if block.passes % 3 == 0 else block.norm)(block.conv(x))


def _at_times_kept(block: _Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    if block.passes % 3 == 0:
        block.kept.append(plain)
    return block.norm(plain)


def _at_times_ignored(block: _Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    del plain
    return block.norm(block.conv(x)) if block.passes % 3 else x


def _checked(block: _Block, x: Tensor) -> Tensor:
    return block.norm(_four(block.conv(x)))


def _four(x: Tensor) -> Tensor:
    assert (x.ndim, x.dim(), x.size(1), x.shape[2], len(x)) == (4, 4, 4, 8, 2)
    assert (x.dtype, x.device.type) == (torch.float32, "cpu")
    return x


def _of_the_batch(block: _Block, x: Tensor) -> Tensor:
    return F.batch_norm(block.conv(x), None, None, training=True)


WAYS = [_in_line, _held, _seen_before, _seen_after, _normalised_twice, _one_kernel_twice, _at_times_otherwise,
        _at_times_another_norm, _at_times_kept, _at_times_ignored, _checked, _of_the_batch]  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[torch.channels_last, torch.contiguous_format], ids=["side by side", "plain"])
def x(request: pytest.FixtureRequest) -> Tensor:
    """Return pictures in either layout."""
    return torch.randn(2, 3, 8, 8).contiguous(memory_format=request.param)


def _passes(model: nn.Module, x: Tensor, count: int = 5, *, gradients: bool = False) -> tuple[list[Tensor], list[int]]:
    """Return what passes with kept kernels give, and how many normalisations ran in each."""

    def run() -> tuple[Tensor, int]:
        with torch.set_grad_enabled(gradients):
            leaf = x.detach().requires_grad_(gradients)
            before, result = seen.normalised, model(leaf)
            result = torch.autograd.grad(result.sum(), leaf)[0] if gradients else result
        return result, seen.normalised - before

    kept = KeptKernels().around(run)
    with _Seen() as seen:
        results, counts = zip(*(kept() for _ in range(count)), strict=True)
    return list(results), list(counts)


@pytest.mark.parametrize("gradients", [False, True], ids=["values", "gradients"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("way", WAYS)
def test_no_pass_is_changed_by_folding(
    way: Callable[[_Block, Tensor], Tensor], x: Tensor, bias: bool, gradients: bool
) -> None:
    torch.manual_seed(1)
    model = _Block(way, bias=bias)
    found, _ = _passes(model, x, gradients=gradients)
    kept, model.passes, model.kept = model.kept, 0, []
    for one in found:
        leaf = x.detach().requires_grad_()
        result = model(leaf)
        expected = torch.autograd.grad(result.sum(), leaf)[0] if gradients else result
        assert torch.allclose(one, expected, rtol=1e-4, atol=1e-4 * float(expected.detach().abs().max()))
    for one, expected in zip(kept, model.kept, strict=True):
        assert torch.allclose(one, expected, atol=1e-6)
        assert one.requires_grad is gradients


@pytest.mark.parametrize("gradients", [False, True], ids=["values", "gradients"])
def test_normalisation_runs_in_the_first_pass_alone(x: Tensor, gradients: bool) -> None:
    for way in (_in_line, _checked):
        assert _passes(_Block(way), x, gradients=gradients)[1] == [1, 0, 0, 0, 0]
    assert _passes(_Block(_at_times_otherwise), x, gradients=gradients)[1] == [1, 0, 0, 1, 1]


def test_what_is_kept_by_others_stays_when_the_passes_end(x: Tensor) -> None:
    model = _Block(lambda block, x: block.conv(x))
    model.norm.register_forward_hook(lambda norm, given, output: model.kept.append(given[0]))
    model.way = lambda block, x: block.norm(block.conv(x))
    with torch.no_grad(), KeptKernels():
        for _ in range(3):
            model(x)
    with torch.no_grad():
        assert all(torch.allclose(one, model.conv(x), atol=1e-6) for one in model.kept)


def test_an_error_leaves_what_others_hold_as_it_is_without(x: Tensor) -> None:
    def way(block: _Block, x: Tensor) -> Tensor:
        plain = block.conv(x)
        if block.passes == 3:
            block.kept.append(plain)
            raise ValueError("enough")
        return block.norm(plain)

    model = _Block(way)
    with pytest.raises(ValueError, match="enough"):
        _passes(model, x)
    with torch.no_grad():
        assert torch.allclose(model.kept[0], model.conv(x), atol=1e-6)


@pytest.mark.parametrize("changed", ["weight", "bias", "running_mean", "running_var"])
def test_statistics_that_were_changed_are_folded_anew(x: Tensor, changed: str) -> None:
    model = _Block(_in_line)
    with torch.no_grad(), KeptKernels():
        for _ in range(3):
            model(x)
        getattr(model.norm, changed).mul_(2)
        found = model(x)
        model.norm.register_buffer("running_mean", model.norm.running_mean + 1)
        moved = model(x)
    with torch.no_grad():
        assert torch.allclose(moved, model(x), rtol=1e-4)
        model.norm.running_mean -= 1
        assert torch.allclose(found, model(x), rtol=1e-4)


def test_inference_tensors_and_autocast_are_left_alone(x: Tensor) -> None:
    model = _Block(_in_line)
    with torch.inference_mode():
        assert _passes(model, x.clone())[1] == [1] * 5
    with torch.autocast("cpu", torch.bfloat16):
        assert _passes(model, x)[1] == [1] * 5


def test_loops_fold_and_agree_with_a_model_that_cannot_be_folded(x: Tensor) -> None:
    model = _Block(_in_line)
    score = Score.of(model, (x,))

    def values() -> Tensor:
        return perturbed_scores(score, lambda block: (x.repeat(len(block.steps), 1, 1, 1),), 4, (x,), asked=1)

    def gradients() -> Tensor:
        def points(block: Any) -> tuple[Tensor]:
            return (x.repeat(len(block.steps), 1, 1, 1),)

        return gradient_sum(score, (x,), points, [0.25] * 4, 2)[0]

    with _Seen() as seen:
        found = values(), gradients()
    assert seen.normalised == 2
    model.way = lambda block, x: torch.relu(block.norm(block.conv(x).clone()))
    assert torch.allclose(found[0], values(), rtol=1e-5)
    assert torch.allclose(found[1], gradients(), atol=1e-5)


@torch.no_grad()
def test_a_kernel_is_laid_out_once_and_the_models_own_stays() -> None:
    model, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    first, second = _kernels(model, x)
    assert first is second
    assert _side_by_side(first)
    assert torch.equal(first, model.weight)
    assert not _side_by_side(model.weight)
    assert _kernels(model, x.contiguous(), 1)[0] is model.weight


@torch.no_grad()
def test_a_kernel_that_was_changed_or_is_made_anew_is_not_kept() -> None:
    model, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    with KeptKernels():
        model(x)
        model.weight.mul_(2)
        found = model(x)
    assert torch.allclose(found, model(x), rtol=1e-5, atol=1e-6)
    made = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    first, second = _kernels(made, x)
    assert first is not second
    assert not _side_by_side(first)


def test_a_kernel_that_alone_is_differentiated_is_left_alone() -> None:
    model, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert _kernels(model, x, 1)[0] is model.weight


def _kernels(model: nn.Module, x: Tensor, passes: int = 2) -> list[Tensor]:
    """Return the kernels that a model's convolutions get in some passes under one ``KeptKernels``."""
    with _Seen() as seen, KeptKernels():
        for _ in range(passes):
            model(x)
    return seen.kernels


def _side_by_side(kernel: Tensor) -> bool:
    return kernel.is_contiguous(memory_format=torch.channels_last)
