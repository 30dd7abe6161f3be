"""Networks beside the same network in plain operations."""

from __future__ import annotations

import copy
import functools
from collections import namedtuple
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
import torch.nn.utils.parametrizations as P  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint, checkpoint_sequential, create_selective_checkpoint_contexts

from tests.odd_models.judging import Does, Given, Situation
from tests.odd_models.rows import linear
from tests.small import Rectified

__all__ = ["SITUATIONS"]

D = torch.float64


def between(function: Any, plain: Any, **parts: Any) -> Given:
    """Return a function between two linear layers, and the same in plain operations; both take (module, values)."""
    first, last = linear(6, 8), linear(8, 3)
    model = Does(lambda m, x: m.last(function(m, m.first(x))), first=first, last=last, **parts)
    same = Does(lambda m, x: m.last(plain(m, m.first(x))), first=first, last=last, **copy.copy(parts))
    return Given(model.eval(), torch.randn(4, 6, dtype=D), (), same.eval())


def relu(m: Any, t: Tensor) -> Tensor:
    return F.relu(t)


def leaky(m: Any, t: Tensor) -> Tensor:
    return F.leaky_relu(t, 0.1)


def swish(m: Any, t: Tensor) -> Tensor:
    return t * torch.sigmoid(t)


def block(m: Any, t: Tensor) -> Tensor:
    return m.block(t)


def zeroed(t: Tensor) -> Tensor:
    t = t.clone()
    t[t < 0] = 0
    return t


def chained(m: Any, t: Tensor) -> Tensor:
    t = t.clone()
    t[:, :4] += t[:, 4:]
    t[:, 4:].mul_(2).sigmoid_()
    return t


