"""How many Python calls one explanation takes: of this package's functions, and of all (torch's among them).

    python benchmarks/calls.py [--by-function 30]

The model is small (two layers), so that what surrounds the model's own work is seen. Each trace is run twice before it
is counted: what is worked out once per model or per process is no part of it. Calls of builtins are not counted.
``deepest`` is the greatest number of this package's frames on the stack at once.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import captum.attr
import torch
from torch import nn

import pnpxai

OWN = os.path.dirname(pnpxai.__file__) + os.sep


@dataclass
class Calls:
    """What was called.

    Attributes:
        total: number of calls of Python functions.
        own: number of these that are functions of the traced package.
        deepest: the greatest number of own frames on the stack at once.
        files: the traced package's files that were called.
        functions: number of calls of each own function.
    """

    total: int = 0
    own: int = 0
    deepest: int = 0
    files: set[str] = field(default_factory=set)
    functions: collections.Counter[str] = field(default_factory=collections.Counter)


def counted(run: Callable[[], Any], own: str = OWN) -> Calls:
    """Return what a run calls; ``own`` is the folder of the traced package."""
    calls, depth = Calls(), 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal depth
        name = frame.f_code.co_filename
        if event == "return" and name.startswith(own):
            depth -= 1
        if event != "call":
            return
        calls.total += 1
        if name.startswith(own):
            depth += 1
            calls.own += 1
            calls.deepest = max(calls.deepest, depth)
            calls.files.add(name)
            calls.functions[f"{name.removeprefix(own)}:{frame.f_code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--by-function", type=int, default=0, metavar="N", help="show the N functions called most")
    shown = parser.parse_args().by_function
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    x, targets = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    auto = pnpxai.auto_explain(model, x)
    gradient = pnpxai.explainers.Gradient(model)
    captum_folder = os.path.dirname(os.path.dirname(captum.attr.__file__)) + os.sep
    saliency = captum.attr.Saliency(model)
    traces: list[tuple[str, Callable[[], Any], str]] = [
        ('auto.explain("Gradient")', lambda: auto.explain("Gradient"), OWN),
        ("Gradient.attribute", lambda: gradient.attribute(x, targets), OWN),
        ("captum Saliency.attribute", lambda: saliency.attribute(x.clone(), targets, abs=False), captum_folder),
    ]
    print(f"{'':<28}{'own':>7}{'all':>7}{'deepest':>9}{'files':>7}")
    for label, run, own in traces:
        for _ in range(2):
            run()
        calls = counted(run, own)
        print(f"{label:<28}{calls.own:>7}{calls.total:>7}{calls.deepest:>9}{len(calls.files):>7}")
        for name, times in calls.functions.most_common(shown):
            print(f"    {times:>5}  {name}")


if __name__ == "__main__":
    main()
