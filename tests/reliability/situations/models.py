"""What the model is: the same network in other clothes, or one that misbehaves."""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.odd_models.judging import Does
from tests.reliability.calls import Call, Method
from tests.reliability.judging import Planted, Situation

__all__ = ["SITUATIONS"]


def around(does: Callable[..., Any], **parts: Any) -> Callable[[Call, Method], Call]:
    """Return what puts a network into a module that does something with it."""
    return lambda call, method: call.with_model(lambda net: Does(does, net=net, **copy.deepcopy(parts)).eval())


def changed(change: Callable[[nn.Module], Any]) -> Callable[[Call, Method], Call]:
    """Return what changes the network itself."""

    def odd(call: Call, method: Method) -> Call:
        change(call.model)
        return call

    return odd


def made(make: Callable[[nn.Module, Tensor], Any]) -> Callable[[Call, Method], Call]:
    return lambda call, method: call.with_model(lambda net: make(net, call.inputs))


def used(net: nn.Module) -> None:
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)


def some_frozen(net: nn.Module) -> None:
    for parameter in list(net.parameters())[::2]:
        parameter.requires_grad_(False)


def in_inference(net: nn.Module) -> None:
    with torch.inference_mode():
        for module in net.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.clone(), requires_grad=False))


def with_hooks(net: nn.Module) -> None:
    for module in net.modules():
        module.register_forward_hook(lambda m, args, output: None)
        module.register_forward_pre_hook(lambda m, args: None)


def with_gradient_hooks(net: nn.Module) -> None:
    for parameter in net.parameters():
        parameter.register_hook(lambda gradient: gradient * 2)


def counted(m: Any, x: Tensor) -> Tensor:
    m.calls += 1
    m.seen = x
    return m.net(x)


def edited(m: Any, x: Tensor) -> Tensor:
    return m.net(x.mul_(2))


def random_used(m: Any, x: Tensor) -> Tensor:
    torch.rand(1), np.random.rand(), random.random()
    return m.net(x)


def raises(error: BaseException, after: int = 0) -> Callable[[Call, Method], Call]:
    def fail(m: Any, x: Tensor) -> Tensor:
        m.calls += 1
        if m.calls > after:
            raise error
        return m.net(x)

    return around(fail, calls=torch.tensor(0))


def fails_inside(error: BaseException) -> Callable[[Call, Method], Call]:
    def odd(call: Call, method: Method) -> Call:
        def fail(*given: Any) -> None:
            raise error

        [m for m in call.model.modules() if not list(m.children())][-1].register_forward_hook(fail)
        return call

    return odd


