"""What the model returns, and what of it is explained."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.reliability.calls import Call, Method
from tests.reliability.judging import Situation
from tests.reliability.situations.models import around

__all__ = ["SITUATIONS"]

Pair = namedtuple("Pair", "logits hidden")


@dataclass
class Output:
    """Not a mapping, but it has logits."""

    logits: Tensor


RETURNED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "a tuple": lambda y, x: (y, x),
    "a tuple of one": lambda y, x: (y,),
    "a list": lambda y, x: [y, x],
    "a dict": lambda y, x: {"logits": y, "hidden": x},
    "an ordered dict": lambda y, x: OrderedDict(logits=y, hidden=x),
    "a named tuple": Pair,
    "a data class": lambda y, x: Output(y),
    "a tuple in a tuple": lambda y, x: ((y, x), x),
    "a tensor beside None": lambda y, x: (y, None),
    "a tensor beside a text": lambda y, x: (y, "a text"),
    "a view": lambda y, x: y[:, :],
    "an expanded tensor": lambda y, x: y[:, :, None].expand(-1, -1, 2)[..., 0],
    "a tensor of a class of its own": lambda y, x: y.as_subclass(Tensor),
}
SHAPED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[list[int]], Any]]] = {
    "positions behind classes": (lambda y: torch.stack([0 * y, y], 2), lambda t: [(k, 1) for k in t]),
    "positions before classes": (lambda y: torch.stack([0 * y, y], 1), lambda t: [(1, k) for k in t]),
    "pixels": (lambda y: y[:, :, None, None].expand(-1, -1, 2, 2), lambda t: [(k, 1, 0) for k in t]),
    "one column each": (lambda y: y[:, :, None], lambda t: [(k, 0) for k in t]),
}


def chosen(make: Callable[[Tensor, list[int]], Tensor]) -> Callable[[Call, Method], Call]:
    """Return what makes the model return the explained number of each row itself."""

    def odd(call: Call, method: Method) -> Call:
        one = call.target[0]
        return replace(around(lambda m, x: make(m.net(x), one))(call, method), target=None)

    return odd


def of_one(call: Call, method: Method) -> Call:
    return replace(call, target=[call.target[0]] * len(call.target))


def shaped(make: Callable[[Tensor], Tensor], ask: Callable[[list[int]], Any]) -> Callable[[Call, Method], Call]:
    return lambda call, method: replace(around(lambda m, x: make(m.net(x)))(call, method), target=ask(call.target))


def target(make: Callable[[list[int]], Any]) -> Callable[[Call, Method], Call]:
    return lambda call, method: replace(call, target=make(call.target))


def has_target(method: Method) -> bool:
    """Whether a target is asked for."""
    if method.explainer is not None:
        return method.explainer.explains_target and not method.explainer.control
    if method.name in ("EigenCAM", "AttentionRollout"):  # which are of no class
        return False
    return "target" in method.parameters or method.name in ("NoiseTunnel", "AdaptiveSamples")


TARGETS = {
    "a tensor": torch.tensor,
    "a tensor of int32": lambda t: torch.tensor(t, dtype=torch.int32),
    "a tensor of int8": lambda t: torch.tensor(t, dtype=torch.int8),
    "a column of a tensor": lambda t: torch.tensor(t)[:, None],
    "a numpy array": np.array,
    "a list of numpy integers": lambda t: [np.int64(k) for k in t],
    "a list of tensors": lambda t: [torch.tensor(k) for k in t],
    "a list of tuples of one": lambda t: [(k,) for k in t],
    "counted from the end": lambda t: [k - 4 for k in t],
    "a range": lambda t: range(t[0], t[-1] + 1),
}
FOR_ALL = {
    "an integer": lambda t: t[0],
    "a numpy integer": lambda t: np.int32(t[0]),
    "a tensor without dimensions": lambda t: torch.tensor(t[0]),
    "a tensor of one": lambda t: torch.tensor([t[0]]),
    "a tuple of one": lambda t: (t[0],),
    "a function of all rows": lambda t: lambda y: y[:, t[0]],
    "a function that gives columns": lambda t: lambda y: y[:, t[0] : t[0] + 1],
}
REFUSED = {
    "out of range": lambda t: [*t[:-1], 99],
    "below the range": lambda t: -99,
    "too short": lambda t: t[:-1],
    "too long": lambda t: [*t, 0],
    "a float": lambda t: 1.0,
    "a tensor of floats": lambda t: torch.tensor(t, dtype=torch.float32),
    "a boolean": lambda t: True,
    "a tensor of booleans": lambda t: torch.tensor(t) > 0,
    "a text": lambda t: "cat",
    "a list of texts": lambda t: ["a"] * len(t),
    "NaN": lambda t: float("nan"),
    "an empty list": lambda t: [],
    "a dict": lambda t: {},
    "a slice": lambda t: slice(0, 1),
    "one-hot": lambda t: torch.eye(4)[t],
    "missing": lambda t: None,
    "a function that returns None": lambda t: lambda y: None,
    "a function that returns numbers": lambda t: lambda y: y[:, 0].tolist(),
    "an index too many": lambda t: [(k, 0) for k in t],
}


SITUATIONS = [
    *(
        Situation("output", f"a model that returns {name}", around(lambda m, x, make=make: make(m.net(x), x)))
        for name, make in RETURNED.items()
    ),
    *(
        Situation("output", f"a model whose output has {name}", shaped(*pair), suits=has_target)
        for name, pair in SHAPED.items()
    ),
    Situation("output", "a model with one column", chosen(lambda y, k: y[:, k : k + 1]), of_one, suits=has_target),
    Situation("output", "a model with one number for each row", chosen(lambda y, k: y[:, k]), of_one, suits=has_target),
    *(
        Situation("target", f"a target that is {name}", target(make), suits=has_target)
        for name, make in TARGETS.items()
    ),
    *(
        Situation("target", f"a target that is {name}", target(make), of_one, suits=has_target)
        for name, make in FOR_ALL.items()
    ),
    *(
        Situation("target", f"a target that is {name}", target(make), refused=True, suits=has_target)
        for name, make in REFUSED.items()
    ),
]
