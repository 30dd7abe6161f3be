"""Where a run folder gets its keys: what an example, an explainer and a metric are known by, so that a run goes on.

An example is known by its content, its occurrence and its target; an explainer by its settings, its source if it is not
this package's, the model, the seed, the kind of device and this package's version; a metric by its settings and source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

import pnpxai
from pnpxai.declare.encoding import encoded
from pnpxai.declare.registry import qualified_name
from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.keys import code_key, content_key, example_keys, model_key, settings_key
from pnpxai.errors import ArgumentError
from pnpxai.examples import Batch
from pnpxai.explainers.results.descriptions import described
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.model_types import Model, ModelInputs
from pnpxai.targets import TargetValue
from pnpxai.tensors import flat

__all__ = ["explainer_key", "identities", "masked_identities", "metric_key", "run_model_key", "settings_of"]


def identities(batch: Batch, own_targets: bool, stored: bool) -> tuple[str, ...]:
    """Return what each example is known by: its content, its occurrence, and its target.

    Args:
        batch: the examples.
        own_targets: True if the examples have targets of their own; False if the model's output says them.
        stored: True if the identity must hold for longer than this process.

    Raises:
        ArgumentError: it must, and the target is a function without a name to be found again by.
    """
    if not own_targets or batch.targets is None:
        return batch.keys
    if isinstance(batch.targets, TargetValue) and batch.targets.is_per_example:
        own = [batch.targets.take(torch.tensor([row])).to_dict() for row in range(len(batch))]
        return tuple(f"{key}/{settings_key(target)[:8]}" for key, target in zip(batch.keys, own, strict=True))
    if callable(batch.targets):
        name = settings_key({"target": encoded(batch.targets, "targets", None) if stored else repr(batch.targets)})
        return tuple(f"{key}/{name[:8]}" for key in batch.keys)
    own_keys = [content_key(torch.as_tensor(target))[:8] for target in batch.targets]
    return tuple(f"{key}/{target}" for key, target in zip(batch.keys, own_keys, strict=True))


def masked_identities(batch: Batch, plain: Sequence[str]) -> tuple[str, ...]:
    """Return what each example is known by together with its mask of what matters.

    Args:
        batch: the examples.
        plain: their identities without masks.
    """
    masks = flat(batch.masks)
    if not masks:
        return tuple(plain)
    return tuple(f"{name}/{key[:8]}" for name, key in zip(plain, example_keys(masks), strict=True))


def explainer_key(
    candidate: Candidate,
    settings: Mapping[str, object],
    facts: Mapping[str, object],
    target_extractor: Callable[[ModelInputs], ModelInputs] | None,
    *,
    stored: bool,
) -> str:
    """Return what a candidate is known by; equal keys mean equal maps and values.

    Args:
        candidate: the candidate.
        settings: its settings.
        facts: the run's model, seed and device.
        target_extractor: says what is explained, where examples have no targets.
        stored: True if the key must hold for longer than this process.
    """
    targets: object = "given"
    if target_extractor is not None:
        targets = encoded(target_extractor, "target_extractor", None) if stored else None
    of_run = {name: facts[name] for name in ("model", "seed", "device")}
    of_run |= {"version": pnpxai.__version__, "targets": targets}
    return settings_key(of_run | dict(settings) | {"code": code_key(candidate.explainer, candidate.postprocessor)})


def metric_key(metric: Metric, settings: Mapping[str, object]) -> str:
    """Return what a metric is known by, given its settings."""
    return settings_key({**settings, "code": code_key(metric)})


def settings_of(member: Candidate | Metric, *, stored: bool) -> Mapping[str, object]:
    """Return settings, ready for JSON; where nothing is stored, also of what JSON cannot have by a name.

    Raises:
        ArgumentError: they are to be stored, and a setting is a function without a name to be found again by.
    """
    try:
        return member.settings() if isinstance(member, Candidate) else member.to_dict()
    except ArgumentError:
        if stored:
            raise
    if isinstance(member, Metric):
        return {"type": type(member).__name__} | described(member)
    parts = {"explainer": member.explainer, "postprocessor": member.postprocessor}
    return {name: {"type": type(part).__name__} | described(part) for name, part in parts.items()}


def run_model_key(model: Model, model_id: str | None, *, stored: bool) -> str:
    """Return a key of the model; where nothing is stored, of a plain function its name."""
    unseen = model_id is None and not stored and module_of(model) is None
    return qualified_name(model) if unseen else model_key(model, model_id)
