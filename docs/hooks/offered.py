"""Fills in which names of captum and of PnPXAI 0.1 exist here, so that the pages cannot fall behind the code.

On a page, ``<!-- offered: captum -->`` becomes the list of those that do, ``<!-- missing: captum -->`` of the others,
and ``<!-- instead: captum -->`` a table of what takes the place of further names, in the words of the errors.
"""

from __future__ import annotations

import re
from typing import Any

import pnpxai
from pnpxai import attributors
from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.migration import CAPTUM as CAPTUM_INSTEAD
from pnpxai.migration import ORIGINAL as ORIGINAL_INSTEAD
from pnpxai.strategies.base import Strategy

CAPTUM = """
    Saliency InputXGradient IntegratedGradients GradientShap DeepLift DeepLiftShap GuidedBackprop
    Deconvolution GuidedGradCam LRP NoiseTunnel Occlusion FeatureAblation ShapleyValueSampling Lime KernelShap
    LayerActivation LayerGradientXActivation LayerGradCam LayerConductance InternalInfluence
    LayerIntegratedGradients LayerGradientShap LayerDeepLift LayerDeepLiftShap LayerFeatureAblation LayerLRP
    LayerAttribution PropagationRule EpsilonRule GammaRule Alpha1_Beta0_Rule IdentityRule
"""
EXPLAINERS = """
    Gradient GradientXInput SmoothGrad VarGrad IntegratedGradients GradCam GuidedGradCam LRPUniformEpsilon
    LRPEpsilonPlus LRPEpsilonGammaBox LRPEpsilonAlpha2Beta1 RAP KernelShap Lime AttentionRollout
    TransformerAttribution Gfgp DeepLiftShap FullGrad GuidedBackprop LEAR
"""
METRICS = "MuFidelity Sensitivity Complexity PixelFlipping MoRF LeRF AbPC"
STRATEGIES = """
    zeros mean invert gaussian_blur token felzenszwalb quickshift slic no_mask_1d no_mask_2d sumpos sumabs
    l1norm maxnorm l2norm l2normsq possum posmaxnorm posl2norm posl2normsq minmax identity
"""
FACES = """
    AutoExplanation AutoExplanationForImageClassification AutoExplanationForTextClassification
    AutoExplanationForVisualQuestionAnswering AutoExplanationForTSClassification XaiRecommender
"""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks (called by MkDocs)."""

    def listed(mark: re.Match[str]) -> str:
        names, here = _names(mark[2])
        kept = [name for name in names.split() if (name in here) == (mark[1] == "offered")]
        return ", ".join(f"`{name}`" for name in kept) or "none"

    def table(mark: re.Match[str]) -> str:
        rows = (CAPTUM_INSTEAD if mark[1] == "captum" else ORIGINAL_INSTEAD).items()
        told = (f"| `{name}` | {use} |" for name, use in rows)
        return "\n".join(["| there | here |", "|---|---|", *told])

    markdown = re.sub(r"<!-- instead: (\w+) -->", table, markdown)
    return re.sub(r"<!-- (offered|missing): (\w+) -->", listed, markdown)


def _names(which: str) -> tuple[str, set[str]]:
    """Return the others' names, and all of that kind that exist here."""
    if which == "captum":
        return CAPTUM, {name for name in CAPTUM.split() if hasattr(attributors, name)}
    if which == "explainers":
        return EXPLAINERS, {cls.__name__ for cls in every(Explainer)}
    if which == "metrics":
        return METRICS, {cls.__name__ for cls in every(Metric)}
    if which == "strategies":
        return STRATEGIES, {name for cls in every(Strategy) for name in (cls.name, *getattr(cls, "aliases", ()))}
    return FACES, set(pnpxai.__all__)
