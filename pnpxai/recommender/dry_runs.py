"""Tries explainers on one example: what fits is what was seen to explain it within its law, in so many seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.declare.marks import Settings
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.explain import explain
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.explainers.results.gap import TOLERANCE, missed
from pnpxai.metrics.selection import as_explainer
from pnpxai.model_types import Model, ModelInputs
from pnpxai.targets import TargetValue
from pnpxai.tensors import batch_size, flat, map_tensors, take_rows

__all__ = ["DryRun", "dry_run", "outside_law", "smallest"]

_ROWS, _QUICK_SECONDS = 64, 2.0
"""Rows that a default may run, and seconds; what takes more is tried with its smallest settings."""
_SECONDS = 20.0
"""Seconds that one try may take by its cost; what takes more is not tried, and not recommended."""
_SIDE, _LONG_SIDE = 64, 96
"""The shorter side of a picture's short version, and from which on there is one."""
_TOKENS, _MANY_TOKENS = 32, 48
"""Tokens of a text's short version, and from which on there is one."""
_GRADIENT = 3
"""Forward passes that a forward and a backward pass together take."""


@dataclass(frozen=True)
class DryRun:
    """What was seen of explainers on one example.

    Attributes:
        seconds: for each explainer that explained it, by name, how long one example takes with the defaults; where a
            short version of the example or smaller settings were tried, this is extrapolated.
        reasons: why the others did not.
        untried: why nothing could be tried; empty if it was.
    """

    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)
    reasons: Mapping[str, str] = field(default_factory=dict)
    untried: str = ""


def dry_run(
    explainers: Sequence[type[Explainer]],
    model: Model,
    inputs: ModelInputs,
    targets: Target = None,
    settings: Mapping[str, object] | None = None,
) -> DryRun:
    """Let each explainer explain the first example of a batch, or a short version of it, one after the other.

    The short version is a picture of 64 pixels at the shorter side, or the first 32 tokens of a text, where the model
    takes it. An explainer whose default runs more than 64 rows, or over 2 seconds, is tried with its smallest settings;
    one that would even so take more than 20 seconds is not tried. Nothing is raised: what an explainer raises is its
    reason.

    Args:
        explainers: the classes.
        model: the model.
        inputs: a batch, as explainers take it.
        targets: which output of each example; by default, where there are several, the largest.
        settings: settings that explainers share, where they have them.
    """
    try:
        probe = _Probe.of(model, inputs, targets, dict(settings or {}))
    except ArgumentError as problem:
        return DryRun(untried=str(problem))
    seconds: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for cls in explainers:
        outcome = probe.tried(cls)
        if isinstance(outcome, str):
            reasons[cls.__name__] = outcome
        else:
            seconds[cls.__name__] = outcome
    return DryRun(seconds, reasons)


@dataclass(frozen=True)
class _Example:
    """One example as explainers are tried on it.

    Attributes:
        inputs: the model's arguments, of one example.
        targets: which output is explained.
        seconds: what one forward pass takes.
    """

    inputs: ModelInputs
    targets: Target
    seconds: float


@dataclass(frozen=True)
class _Probe:
    """One example, in full and, where the model takes it, in short.

    Attributes:
        model: the model.
        settings: what explainers share.
        full: the example.
        short: a short version.
    """

    model: Model
    settings: Settings
    full: _Example
    short: _Example | None

    @classmethod
    def of(cls, model: Model, inputs: ModelInputs, targets: Target, settings: Settings) -> _Probe:
        reader = _reader(model, settings)
        size = batch_size(reader.arguments(inputs).explained)
        score = reader.arguments(inputs).score(model, targets)
        first = torch.tensor([0])
        own = score.given_target(first) if size > 1 else targets
        one = take_rows(inputs, first, size)
        full = _timed(reader, one, own)
        return cls(model, settings, full, _short(reader, one, own))

    def tried(self, cls: type[Explainer]) -> float | str:
        """Return how many seconds one example takes, or why it has no map."""
        outcome = self._on(self.short, cls) if self.short is not None else ""
        return self._on(self.full, cls) if isinstance(outcome, str) else outcome

    def _on(self, example: _Example, cls: type[Explainer]) -> float | str:
        try:
            explainer = as_explainer(cls, self.model, self.settings)
            rows, passes = explainer.cost(example.inputs), _GRADIENT if explainer.needs_gradient else 1
            short = rows <= _ROWS and rows * passes * example.seconds <= _QUICK_SECONDS
            small = explainer if short else smallest(explainer)
            few = rows if short else small.cost(example.inputs)
            takes = few * passes * example.seconds
            if takes > _SECONDS:
                return f"not tried: one example takes about {takes:.0f} s ({few:,} rows); explain it by its name"
            start = time.perf_counter()
            explanation = explain(small, example.inputs, example.targets, 0, narrowed=False)
            seconds = time.perf_counter() - start
        except Exception as problem:  # whatever it is, it is why the explainer does not fit
            first = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
            return first if isinstance(problem, ArgumentError) else f"failed: {type(problem).__name__}: {first}"
        if broken := outside_law(explainer, explanation):
            return broken
        beside = max(seconds - few * passes * example.seconds, 0.0)
        return seconds if small is explainer and example is self.full else beside + rows * passes * self.full.seconds


