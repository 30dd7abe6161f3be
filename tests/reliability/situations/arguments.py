"""Further arguments of the model, and the settings of the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tests.odd_models.judging import Does
from tests.reliability.calls import Call, Method
from tests.reliability.judging import Situation

__all__ = ["SITUATIONS"]


def extra(make: Callable[[Tensor], Any], does: Callable[..., Any]) -> Callable[[Call, Method], Call]:
    """Return what gives the model further arguments; ``does`` is its forward."""

    def odd(call: Call, method: Method) -> Call:
        model = Does(does, net=call.model).eval()
        return replace(call, model=model, extra=make(call.inputs))

    return odd


def takes_extra(method: Method) -> bool:
    """Whether it passes further arguments on."""
    forward = method.explainer is not None or "additional_forward_args" in method.parameters
    return forward or method.name in ("NoiseTunnel", "AdaptiveSamples")


def scaled(m: Any, x: Tensor, *more: Any) -> Any:
    return m.net(x)


def edits(m: Any, x: Tensor, other: Tensor) -> Any:
    return m.net(x) + 0 * other.add_(1).sum()


def doubled(call: Call, method: Method) -> Call:
    return call.with_model(lambda net: Does(lambda m, x: 2 * m.net(x), net=net).eval())


UNUSED: dict[str, Callable[[Tensor], Any]] = {
    "None": lambda x: (None,),
    "a text": lambda x: ("a text",),
    "True": lambda x: (True,),
    "a number": lambda x: (3.5,),
    "a list": lambda x: ([1, 2],),
    "a dict": lambda x: ({"a": 1},),
    "a dict of tensors": lambda x: ({"a": torch.ones(len(x))},),
    "a tensor for each row": lambda x: (torch.ones(len(x), 2),),
    "a tensor of another length": lambda x: (torch.ones(7),),
    "a tensor without dimensions": lambda x: (torch.tensor(1.0),),
    "a tensor with a gradient": lambda x: (torch.ones(len(x), requires_grad=True),),
    "integers for each row": lambda x: (torch.arange(len(x)),),
    "infinities": lambda x: (torch.full((len(x), 2), -torch.inf),),
    "NaN": lambda x: (torch.full((3,), torch.nan),),
    "an object": lambda x: (object(),),
    "two": lambda x: (None, torch.ones(len(x))),
    "the inputs themselves": lambda x: (x,),
}
BAD_COUNTS = {"0": 0, "-1": -1, "NaN": float("nan"), "a text": "many", "True": True, "2.5": 2.5, "a list": [3]}
COUNTS = ("n_steps", "n_samples", "nt_samples", "n_masks", "n_iter", "grid_size", "most", "perturbations_per_eval",
          "internal_batch_size", "n_channels")  # fmt: skip
SIZES = ("noise_level", "stdevs", "probability", "epsilon", "stabilizer", "gamma", "discard_ratio", "tolerance")
BAD_SIZES = {"-1": -1.0, "NaN": float("nan"), "infinity": float("inf"), "a text": "much", "a list of texts": ["a"]}
BASELINES: dict[str, Callable[[Tensor], Any]] = {
    "zeros": torch.zeros_like,
    "a number": lambda x: 0.0,
    "an integer": lambda x: 0,
    "one row": lambda x: torch.zeros_like(x[:1]),
    "in a tuple": lambda x: (torch.zeros_like(x),),
    "zeros that require a gradient": lambda x: torch.zeros_like(x).requires_grad_(),
    "an expanded zero": lambda x: torch.zeros(1, dtype=x.dtype).expand_as(x),
}
BAD_BASELINES: dict[str, Callable[[Tensor], Any]] = {
    "of another shape": lambda x: torch.zeros(len(x), 2, dtype=x.dtype),
    "NaN": lambda x: torch.full_like(x, torch.nan),
    "infinity": lambda x: float("inf"),
    "a text": lambda x: "zeros",
    "a numpy array": lambda x: torch.zeros_like(x).numpy(),
    "complex": lambda x: torch.zeros_like(x).to(torch.complex128),
    "two of one": lambda x: (torch.zeros_like(x), torch.zeros_like(x)),
}
BAD_MASKS: dict[str, Callable[[Tensor], Any]] = {
    "of another shape": lambda x: torch.zeros(1, 2, dtype=torch.long),
    "NaN": lambda x: torch.full_like(x[:1], torch.nan),
    "a text": lambda x: "mask",
    "a list": lambda x: [0, 1],
}
BAD_LAYERS: dict[str, Any] = {
    "a name that is not there": "no_such_layer",
    "a misspelt name": "frist",
    "a number": 3,
    "a layer of another model": nn.Linear(2, 2),
    "a class": nn.Linear,
    "an empty list": [],
}


def given(names: tuple[str, ...], value: Any) -> Callable[[Call, Method], Call]:
    """Return what gives the first of these settings that a method has a value."""
    return lambda call, method: replace(call, given={next(n for n in names if n in method.parameters): value})


def made(name: str, make: Callable[[Tensor], Any]) -> Callable[[Call, Method], Call]:
    return lambda call, method: replace(call, given={name: make(call.inputs)})


def has(*names: str) -> Callable[[Method], bool]:
    return lambda method: any(name in method.parameters for name in names)


def compared(method: Method) -> bool:
    """Whether it takes one baseline for each example, not rows that are averaged over."""
    averages = ("Shap" in method.name and method.name not in ("KernelShap",)) or method.name == "ShapleyValueSampling"
    return "baselines" in method.parameters and not averages


def at_layer(layer: Any) -> Callable[[Call, Method], Call]:
    return lambda call, method: replace(call, layer=layer)


def named(call: Call, method: Method) -> Call:
    return replace(call, layer=next(name for name, m in call.model.named_modules() if m is call.layer))


def unknown(name: str) -> Callable[[Call, Method], Call]:
    return lambda call, method: replace(call, given={name: 1})


def of_library(method: Method) -> bool:
    """Whether it names its arguments; a noise tunnel passes them on."""
    return method.name not in ("NoiseTunnel", "AdaptiveSamples", "AdaptiveSteps")


SITUATIONS = [
    *(
        Situation("arguments", f"a further argument that is {name}", extra(make, scaled), suits=takes_extra)
        for name, make in UNUSED.items()
    ),
    Situation(
        "arguments", "a further argument that scales", extra(lambda x: (2.0,), lambda m, x, k: k * m.net(x)), doubled,
        suits=takes_extra,
    ),
    Situation(
        "arguments", "a further argument that scales each row",
        extra(lambda x: (torch.full((len(x), 1), 2.0, dtype=x.dtype),), lambda m, x, k: k * m.net(x)), doubled,
        suits=takes_extra,
    ),
    Situation(
        "arguments", "a further argument that is edited", extra(lambda x: (torch.zeros(len(x)),), edits),
        suits=takes_extra,
    ),
    Situation(
        "arguments", "a further argument that the model lacks",
        lambda call, method: replace(call, extra=(1,)), refused=True,
        suits=lambda method: takes_extra(method) and method.name not in ("InputOnly", "RandomMap"),
    ),
    *(
        Situation("settings", f"a count that is {name}", given(COUNTS, value), refused=True, suits=has(*COUNTS))
        for name, value in BAD_COUNTS.items()
    ),
    *(
        Situation("settings", f"a size that is {name}", given(SIZES, value), refused=True, suits=has(*SIZES))
        for name, value in BAD_SIZES.items()
    ),
    *(
        Situation("settings", f"a baseline that is {name}", made("baselines", make), suits=compared)
        for name, make in BASELINES.items()
    ),
    *(
        Situation("settings", f"a baseline that is {name}", made("baselines", make), refused=True,
                  suits=has("baselines"))
        for name, make in BAD_BASELINES.items()
    ),
    *(
        Situation("settings", f"a feature mask that is {name}", made("feature_mask", make), refused=True,
                  suits=has("feature_mask"))
        for name, make in BAD_MASKS.items()
    ),
    *(
        Situation("settings", f"a layer that is {name}", at_layer(layer), refused=True,
                  suits=lambda method: method.at_a_layer)
        for name, layer in BAD_LAYERS.items()
    ),
    Situation("settings", "a layer by its name", named, suits=lambda method: method.at_a_layer),
    *(
        Situation("settings", f"an unknown argument, {name}", unknown(name), refused=True, suits=of_library)
        for name in ("n_step", "windows_size", "sed", "no_such_thing", "noise_levle")
    ),
]  # fmt: skip
