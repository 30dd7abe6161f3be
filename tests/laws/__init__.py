"""What every explainer must be right about, measured against plain torch.

A law compares an explainer's maps with something computed without the package (``gradients``, ``cam``, ...) in a
``Trial``. ``matrix`` holds an explainer to its laws on an architecture, or its refusal to ``refusals``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pnpxai.explainers.base import Explainer
from pnpxai.testing.zoo import Case
from tests.laws import (
    attention,
    cam,
    ensemble,
    full_grad,
    gradients,
    linearised,
    perturbation,
    relevance,
    rescaled,
)
from tests.laws.trial import Trial
from tests.mirror import mirror_of, stated

__all__ = ["LAWS", "Finding", "Law", "Trial", "judge", "laws_of", "promises_a_sum"]


@dataclass(frozen=True)
class Law:
    """Something that holds of an explainer on every model.

    Attributes:
        title: what is compared with what.
        measure: how far it is from holding, zero if it holds.
        limit: up to where it holds.
        changes: settings it is measured with.
        on: the cases it speaks of; None for all.
        sums: whether it says what the maps sum to, so that ``explain`` tells how far they are from it.
    """

    title: str
    measure: Callable[[Trial], float]
    limit: float = 1e-8
    changes: Mapping[str, Any] = field(default_factory=dict)
    on: frozenset[str] | None = None
    sums: bool = False


@dataclass(frozen=True)
class Finding:
    """What was measured of a law."""

    law: Law
    figure: float

    @property
    def holds(self) -> bool:
        """Whether the law holds; of NaN it does not."""
        return self.figure <= self.law.limit


_CONSERVED = Law("relevance and sinks sum to the score", relevance.conserved, 1e-6, sums=True)
_FORMULA = "its formula on hooked activations"
_LINEAR = "without stabiliser, autograd times input of the linearised network"
_TINY = {"epsilon": 1e-12, "stabilizer": 1e-12}
_RULES = Law(f"{_LINEAR}, convolutions' rules written out", linearised.rules_at_convolutions, 1e-6, _TINY)
_IN_A_ROW = frozenset({"cnn", "vgg"})
_HALF = {"discard_ratio": 0.5}  # a tenth of the weights between so few tokens leaves nothing
_EPSILON = _TINY | {"convolution": "epsilon", "linear": "epsilon"}
_NO_LAYER_NORM = frozenset(
    {"mlp", "cnn", "skip_cnn", "series", "two_inputs", "siamese", "resnet18", "vgg", "efficientnet"}
)
_ZENNIT = Law("zennit's own hooks, where there are only layers in a row", relevance.hooks_of_zennit, 1e-4, on=_IN_A_ROW)
_KERNEL = Law(
    "normal equations of the fit to the coalitions that were run",
    perturbation.kernel_fit,
    changes={"estimator": "leverage"},
)

LAWS: dict[str, tuple[Law, ...]] = {
    "Gradient": (Law("autograd", gradients.gradient),),
    "GradientXInput": (Law("autograd times input", gradients.gradient_times_input),),
    "SmoothGrad": (Law("mean of autograd over the same noise", gradients.mean_of_noisy),),
    "VarGrad": (Law("variance of autograd over the same noise", gradients.variance),),
    "SmoothGradSquared": (Law("mean square of autograd over the same noise", gradients.squares),),
    "IntegratedGradients": (
        Law("Gauss-Legendre sum of autograd along the path", gradients.path),
        Law("sums to the gain in score", gradients.complete, 0.05, {"n_steps": 100}, sums=True),
    ),
    "GuidedBackprop": (Law("autograd with guided ReLUs", gradients.guided),),
    "DeepLift": (
        Law("sums to the gain in score", gradients.complete, sums=True),
        Law("autograd times difference of the network with slopes", rescaled.rescaled),
    ),
    "DeepLiftShap": (
        Law("sums to the mean gain in score over a background", gradients.complete_over_rows, sums=True),
        Law("mean of autograd times difference of the networks with slopes", rescaled.mean_rescaled),
    ),
    "Deconvolution": (Law("autograd with deconvolved ReLUs", gradients.deconvolved),),
    "GradientShap": (
        Law("mean of autograd at the same points, times their differences", gradients.expected_gradients, sums=True),
    ),
    "FeatureAblation": (Law("score lost by each run", perturbation.losses),),
    "ShapleyValueSampling": (
        Law("mean gain over the orders that were run", perturbation.orders, 1e-8, {"n_samples": 3}),
    ),
    "KernelShap": (_KERNEL,),
    "ShapleyValues": (_KERNEL,),
    "Lime": (Law("normal equations of the fit to the samples that were run", perturbation.ridge_fit),),
    "RISE": (Law("masks that were run, times their scores", perturbation.masked_scores, 1e-6),),
    "GradCam": (Law(_FORMULA, cam.mean_weighted),),
    "GradCamPlusPlus": (Law(_FORMULA, cam.plus_plus),),
    "HiResCAM": (Law(_FORMULA, cam.elementwise),),
    "LayerCAM": (Law(_FORMULA, cam.elementwise_positive),),
    "EigenCAM": (Law(_FORMULA, cam.principal),),
    "ScoreCAM": (Law(_FORMULA, cam.channels_scored),),
    "GuidedGradCam": (Law(_FORMULA, cam.guided_times_map),),
    "FullGrad": (
        Law("its parts sum to the score, and the map is made of them", full_grad.parts),
        Law("gradients times the biases that hooks have caught", full_grad.hooked_biases, on=full_grad.MODULES),
    ),
    "Ensemble": (Law("mean of its members", ensemble.mean_of_members),),
    "LRPUniformEpsilon": (_CONSERVED, Law(_LINEAR, linearised.linear_attention, 1e-6, _TINY)),
    "AttnLRP": (_CONSERVED, Law(_LINEAR, linearised.taylor_attention, 1e-6, _TINY)),
    "LRP": (_CONSERVED, Law(_LINEAR, linearised.taylor_attention, 1e-6, _EPSILON)),
    "LRPEpsilonPlus": (_CONSERVED, _RULES, _ZENNIT),
    "LRPEpsilonGammaBox": (_CONSERVED, _RULES, _ZENNIT),
    "LRPEpsilonAlpha2Beta1": (_CONSERVED, _RULES, _ZENNIT),
    "AttentionRollout": (Law("product of weights from caught queries and keys", attention.rolled_out, 1e-8, _HALF),),
    "TransformerAttribution": (
        Law("product of relevance times autograd at caught weights", attention.relevance_rolled_out, 1e-6, _HALF),
        Law(
            "relevance by the paper's rules, written out for one layer", attention.by_hand, 1e-4, on=frozenset({"vit"})
        ),
    ),
    "RAP": (
        _CONSERVED,
        Law("relevance alone sums to the score", relevance.conserved_by_the_map, 1e-3, on=_NO_LAYER_NORM),
    ),
    "Occlusion": (Law("loop over windows", perturbation.windows),),
    "MultiScaleOcclusion": (
        Law("loops over windows, scaled", perturbation.scaled_windows, changes={"windows": (1 / 4, 1 / 2)}),
    ),
}
"""The laws of the package's explainers. A new explainer brings its own, as ``LAWS`` in its own test file."""


def laws_of(explainer: type[Explainer]) -> tuple[Law, ...]:
    """Return the laws of an explainer, stated here or in its own test file; a composite of rules conserves at least.

    Raises:
        LookupError: nothing is known of it; the message says what to add.
    """
    laws = LAWS.get(explainer.__name__) or stated(explainer, "LAWS")
    if laws:
        return laws
    if any(parent.__name__ == "CompositeLRP" for parent in explainer.__mro__):
        return (_CONSERVED,)
    raise LookupError(
        f"{explainer.__name__} has no law: state in LAWS of {mirror_of(explainer)} what its maps must equal or sum to, "
        "computed without the package, such as a loop over perturbed inputs or a formula on hooked activations"
    )


def promises_a_sum(explainer: type[Explainer]) -> bool:
    """Tell whether an explainer's maps sum to something, so that its explanations have a gap."""
    return not explainer.control and any(law.sums for law in laws_of(explainer))


def judge(explainer: type[Explainer], case: Case) -> list[Finding]:
    """Measure every law of an explainer that speaks of a case."""
    return [
        Finding(law, law.measure(Trial(explainer, case, law.changes)))
        for law in laws_of(explainer)
        if law.on is None or case.name in law.on
    ]
