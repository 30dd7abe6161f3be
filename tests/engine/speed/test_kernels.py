"""Kernels that are kept: laid out once, the normalisation that follows folded in, and nobody sees a difference."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.score import Score
from pnpxai.engine.speed.kernels import KeptKernels
from tests.engine.speed.folded_blocks import Block, in_line, kept_passes, normalisations, one_pass


def _held(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    normal = block.norm(plain)
    return torch.relu(normal)


def _seen_before(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    size = plain.abs().sum()
    return block.norm(plain) * size


def _seen_after(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    return block.norm(plain) + plain


def _normalised_twice(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    return block.norm(plain) * block.other(plain)


def _one_kernel_twice(block: Block, x: Tensor) -> Tensor:
    return block.norm(block.conv(x)) * block.other(block.conv(x))


def _at_times_otherwise(block: Block, x: Tensor) -> Tensor:
    return torch.relu(block.conv(x) if block.passes % 3 == 0 else block.norm(block.conv(x)))


def _at_times_another_norm(block: Block, x: Tensor) -> Tensor:
    return (block.other if block.passes % 3 == 0 else block.norm)(block.conv(x))


def _at_times_kept(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    if block.passes % 3 == 0:
        block.kept.append(plain)
    return block.norm(plain)


def _at_times_ignored(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    del plain
    return block.norm(block.conv(x)) if block.passes % 3 else x


def _checked(block: Block, x: Tensor) -> Tensor:
    return block.norm(_four(block.conv(x)))


def _four(x: Tensor) -> Tensor:
    assert (x.ndim, x.dim(), x.size(1), x.shape[2], len(x)) == (4, 4, 4, 8, 2)
    assert (x.dtype, x.device.type) == (torch.float32, "cpu")
    return x


def _of_the_batch(block: Block, x: Tensor) -> Tensor:
    return F.batch_norm(block.conv(x), None, None, training=True)


WAYS = [in_line, _held, _seen_before, _seen_after, _normalised_twice, _one_kernel_twice, _at_times_otherwise,
        _at_times_another_norm, _at_times_kept, _at_times_ignored, _checked, _of_the_batch]  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[torch.channels_last, torch.contiguous_format], ids=["side by side", "plain"])
def x(request: pytest.FixtureRequest) -> Tensor:
    """Return pictures in either layout."""
    return torch.randn(2, 3, 8, 8).contiguous(memory_format=request.param)


@pytest.mark.parametrize("gradients", [False, True], ids=["values", "gradients"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("way", WAYS)
def test_no_pass_is_changed_by_folding(
    way: Callable[[Block, Tensor], Tensor], x: Tensor, bias: bool, gradients: bool
) -> None:
    torch.manual_seed(1)
    model = Block(way, bias=bias)
    found = kept_passes(model, x, gradients=gradients)
    kept, model.passes, model.kept = model.kept, 0, []
    for one in found:
        expected = one_pass(model, x, gradients=gradients)
        assert torch.allclose(one, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    for one, expected in zip(kept, model.kept, strict=True):
        assert torch.allclose(one, expected, atol=1e-6)
        assert one.requires_grad is gradients


def test_normalisation_is_folded_in_passes_without_gradients(x: Tensor) -> None:
    for way in (in_line, _checked):
        assert normalisations(Block(way), x) == [0] * 5
        assert normalisations(Block(way), x, gradients=True) == [1] * 5
    assert normalisations(Block(_at_times_otherwise), x) == [0, 0, 0, 1, 1]
    assert normalisations(Block(_held), x) == [0, 1, 1, 1, 1]
    assert normalisations(Block(_seen_before), x) == [1] * 5


def test_what_is_kept_by_others_stays_when_the_passes_end(x: Tensor) -> None:
    model = Block(in_line)
    model.norm.register_forward_hook(lambda norm, given, output: model.kept.append(given[0]))
    kept_passes(model, x)
    both = nn.Sequential(model.conv, model.norm)  # nothing comes after
    with torch.no_grad():
        KeptKernels(both).around(both)(x)
    assert len(model.kept) == 6
    assert all(torch.allclose(one, model.conv(x), atol=1e-6) for one in model.kept)


def test_an_error_leaves_what_others_hold_as_it_is_without(x: Tensor) -> None:
    def way(block: Block, x: Tensor) -> Tensor:
        plain = block.conv(x)
        if block.passes == 3:
            block.kept.append(plain)
            raise ValueError("enough")
        return block.norm(plain)

    model = Block(way)
    with pytest.raises(ValueError, match="enough"):
        kept_passes(model, x)
    assert torch.allclose(model.kept[0], model.conv(x), atol=1e-6)


@pytest.mark.parametrize("changed", ["weight", "bias", "running_mean", "running_var"])
def test_statistics_that_were_changed_are_folded_anew(x: Tensor, changed: str) -> None:
    model = Block(in_line)
    kept = KeptKernels(model).around(one_pass)
    for edit in (lambda t: t.mul_(2), lambda t: t.set_(t.clone() * 2), lambda t: setattr(t, "data", t * 2)):
        for _ in range(3):
            kept(model, x)
        edit(getattr(model.norm, changed))
        assert torch.allclose(kept(model, x), model(x), rtol=1e-4)
        assert torch.allclose(kept(model, x), model(x), rtol=1e-4)


def test_inference_and_autocast_are_left_alone(x: Tensor) -> None:
    model = Block(in_line)
    with torch.inference_mode():
        assert normalisations(model, x.clone()) == [1] * 5
    with torch.autocast("cpu", torch.bfloat16):
        assert normalisations(model, x) == [1] * 5


def test_modes_of_others_around_see_all_as_it_is(x: Tensor) -> None:
    with _Seen():
        assert normalisations(Block(in_line), x) == [1] * 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_no_function_shows_ends_folding(x: Tensor) -> None:
    activation = torch.jit.CompilationUnit("def f(x):\n    return x.abs()\n").f
    assert normalisations(Block(lambda block, x: activation(block.norm(block.conv(x)))), x) == [0, 1, 1, 1, 1]


def test_every_normalisation_of_a_resnet_is_folded() -> None:
    model = torchvision.models.resnet18(num_classes=3).eval().requires_grad_(False)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=0.3)
        if name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2)
    x = torch.randn(1, 3, 32, 32)
    assert normalisations(model, x, 3) == [0, 0, 0]
    found = kept_passes(model, x, 3)
    expected = one_pass(model.double(), x.double()).float()
    assert all(torch.allclose(one, expected, rtol=1e-4, atol=1e-5) for one in found)


def test_passes_may_hold_passes(x: Tensor) -> None:
    model = Block(in_line)
    kept = KeptKernels(model).around(one_pass)
    model.way = lambda block, x: in_line(block, x) if block.passes % 2 else in_line(block, x) + kept(model, x)[0]
    found = [kept(model, x) for _ in range(6)]
    model.passes, kept = 0, one_pass
    assert all(torch.allclose(one, model(x), rtol=1e-4) for one in found)


def test_equal_rows_have_equal_results_in_all_passes(x: Tensor) -> None:
    found = kept_passes(Block(in_line), x)
    assert all(torch.equal(one, found[0]) for one in found)


def test_nothing_outlives_the_passes(x: Tensor) -> None:
    model = Block(in_line)
    kept = KeptKernels(model).around(one_pass)
    for _ in range(3):
        kept(model, x)
    gone = weakref.ref(model.conv.weight), weakref.ref(model)
    del kept, model
    gc.collect()
    assert [one() for one in gone] == [None, None]


@pytest.mark.parametrize(("side", "seen", "count"), [(96, True, 0), (96, False, 4), (8, True, 4)])
def test_loops_fold_where_the_model_can_be_seen_and_pictures_are_large(side: int, seen: bool, count: int) -> None:
    model, x = Block(in_line), torch.randn(2, 3, side, side)
    score = Score.of(model if seen else lambda x: model(x), (x,))

    def points(block: Any) -> tuple[Tensor]:
        return (x.repeat(len(block.steps), 1, 1, 1),)

    with mock.patch.object(torch, "batch_norm", wraps=torch.batch_norm) as ran:
        found = perturbed_scores(score, points, 4, (x,), asked=1)
    assert ran.call_count == count
    assert torch.allclose(found, model(x)[:, None].expand(2, 4), rtol=1e-5)


def test_a_kernel_is_laid_out_once_and_the_models_own_stays() -> None:
    model, x = _convolution()
    first, second = _kernels(model, x)
    assert first is second
    assert _side_by_side(first)
    assert torch.equal(first, model.weight)
    assert not _side_by_side(model.weight)
    assert _kernels(model, x.contiguous(), 1)[0] is model.weight


def test_a_kernel_that_was_changed_or_is_made_anew_is_not_kept() -> None:
    model, x = _convolution()
    kept = KeptKernels(model).around(one_pass)
    kept(model, x)
    model.weight.mul_(2)
    assert torch.allclose(kept(model, x), model(x), rtol=1e-5, atol=1e-6)
    made = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)).requires_grad_(False)
    first, second = _kernels(made, x)
    assert first is not second
    assert not _side_by_side(first)


class _Seen(TorchFunctionMode):
    """Notes the kernels that convolutions get."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.conv2d:
            self.kernels.append(args[1])
        return func(*args, **(kwargs or {}))


def _convolution() -> tuple[nn.Conv2d, Tensor]:
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    return nn.Conv2d(3, 4, 3).requires_grad_(False), x


def _kernels(model: nn.Module, x: Tensor, passes: int = 2) -> list[Tensor]:
    """Return the kernels that a model's convolutions get in some passes under one ``KeptKernels``."""
    with torch.no_grad(), _Seen() as seen, KeptKernels(model):
        for _ in range(passes):
            model(x)
    return seen.kernels


def _side_by_side(kernel: Tensor) -> bool:
    return kernel.is_contiguous(memory_format=torch.channels_last)