def _reader(model: Model, settings: Settings) -> Explainer:
    """Return an explainer that reads inputs as all others will."""
    from pnpxai.explainers.controls import InputOnly

    extractors = {name: value for name, value in settings.items() if name.endswith("_extractor")}
    return InputOnly(model, **extractors)


def _timed(reader: Explainer, inputs: ModelInputs, targets: Target) -> _Example:
    """Return the example with what a forward pass takes.

    Raises:
        ArgumentError: the target does not suit the output.
    """
    arguments = reader.arguments(inputs)
    with borrowed(reader.model, gradients=False), torch.no_grad():
        score = arguments.score(reader.model, targets)
        output = score.checked_output(arguments.explained)
        seconds = float("inf")
        for _ in range(2):  # the first pass, above, warmed up
            start = time.perf_counter()
            score.checked_output(arguments.explained)
            seconds = min(seconds, time.perf_counter() - start)
        if targets is not None:
            score.of_output(output, arguments.explained)
    return _Example(inputs, targets, seconds)


def _short(reader: Explainer, inputs: ModelInputs, targets: Target) -> _Example | None:
    """Return a short version of an example, None if it is short or the model does not take it shorter."""
    explained = reader.arguments(inputs).explained
    if len(explained) != 1:
        return None
    cut = _cut(explained[0], inputs)
    if cut is None:
        return None
    if isinstance(targets, TargetValue) and explained[0].ndim == 4:
        targets = targets.scaled(_SIDE / min(explained[0].shape[2:]))
    try:
        return _timed(reader, cut, targets)
    except Exception:  # it is the model's size, or the target names places of the whole example
        return None


def _cut(x: Tensor, inputs: ModelInputs) -> ModelInputs | None:
    """Return the inputs with pictures made smaller and texts cut, None if ``x`` is neither or short already."""
    if x.ndim == 4 and x.is_floating_point() and min(x.shape[2:]) >= _LONG_SIDE:
        sides = [round(side * _SIDE / min(x.shape[2:])) for side in x.shape[2:]]

        def smaller(t: Tensor) -> Tensor:
            picture = t.ndim == 4 and t.shape[2:] == x.shape[2:] and t.is_floating_point()
            return torch.nn.functional.interpolate(t, sides, mode="area") if picture else t

        return map_tensors(smaller, inputs)
    if x.ndim == 2 and not x.is_floating_point() and x.shape[1] >= _MANY_TOKENS:
        padded = [t for t in flat(inputs) if t is not x and t.shape == x.shape and not t[0, 0] and t[0, -1]]
        part = slice(-_TOKENS, None) if padded else slice(_TOKENS)
        return map_tensors(lambda t: t[:, part] if t.shape == x.shape else t, inputs)
    return None


def smallest(explainer: Explainer) -> Explainer:
    """Return the explainer with the settings that cost least."""
    ranges = {n: spec["low"] for n, (kind, spec) in explainer.get_tunables().items() if kind is int and "low" in spec}
    lower = {name: low for name, low in ranges.items() if low < getattr(explainer, name)}
    return explainer.replace(**lower, **explainer.smallest)


def outside_law(explainer: Explainer, explanation: Explanation) -> str:
    """Return how far a map misses a sum that the method promises exactly; empty if it keeps to it."""
    if explanation.gap is None or explanation.scale is None or explainer.narrows_gap is not None:
        return ""
    share = float(missed(explanation.gap, explanation.scale).max())
    if share <= TOLERANCE:
        return ""
    return f"misses the sum that it promises by {share:.2g} of the score's scale on the example that was tried"
