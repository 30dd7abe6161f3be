"""What an explainer refuses, with the reason, and a run without the refusal that shows the reason to be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch

from pnpxai.declare.registry import by_name
from pnpxai.detector import detect
from pnpxai.explainers.base import Explainer
from pnpxai.testing.subject import Broken
from pnpxai.testing.zoo import Case
from tests.laws.attention import caught
from tests.laws.full_grad import left_out
from tests.laws.gradients import guided_gradient
from tests.laws.trial import Trial, deviation
from tests.mirror import stated

__all__ = ["REFUSALS", "Refusal", "allowed", "reason_against", "shown"]

Proof = Callable[[Trial], str | None]
"""Says what a run without the refusal gives, None where nothing is wrong with that."""


@dataclass(frozen=True)
class Refusal:
    """What an explainer is allowed to refuse.

    Attributes:
        why: what it cannot be right about.
        on: the architectures.
        proof: shows it.
    """

    why: str
    on: frozenset[str]
    proof: Proof


def fails(trial: Trial) -> str | None:
    """The run ends in an error."""
    try:
        trial.maps  # noqa: B018  (computed on first use)
    except Exception as error:
        return f"the run ends in {type(error).__name__}: {error}"
    return None


def is_same_as(name: str, **changes: Any) -> Proof:
    """The map is that of another explainer."""

    def proof(trial: Trial) -> str | None:
        off = deviation(trial.maps, Trial(by_name(Explainer, name, "name"), trial.case, changes).maps)
        return f"the map is that of {name} (off by {off:.0e})" if off < 1e-8 else None

    return proof


def has_no_relu(trial: Trial) -> str | None:
    """With every ReLU replaced by a guided one, autograd gives the plain gradient."""
    off = deviation(guided_gradient(trial), trial.gradient())
    return f"with guided ReLUs autograd gives the plain gradient (off by {off:.0e})" if off < 1e-8 else None


def runs_twice(trial: Trial) -> str | None:
    """Every convolution runs more than once, so that there is no single map."""
    runs: Counter[str] = Counter()
    convolutions = {n: m for n, m in trial.case.model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    handles = [
        m.register_forward_hook(lambda module, args, output, n=n: runs.update([n])) for n, m in convolutions.items()
    ]
    try:
        trial.score(trial.values)
    finally:
        for handle in handles:
            handle.remove()
    return f"the convolution runs {min(runs.values())} times" if min(runs.values()) > 1 else None


def is_windowed(trial: Trial) -> str | None:
    """Attention does not reach from any patch to any other."""
    rows = max(len(weights) for weights in caught(trial)[0])
    return f"attention runs on {rows} windows of {len(trial.case)} examples" if rows > len(trial.case) else None


def is_silent(trial: Trial) -> str | None:
    """A map is zero everywhere."""
    for k in range(len(trial.case)):
        if not any(bool(m[k].any()) for m in trial.maps):
            return f"the map of example {k} is zero everywhere"
    return None


def loses_biases(trial: Trial) -> str | None:
    """Much of what biases contribute is at tokens or units, of which no map is made."""
    share = left_out(trial)
    return f"{share:.0%} of what biases contribute has no positions of the input" if share > 0.1 else None


_TEXTS = frozenset({"tokens", "bert", "gpt2"})
_NO_CONVOLUTION = frozenset({"mlp", "lstm", "gru"}) | _TEXTS
_TRANSFORMERS = frozenset({"vit", "torchvision_vit", "swin", "timm_vit", "bert", "gpt2"})
_NO_ATTENTION = frozenset(
    {"mlp", "cnn", "skip_cnn", "series", "two_inputs", "tokens", "resnet18", "lstm", "gru", "siamese", "vgg"}
    | {"efficientnet", "convnext"}
)
_NO_RELU = _TRANSFORMERS | {"tokens", "lstm", "gru", "efficientnet", "convnext"}

_NO_MAP = Refusal("no layer has channels at positions of the input", _NO_CONVOLUTION, fails)
_TWO_MAPS = Refusal("its layers run twice, once for each picture", frozenset({"siamese"}), runs_twice)
_PLAIN = Refusal("without a ReLU it is the plain gradient", _NO_RELU, has_no_relu)
_WINDOWS = Refusal("attention within windows says nothing of other windows", frozenset({"swin"}), is_windowed)
_ATTENTION = (Refusal("there is no attention", _NO_ATTENTION, fails), _WINDOWS)
_SILENT = Refusal(
    "without a convolution too few units are left for anything to come back", frozenset({"mlp"}), is_silent
)
_CAM = (_NO_MAP, _TWO_MAPS)
_COMPOSITE = (
    Refusal(
        "without a convolution it is the epsilon rule", _NO_CONVOLUTION, is_same_as("LRPUniformEpsilon", epsilon=1e-6)
    ),
)

REFUSALS: dict[str, tuple[Refusal, ...]] = {
    "AttnLRP": (
        Refusal(
            "without attention it is the epsilon rule", _NO_ATTENTION, is_same_as("LRPUniformEpsilon", epsilon=1e-6)
        ),
    ),
    "AttentionRollout": _ATTENTION,
    "Deconvolution": (_PLAIN,),
    "EigenCAM": _CAM,
    "FullGrad": (
        Refusal("it adds up maps of the input, of which there are none", _NO_CONVOLUTION, loses_biases),
        Refusal("it adds up maps of the input, and between patches and score lie tokens", _TRANSFORMERS, loses_biases),
    ),
    "GradCam": _CAM,
    "GradCamPlusPlus": _CAM,
    "GuidedBackprop": (_PLAIN, _SILENT),
    "GuidedGradCam": (_NO_MAP, _TWO_MAPS, _PLAIN),
    "HiResCAM": _CAM,
    "LayerCAM": _CAM,
    "LRPEpsilonAlpha2Beta1": _COMPOSITE,
    "LRPEpsilonGammaBox": _COMPOSITE,
    "LRPEpsilonPlus": _COMPOSITE,
    "ScoreCAM": _CAM,
    "TransformerAttribution": _ATTENTION,
}
"""All that the package's explainers refuse; a new explainer states its own as ``REFUSALS`` in its own test file."""


def allowed(explainer: type[Explainer], name: str) -> tuple[Refusal, ...]:
    """Return what allows an explainer to refuse an architecture."""
    refusals = REFUSALS.get(explainer.__name__) or stated(explainer, "REFUSALS", ())
    return tuple(refusal for refusal in refusals if name in refusal.on)


def reason_against(explainer: type[Explainer], case: Case) -> str | None:
    """Return the explainer's reason against a case; ids are no reason where there is an embedding to explain."""
    return explainer.reason_against(detect(case.model), None if case.layer is not None else case.traits)


def shown(explainer: type[Explainer], case: Case, reason: str) -> str:
    """Run the explainer without its refusal, and return what goes wrong.

    Raises:
        Broken: the refusal is not listed in ``REFUSALS``, or nothing goes wrong.
    """
    refusals = allowed(explainer, case.name)
    if not refusals:
        raise Broken(f"{explainer.__name__} refuses {case.name}, which REFUSALS does not allow: {reason}")
    with patch.object(explainer, "reason_against", classmethod(lambda *given: None)):
        for refusal in refusals:
            if (found := refusal.proof(Trial(explainer, case))) is not None:
                return f"{refusal.why}: {found}"
    raise Broken(f"{explainer.__name__} refuses {case.name}, but nothing is wrong there: {reason}")
