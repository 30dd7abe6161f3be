"""What the inputs are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.reliability.calls import Call, Method
from tests.reliability.judging import Situation

__all__ = ["SITUATIONS"]


class Named(Tensor):
    """A tensor of a class of one's own."""


def used(x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    leaf.grad = torch.ones_like(x)
    return leaf


def hooked(x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    leaf.register_hook(lambda gradient: gradient * 7)
    return leaf


def in_inference(x: Tensor) -> Tensor:
    with torch.inference_mode():
        return x.clone()


def every_second(x: Tensor) -> Tensor:
    return torch.stack([x, -x], 1).flatten(0, 1)[::2]


def inside_larger(x: Tensor) -> Tensor:
    return torch.nn.functional.pad(x, (2, 3))[..., 2:-3]


def strided(x: Tensor) -> Tensor:
    return x.transpose(0, -1).contiguous().transpose(0, -1)


def from_numpy(x: Tensor) -> Tensor:
    array = x.numpy().copy()
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)


def inside(make: Callable[[Tensor], Any]) -> Callable[[Call, Method], Call]:
    return lambda call, method: call.with_inputs(make)


def rows(make: Callable[[Tensor], Tensor]) -> Callable[[Call, Method], Call]:
    """Return what changes the rows, and their targets with them."""

    def change(call: Call, method: Method) -> Call:
        order = make(torch.arange(len(call.inputs)))
        return Call(call.model, call.inputs[order], [call.target[k] for k in order], call.extra, call.layer)

    return change


SAME = {
    "requires a gradient": lambda x: x.clone().requires_grad_(),
    "requires a gradient and has one": used,
    "is part of a graph": lambda x: x.clone().requires_grad_() * 1,
    "has a hook that changes gradients": hooked,
    "was made in inference mode": in_inference,
    "is a parameter": nn.Parameter,
    "is a parameter that is frozen": lambda x: nn.Parameter(x, requires_grad=False),
    "is of a class of one's own": lambda x: x.as_subclass(Named),
    "is not contiguous": strided,
    "is a slice of a larger tensor": inside_larger,
    "is every second row of another": every_second,
    "is read-only memory of numpy": from_numpy,
    "is in shared memory": lambda x: x.clone().share_memory_(),
    "is a view of a flat tensor": lambda x: x.flatten().view(x.shape),
    "is a negated view": lambda x: torch._neg_view(-x),
    "is the real part of complex numbers": lambda x: torch.complex(x, -x).real,
    "is a detached view": lambda x: x.detach(),
    "was split from a longer batch": lambda x: torch.cat([x, x]).split(len(x))[0],
    "is in a tuple of one": lambda x: (x,),
    "is in channels-last memory": lambda x: x.to(memory_format=torch.channels_last) if x.ndim == 4 else x,
}
WITH_ROWS = {
    "has one row": lambda k: k[:1],
    "has the rows turned round": lambda k: k.flip(0),
    "has a row twice": lambda k: torch.cat([k, k[:1]]),
    "has thirty rows": lambda k: k.repeat(10),
}
VALUES = {
    "is all zeros": torch.zeros_like,
    "is all ones": torch.ones_like,
    "has a row of zeros": lambda x: torch.cat([torch.zeros_like(x[:1]), x[1:]]),
    "is a thousand times as large": lambda x: 1000 * x,
    "is a millionth as large": lambda x: 1e-6 * x,
    "has negative zeros": lambda x: -torch.zeros_like(x),
    "has denormal numbers": lambda x: torch.full_like(x, 1e-310),
}
REFUSED = {
    "holds NaN": lambda x: torch.full_like(x, torch.nan),
    "holds one NaN": lambda x: x.index_fill(0, torch.tensor([1]), torch.nan),
    "holds infinity": lambda x: torch.full_like(x, torch.inf),
    "holds minus infinity in one row": lambda x: x.index_fill(0, torch.tensor([0]), -torch.inf),
    "is complex": lambda x: torch.complex(x, x),
    "is empty": lambda x: x[:0],
    "has a batch dimension too many": lambda x: x[None, None],
    "is None": lambda x: None,
    "is a list of lists": lambda x: x.tolist(),
    "is a numpy array": lambda x: x.numpy(),
    "is an object array": lambda x: np.array([None, "a"], dtype=object),
    "is a text": lambda x: "a text",
    "is a number": lambda x: 3.5,
    "is a set": lambda x: {1, 2},
    "is a dict of another model": lambda x: {"nothing": x},
    "is an empty tuple": lambda x: (),
    "is given twice": lambda x: (x, x),
    "is on the meta device": lambda x: torch.empty_like(x, device="meta"),
    "is sparse": lambda x: x.to_sparse(),
    "is quantised": lambda x: torch.quantize_per_tensor(x.float(), 0.1, 0, torch.qint8),
    "is a function": lambda x: lambda: x,
    "is a generator": lambda x: (row for row in x),
}
HALVES = {"float32": (torch.float32, 1e-3), "bfloat16": (torch.bfloat16, 0.3), "float16": (torch.float16, 0.1)}


def of_dtype(dtype: torch.dtype, values: torch.dtype | None = None) -> Callable[[Call, Method], Call]:
    """Return what gives model and inputs a dtype, holding numbers that the coarser one has."""

    def change(call: Call, method: Method) -> Call:
        call.model.to(values or dtype).to(dtype)
        return call.with_inputs(lambda x: x.to(values or dtype).to(dtype))

    return change


def no_draws(method: Method) -> bool:
    """Draws go by the bits of an example, which another dtype changes; coarse scores make orders of their own."""
    drawn = {"GradientShap", "NoiseTunnel", "KernelShap", "Lime", "RISE", "SmoothGrad", "VarGrad", "SmoothGradSquared"}
    drawn |= {"AdaptiveSamples", "ShapleyValueSampling", "FeaturePermutation", "Ensemble", "RandomMap", "ShapleyValues"}
    drawn |= {"LayerGradientShap", "NeuronGradientShap", "LayerFeaturePermutation"}
    return method.name not in drawn


def compared_in(dtype: torch.dtype) -> Callable[[Call, Method], Call]:
    return of_dtype(torch.float64, dtype)


SITUATIONS = [
    *(Situation("inputs", f"an input that {name}", inside(make)) for name, make in SAME.items()),
    *(Situation("inputs", f"a batch that {name}", rows(make), rows(make)) for name, make in WITH_ROWS.items()),
    *(Situation("inputs", f"an input that {name}", inside(make), inside(make)) for name, make in VALUES.items()),
    Situation(
        "inputs",
        "an input that has a feature too many",
        inside(lambda x: torch.cat([x, x[..., :1]], -1)),
        refused=True,
        suits=lambda method: method.case == "mlp" and method.runs_the_model,
    ),
    Situation(
        "inputs",
        "an input that has no batch dimension",
        inside(lambda x: x[0]),
        refused=True,
        suits=lambda method: method.runs_the_model and method.name != "LayerActivation",  # which asks for no examples
    ),
    *(
        Situation(
            "inputs", f"an input that {name}", inside(make), refused=True, suits=lambda method: method.runs_the_model
        )
        for name, make in REFUSED.items()
    ),
    *(
        Situation(
            "inputs", f"model and input of {name}", of_dtype(dtype), compared_in(dtype), suits=no_draws, tolerance=limit
        )
        for name, (dtype, limit) in HALVES.items()
    ),
]