def own_gradient(m: Any, x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        torch.autograd.grad(m.net(leaf).sum(), leaf)
    return m.net(x)


def in_train_mode(net: nn.Module) -> None:
    net.train()


def traced(net: nn.Module, x: Tensor) -> Any:
    return torch.jit.trace(net, x, check_trace=False)


def scripted_part(net: nn.Module, x: Tensor) -> nn.Module:
    return Does(lambda m, x: m.net(x), net=traced(net, x))


class Delegating:
    """No module, but callable."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def __call__(self, x: Tensor) -> Any:
        return self.net(x)

    def method(self, x: Tensor) -> Any:
        """Run the network."""
        return self.net(x)


class Uncopied(nn.Module):
    """May be neither copied nor pickled, and answers for names that it does not have."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def __deepcopy__(self, memo: Any) -> Any:
        raise Planted("not to be copied")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise Planted("not to be pickled")

    def __len__(self) -> int:
        return 0

    def forward(self, x: Tensor) -> Any:
        """Run the network."""
        return self.net(x)


def keyword_only(m: Any, x: Tensor, *, scale: float = 1.0) -> Any:
    return m.net(x) * scale


COPY = {
    "whose parameters are frozen": changed(lambda net: net.requires_grad_(False)),
    "whose parameters are frozen in part": changed(some_frozen),
    "whose parameters have gradients": changed(used),
    "whose parameters were made in inference mode": changed(in_inference),
    "whose parameters have hooks": changed(with_gradient_hooks),
    "with hooks on every module": changed(with_hooks),
    "in training mode": changed(in_train_mode),
    "with one module in training mode": changed(lambda net: list(net.modules())[-1].train()),
    "whose weights are in shared memory": changed(lambda net: net.share_memory()),
    "in a module": around(lambda m, x: m.net(x)),
    "in a module in a module": around(lambda m, x: m.outer(x) if False else nn.Sequential(m.net)(x)),
    "in nn.Sequential": made(lambda net, x: nn.Sequential(net)),
    "in nn.Sequential with Identity": made(lambda net, x: nn.Sequential(nn.Identity(), net, nn.Identity())),
    "in DataParallel": made(lambda net, x: nn.DataParallel(net)),
    "in a module with arguments by name only": around(keyword_only),
    "in a module that keeps its input": around(counted, calls=0, seen=None),
    "in a module that draws random numbers": around(random_used),
    "in a module that may not be copied": made(lambda net, x: Uncopied(net)),
    "in a module that differentiates itself": around(own_gradient),
    "in a module that runs it twice and takes the second": around(lambda m, x: (m.net(x), m.net(x))[1]),
    "in a module that runs it under no_grad too": around(lambda m, x: (torch.no_grad()(m.net)(x), m.net(x))[1]),
    "in a module that copies its input": around(lambda m, x: m.net(x.clone())),
    "in a module that rebuilds the batch by rows": around(lambda m, x: torch.cat([m.net(row[None]) for row in x])),
    "in a module that splits the batch": around(lambda m, x: torch.cat([m.net(part) for part in x.split(2)])),
    "in a module that goes through a dict": around(lambda m, x: {"y": m.net(**{"x": x}) if False else m.net(x)}["y"]),
    "in a module that casts back and forth": around(lambda m, x: m.net(x.to(torch.complex128).real)),
    "in a module that reshapes": around(lambda m, x: m.net(x.flatten(1).unflatten(1, x.shape[1:]))),
    "in a module that checks its mode": around(lambda m, x: m.net(x) * (2 if m.training else 1)),
    "in a module that ignores grad mode": around(lambda m, x: torch.enable_grad()(m.net)(x)),
    "as a function": made(lambda net, x: lambda x: net(x)),
    "as a bound method": made(lambda net, x: Delegating(net).method),
    "as a callable object": made(lambda net, x: Delegating(net)),
    "as a partial function": made(lambda net, x: functools.partial(lambda scale, x: net(x) * scale, 1)),
    "as its forward": made(lambda net, x: net.forward),
    "as a traced module": made(traced),
    "with a traced part": made(scripted_part),
    "as a symbolic trace": made(lambda net, x: torch.fx.symbolic_trace(net)),
    "as an exported program": made(lambda net, x: torch.export.export(net, (x,)).module()),
    "as a compiled module": made(lambda net, x: torch.compile(net, backend="eager")),
    "as functional_call of it": made(
        lambda net, x: lambda x: torch.func.functional_call(net, dict(net.named_parameters()), (x,))
    ),
}
OTHER_ROWS = {
    "in a module that turns the batch round and back": around(lambda m, x: m.net(x.flip(0)).flip(0)),
    "in a module that pads the batch": around(lambda m, x: m.net(torch.cat([x, x[:1]]))[:-1]),
}
"""What a layer sees are other rows there, rightly."""
OF_THE_SAME = {
    "in a module that edits its input": (around(edited), around(lambda m, x: m.net(2 * x))),
    "in a module that edits its input inside": (
        around(lambda m, x: m.net(x.neg_().add_(0.5))),
        around(lambda m, x: m.net(0.5 - x)),
    ),
    "with a hook that doubles its output": (
        changed(lambda net: net.register_forward_hook(lambda m, args, output: 2 * output)),
        around(lambda m, x: 2 * m.net(x)),
    ),
    "with a hook that changes its input": (
        changed(lambda net: net.register_forward_pre_hook(lambda m, args: (args[0] * 0.5,))),
        around(lambda m, x: m.net(0.5 * x)),
    ),
    "in a module that adds a constant": (around(lambda m, x: m.net(x) + 3), around(lambda m, x: 3 + m.net(x))),
    "in a module with a skip": (around(lambda m, x: m.net(x + x)), around(lambda m, x: m.net(2 * x))),
}
PLANTED = {
    "that raises": raises(Planted("planted")),
    "that raises at its second run": raises(Planted("planted"), 1),
    "that raises at its third run": raises(Planted("planted"), 2),
    "that raises in its last layer": fails_inside(Planted("planted")),
    "that is interrupted": raises(KeyboardInterrupt()),
    "that is interrupted in its last layer": fails_inside(KeyboardInterrupt()),
    "that runs out of memory for good": raises(MemoryError("planted")),
}
WRONG = {
    "that returns NaN": around(lambda m, x: m.net(x) * torch.nan),
    "that returns NaN for one row": around(lambda m, x: m.net(x) + torch.tensor([0, torch.nan, 0]).to(x)[:, None]),
    "that returns infinity": around(lambda m, x: m.net(x) / 0),
    "that returns None": around(lambda m, x: None),
    "that returns a text": around(lambda m, x: "a text"),
    "that returns numbers": around(lambda m, x: m.net(x).tolist()),
    "that returns a numpy array": around(lambda m, x: m.net(x).detach().numpy()),
    "that returns nothing in a tuple": around(lambda m, x: ()),
    "that returns an empty dict": around(lambda m, x: {}),
    "that returns too many rows": around(lambda m, x: torch.cat([m.net(x), m.net(x)])),
    "that loses a row": around(lambda m, x: m.net(x)[1:]),
    "that returns no columns": around(lambda m, x: m.net(x)[:, :0]),
    "that returns complex numbers": around(lambda m, x: torch.complex(m.net(x), m.net(x))),
    "that is None": made(lambda net, x: None),
    "that is a name": made(lambda net, x: "resnet18"),
    "that is a class": made(lambda net, x: nn.Linear),
    "that is a number": made(lambda net, x: 7),
    "that is a list of layers": made(lambda net, x: [net]),
    "that is a state dict": made(lambda net, x: net.state_dict()),
}


def looks(method: Method) -> bool:
    """Whether a method runs the model for its answer; controls and LayerActivation need no finite score."""
    return method.name not in ("InputOnly", "RandomMap", "LayerActivation", "AttentionRollout", "EigenCAM") and (
        not method.name.startswith("Neuron")
    )


def of_inputs(method: Method) -> bool:
    """Whether it explains the inputs, not the rows that a layer has."""
    return not method.name.startswith(("Layer", "Internal", "Neuron")) or method.name == "LayerCAM"


SITUATIONS = [
    *(Situation("model", f"a network {name}", odd) for name, odd in COPY.items()),
    *(Situation("model", f"a network {name}", odd, suits=of_inputs) for name, odd in OTHER_ROWS.items()),
    *(Situation("model", f"a network {name}", *pair) for name, pair in OF_THE_SAME.items()),
    *(Situation("model", f"a network {name}", odd) for name, odd in PLANTED.items()),
    *(Situation("model", f"a network {name}", odd, refused=True, suits=looks) for name, odd in WRONG.items()),
]