class Weighed(torch.autograd.Function):
    """A linear layer with a backward pass of its own."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w.T

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad @ w, grad.T @ x


RECTIFIED = {
    "where": lambda m, t: torch.where(t > 0, t, torch.zeros_like(t)),
    "where, with a number": lambda m, t: torch.where(t > 0, t, 0.0),
    "clamp": lambda m, t: t.clamp(min=0),
    "clip": lambda m, t: t.clip(0),
    "clamp_min in place": lambda m, t: t.clone().clamp_min_(0),
    "maximum": lambda m, t: torch.maximum(t, torch.zeros_like(t)),
    "fmax": lambda m, t: torch.fmax(t, t.new_zeros(())),
    "threshold": lambda m, t: F.threshold(t, 0, 0),
    "hardtanh without an end": lambda m, t: F.hardtanh(t, 0, float("inf")),
    "a mask": lambda m, t: t * (t > 0),
    "a mask in its type": lambda m, t: t * (t > 0).type_as(t),
    "a mask turned round": lambda m, t: t * torch.logical_not(t <= 0),
    "masked_fill": lambda m, t: t.masked_fill(t < 0, 0),
    "index_put": lambda m, t: t.index_put((t < 0,), t.new_zeros(())),
    "written at a mask": lambda m, t: zeroed(t),
    "half of x and its absolute value": lambda m, t: (t + t.abs()) / 2,
    "x - min(x, 0)": lambda m, t: t - t.clamp(max=0),
    "relu_": lambda m, t: torch.relu_(t.clone()),
    "aten": lambda m, t: torch.ops.aten.relu.default(t),
}
LAYERS = {
    "weight_norm": P.weight_norm, "spectral_norm": P.spectral_norm, "orthogonal": P.orthogonal,
    "weight_norm by a hook": torch.nn.utils.weight_norm,
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.5),
}  # fmt: skip


def parametrised(wrap: Any) -> Given:
    layer = wrap(linear(8, 8)).eval()
    layer(torch.zeros(1, 8, dtype=D))
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    return between(
        lambda m, t: m.layer(t).relu(), lambda m, t: F.linear(t, m.weight, m.bias).relu(),
        layer=layer, weight=weight, bias=bias,
    )  # fmt: skip


def hooked(register: str, hook: Any, plain: Any) -> Given:
    act = nn.ReLU()
    getattr(act, register)(hook)
    return between(lambda m, t: m.act(t), plain, act=act)


def checkpointed(run: Any) -> Given:
    parts = nn.Sequential(linear(8, 8), nn.ReLU(), linear(8, 8), nn.Tanh())
    return between(run, block, block=parts)


def returned(wrap: Any) -> Given:
    given = between(relu, relu)
    return Given(Does(lambda m, x: wrap(m.inner(x), x), inner=given.model), given.x, (), given.plain)


def compiled(of: str) -> Given:
    if of == "a function":
        fast = torch.compile(lambda t: t * torch.sigmoid(t), backend="eager")
        return between(lambda m, t: fast(t), swish)
    given = between(relu, relu)
    if of == "the model":
        return Given(torch.compile(given.model, backend="eager"), given.x, (), given.plain)
    given.model.compile(backend="eager")
    given.model(given.x)
    return given


def scripted(make: Any) -> Given:
    part = nn.Sequential(linear(8, 8), nn.ReLU())
    return between(block, lambda m, t: m.same(t), block=make(part), same=part)


def outside() -> Given:
    layer = linear(8, 8)  # no part of the model, so that its parameters are not frozen
    held = [layer]
    return between(lambda m, t: held[0](t).relu(), lambda m, t: m.layer(t).relu(), layer=copy.deepcopy(layer))


def twice() -> Given:
    parts = {"act": nn.ReLU(), "layer": linear(8, 8)}
    return between(
        lambda m, t: m.act(m.layer(m.act(m.layer(t)))), lambda m, t: F.relu(m.copy(F.relu(m.layer(t)))),
        **parts, copy=copy.deepcopy(parts["layer"]),
    )  # fmt: skip


def in_train_mode() -> Given:
    given = between(lambda m, t: m.drop(t).relu(), relu, drop=nn.Dropout(0.5))
    given.model.train()
    return given


def grouped(m: Any, t: Tensor) -> Tensor:
    groups = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]).expand_as(t)
    return t.new_zeros(len(t), 4).scatter_reduce(1, groups, t, "amax", include_self=False).repeat(1, 2)


Outputs = namedtuple("Outputs", "logits hidden")
_SIGHT = "out of sight|no rule for|inside of a scripted model|something is scripted"
_FLOW = "cannot differentiate|does not depend on the inputs|no rule for|cannot be split"
S = Situation
SITUATIONS = [
    *(S(f"a ReLU as {name}", lambda f=f: between(f, relu)) for name, f in RECTIFIED.items()),
    S("a leaky ReLU as where", lambda: between(lambda m, t: torch.where(t > 0, t, 0.1 * t), leaky)),
    S("a leaky ReLU as maximum", lambda: between(lambda m, t: torch.maximum(t, 0.1 * t), leaky)),
    S("a ReLU in an autograd function", lambda: between(lambda m, t: Rectified.apply(t), relu), refusal=_SIGHT),
    S(
        "a layer in an autograd function",
        lambda: between(
            lambda m, t: Weighed.apply(t, m.w),
            lambda m, t: F.linear(t, m.w),
            w=nn.Parameter(torch.randn(8, 8).double()),
        ),
        refusal=_SIGHT,
    ),
    S("a scripted part", lambda: scripted(torch.jit.script), refusal=_SIGHT),
    S("a traced part", lambda: scripted(lambda p: torch.jit.trace(p, torch.zeros(2, 8, dtype=D))), refusal=_SIGHT),
    S("vmap", lambda: between(lambda m, t: torch.func.vmap(lambda row: row * row.sigmoid())(t), swish), refusal=_SIGHT),
    S(
        "vmap over weights",
        lambda: between(
            lambda m, t: torch.func.vmap(lambda w: F.relu(F.linear(t, w)))(m.w).mean(0),
            lambda m, t: F.relu(torch.einsum("bi,eoi->ebo", t, m.w)).mean(0),
            w=nn.Parameter(torch.randn(3, 8, 8, dtype=D)),
        ),
        refusal=_SIGHT,
    ),
    *(
        S(f"torch.compile of {of}", lambda of=of: compiled(of))
        for of in ("the model", "a function", "a module in place")
    ),
    S("layers that are no part of the model", outside),
    S("a checkpoint", lambda: checkpointed(lambda m, t: checkpoint(m.block, t, use_reentrant=False))),
    S(
        "a checkpoint in segments",
        lambda: checkpointed(lambda m, t: checkpoint_sequential(m.block, 2, t, use_reentrant=False)),
    ),
    S(
        "a selective checkpoint",
        lambda: checkpointed(
            lambda m, t: checkpoint(
                m.block,
                t,
                use_reentrant=False,
                context_fn=functools.partial(create_selective_checkpoint_contexts, [torch.ops.aten.mm.default]),
            )
        ),
    ),
    *(S(f"a layer, {name}", lambda w=w: parametrised(w)) for name, w in LAYERS.items()),
    S(
        "a user's hook on an output",
        lambda: hooked("register_forward_hook", lambda m, i, o: 2 * o + 1, lambda m, t: 2 * t.relu() + 1),
    ),
    S(
        "a user's hook on an input",
        lambda: hooked("register_forward_pre_hook", lambda m, i: (i[0] - 0.3,), lambda m, t: (t - 0.3).relu()),
    ),
    S("modules that run twice", twice),
    S("train mode", in_train_mode),
    S("a mapping as output", lambda: returned(lambda logits, x: {"logits": logits, "hidden": x})),
    S("a named tuple as output", lambda: returned(Outputs)),
    S("a list as output", lambda: returned(lambda logits, x: [logits, x])),
    S(
        "writes into slices",
        lambda: between(chained, lambda m, t: torch.cat([t[:, :4] + t[:, 4:], (2 * t[:, 4:]).sigmoid()], 1)),
    ),
    S("the largest of groups", lambda: between(grouped, lambda m, t: t.reshape(len(t), 4, 2).amax(2).repeat(1, 2))),
    S("a detached gate", lambda: between(lambda m, t: t * t.sigmoid().detach(), lambda m, t: t * t.sigmoid().detach())),
    S(
        "8-bit weights",
        lambda: between(
            lambda m, t: F.linear(t, m.w.double() * 0.01).relu(),
            lambda m, t: F.linear(t, m.w * 0.01).relu(),
            w=torch.randint(-127, 127, (8, 8)).double(),
        ),
    ),
    S(
        "out through numpy",
        lambda: between(lambda m, t: torch.from_numpy(t.detach().numpy()).relu(), relu),
        refusal=_FLOW,
    ),
    S(
        "an operation without a derivative",
        lambda: between(lambda m, t: t * torch.heaviside(t, t.new_zeros(())), relu),
        refusal=_FLOW,
    ),
]
"""How a network is written."""
