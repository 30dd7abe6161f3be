"""Nobody sees that batch normalisation was folded, however a model uses its convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from tests.engine.speed.folded_blocks import Block, in_line, kept_passes, one_pass


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * 2


class _Normal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: nn.Module) -> Tensor:
        return norm(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * 3, None


class _Counted(TorchDispatchMode):
    ran = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ran += 1
        return func(*args, **(kwargs or {}))


class _Tripled(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * 3 if func is F.batch_norm else result


def _script(body: str) -> Callable[[Tensor], Tensor]:
    return torch.jit.CompilationUnit(f"def f(x):\n    return {body}\n").f


def _third(block: Block) -> bool:
    return block.passes % 3 == 0


def _beside(read: Callable[[Tensor], Tensor], *, first: bool) -> Callable[[Block, Tensor], Tensor]:
    def beside(block: Block, x: Tensor) -> Tensor:
        plain = block.conv(x)
        if first:
            return read(plain) + block.norm(plain)
        return block.norm(plain) + read(plain)

    return beside


def _at_times(use: Callable[[Block, Tensor], Tensor]) -> Callable[[Block, Tensor], Tensor]:
    def at_times(block: Block, x: Tensor) -> Tensor:
        plain = block.conv(x)
        return use(block, plain) if _third(block) else block.norm(plain)

    return at_times


def _in(mode: Callable[[], Any], use: Callable[[Block, Tensor], Tensor]) -> Callable[[Block, Tensor], Tensor]:
    def inside(block: Block, x: Tensor) -> Tensor:
        with mode():
            return use(block, x)

    return inside


def _normal_without_gradient(block: Block, plain: Tensor) -> Tensor:
    with torch.inference_mode():
        normal = block.norm(plain)
    return plain * normal.clone()


def _counted(block: Block, plain: Tensor) -> Tensor:
    with _Counted() as counted:
        normal = block.norm(plain)
    return normal * counted.ran


def _unseen(plain: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return plain.abs()


def _edited_between(block: Block, x: Tensor) -> Tensor:
    return block.norm(_script("x.mul_(2.0)")(block.conv(x)))


def _counts_what_is_saved(block: Block, x: Tensor) -> Tensor:
    saved: list[Tensor] = []

    def save(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        return in_line(block, x) * (1 + len(saved))


def _mapped(block: Block, x: Tensor) -> Tensor:
    return torch.vmap(lambda part: in_line(block, part))(torch.stack([x, 2 * x])).sum(0)


def _slopes(block: Block, x: Tensor) -> Tensor:
    return torch.func.grad(lambda part: torch.tanh(block.norm(block.conv(part))).sum())(x)


def _along(block: Block, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        normal = block.conv(dual) if _third(block) else block.norm(block.conv(dual))
        tangent = forward_ad.unpack_dual(torch.tanh(normal)).tangent
    assert tangent is not None
    return tangent


def _of_parameters(block: Block, x: Tensor) -> Tensor:
    parameters = [*block.conv.parameters(), block.norm.weight]
    with torch.enable_grad():
        for parameter in parameters:
            parameter.requires_grad_(True)
        score = torch.tanh(block.norm(block.conv(x.detach()))).sum()
        slopes = torch.autograd.grad(score, parameters)
    block.requires_grad_(False)
    return x * torch.stack([slope.sum() for slope in slopes]).sum()


def _bias_of_the_input(block: Block, x: Tensor) -> Tensor:
    return block.norm(F.conv2d(x, block.conv.weight, x.mean().expand(4)))


def _noisy(tensor: Callable[[Block], Any]) -> Callable[[Block, Tensor], Tensor]:
    def noisy(block: Block, x: Tensor) -> Tensor:
        tensor(block).data.add_(0.1 * block.passes)
        result = block.norm(block.conv(x))
        tensor(block).data.sub_(0.1 * block.passes)
        return result

    return noisy


def _new_kernel(block: Block, x: Tensor) -> Tensor:
    count = 2 + block.passes % 3
    kernel = nn.Parameter(torch.full((count, 3, 3, 3), 0.1 * block.passes), requires_grad=False)
    return F.batch_norm(F.conv2d(x, kernel), torch.ones(count), torch.ones(count))


def _replaced(block: Block, x: Tensor) -> Tensor:
    block.conv.weight = nn.Parameter(torch.full((4, 3, 3, 3), 0.1 * block.passes), requires_grad=False)
    return block.norm(block.conv(x))


def _one_position(block: Block, x: Tensor) -> Tensor:
    return block.norm(F.conv2d(x.mean((2, 3), keepdim=True), block.conv.weight, None, 1, 2)).view(len(x), -1)


def _kernel_side_by_side(block: Block, x: Tensor) -> Tensor:
    laid = block.conv.weight.contiguous(memory_format=torch.channels_last)
    block.conv.weight = block.conv.weight if block.passes > 1 else nn.Parameter(laid, requires_grad=False)
    return block.norm(block.conv(x.contiguous())).permute(0, 2, 3, 1).view(len(x), -1)


def _late_hooks(block: Block, x: Tensor) -> Tensor:
    if block.passes == 3:
        block.conv.register_forward_hook(lambda module, given, output: output.mul_(2))
    if block.passes == 4:
        block.norm.register_forward_pre_hook(lambda module, given: (given[0] + 1,))
        block.norm.register_full_backward_pre_hook(lambda module, slopes: tuple(3 * slope for slope in slopes))
    return block.norm(block.conv(x))


def _late_slopes(block: Block, x: Tensor) -> Tensor:
    plain = block.conv(x)
    if block.passes >= 3 and plain.requires_grad:
        plain.register_hook(lambda slope: 2 * slope)
    return block.norm(plain)


def _no_rows(block: Block, x: Tensor) -> Tensor:
    return block.norm(block.conv(x)) + block.norm(block.conv(x[:0])).sum()


WAYS = {
    "scripted before": _beside(_script("x.abs()"), first=True),
    "scripted after": _beside(_script("x.abs()"), first=False),
    "unseen": _beside(_unseen, first=True),
    "function at times": _at_times(lambda block, plain: _Doubled.apply(plain)),
    "normalised in a function": lambda block, x: _Normal.apply(block.conv(x), block.norm),
    "normalised in a function at times": _at_times(lambda block, plain: _Normal.apply(plain, block.norm)),
    "inference": lambda block, x: _normal_without_gradient(block, block.conv(x)),
    "inference at times": _at_times(_normal_without_gradient),
    "counted": lambda block, x: _counted(block, block.conv(x)),
    "counted at times": _at_times(_counted),
    "mode of others": _in(_Tripled, in_line),
    "checkpoint": lambda block, x: checkpoint(lambda part: in_line(block, part), x, use_reentrant=False),
    "normalised in a checkpoint": lambda block, x: checkpoint(block.norm, block.conv(x), use_reentrant=False),
    "weight noise": _noisy(lambda block: block.conv.weight),
    "noise of statistics": _noisy(lambda block: block.norm.running_mean),
} | {
    way.__name__: way
    for way in (
        _edited_between, _counts_what_is_saved, _mapped, _slopes, _along, _of_parameters, _bias_of_the_input,
        _new_kernel, _replaced, _one_position, _kernel_side_by_side, _late_hooks, _late_slopes,
        _no_rows,
    )
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("gradients", [False, True], ids=["values", "gradients"])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["side by side", "plain"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_pass_is_changed(
    way: Callable[[Block, Tensor], Tensor], layout: torch.memory_format, gradients: bool
) -> None:
    torch.manual_seed(0)
    block, x = Block(way), torch.randn(2, 3, 8, 8).contiguous(memory_format=layout)
    expected = Block(way)
    expected.load_state_dict(block.state_dict())
    for found in kept_passes(block, x, gradients=gradients):
        wanted = one_pass(expected, x, gradients=gradients)
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert torch._C._len_torch_dispatch_stack() == torch._C._len_torch_function_stack() == 0
