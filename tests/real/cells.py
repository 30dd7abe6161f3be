"""Networks with trained weights, and how far each explainer's map is from the sum that its method promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai import explainers
from pnpxai.errors import UnsuitableError
from tests import real_models

EXPLAINERS = (
    "AttnLRP", "LRPUniformEpsilon", "LRPEpsilonPlus", "LRPEpsilonGammaBox", "LRPEpsilonAlpha2Beta1", "RAP", "DeepLift",
    "IntegratedGradients", "Gradient", "GradientXInput",
)  # fmt: skip
"""Those whose maps sum to something, and two that come at the price of a gradient."""


@dataclass(frozen=True)
class Case:
    """A network with what is explained of it.

    Attributes:
        model: the network.
        inputs: what it is called with.
        target: the explained output.
        layer: the embedding, where inputs are token ids.
    """

    model: nn.Module
    inputs: Any
    target: int
    layer: str | None = None


class NextToken(nn.Module):
    """Scores of the token that follows, (examples, tokens of the vocabulary)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids, use_cache=False).logits[:, -1]


def _efficientnet() -> Case:
    return Case(*real_models.efficientnet_lite0())


def _minilm() -> Case:
    model, tokenizer = real_models.minilm()
    words = tokenizer(["It is sunny outside and warm", "Stocks fell"], return_tensors="pt", padding=True)
    inputs = (words["input_ids"], words["attention_mask"])
    return Case(model, inputs, 0, "encoder.embeddings.word_embeddings")


def _smollm2() -> Case:
    model, tokenizer = real_models.smollm2()
    net, ids = NextToken(model).eval(), tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    return Case(net, ids, int(net(ids).argmax()), "model.model.embed_tokens")


def _centerface() -> Case:
    model, picture = real_models.centerface()
    return Case(model, nn.functional.interpolate(picture, (128, 128), mode="bilinear", antialias=True), 0)


def maxvit(side: int = 256) -> Case:
    """Return a MaxViT of random weights, with windows for pictures of that side."""
    import timm

    torch.manual_seed(0)
    # relevance that cancels as much as that of random weights loses digits in single precision
    made = timm.create_model("maxvit_rmlp_pico_rw_256", pretrained=False, num_classes=10, img_size=side)
    return Case(made.eval().double(), torch.randn(1, 3, side, side, dtype=torch.float64), 3)


CASES: dict[str, Callable[[], Case]] = {
    "EfficientNet-Lite0": _efficientnet,
    "MiniLM": _minilm,
    "SmolLM2-135M": _smollm2,
    "CenterFace": _centerface,
    "MaxViT pico": maxvit,
}
"""Networks by name; that of MaxViT has random weights."""

DEAR = {(network, "IntegratedGradients") for network in CASES if network != "MiniLM"}
"""Cells that take long."""


def explained(case: Case, name: str) -> Any:
    """Return an explanation, or the message of a refusal."""
    explainer = getattr(explainers, name)
    settings = {} if case.layer is None else {"layer": case.layer}
    try:
        targets = [case.target] * len(case.inputs[0] if isinstance(case.inputs, tuple) else case.inputs)
        return explainer(case.model, **settings).explain(case.inputs, targets)
    except UnsuitableError as problem:
        return str(problem)


def gap(explanation: Any) -> float | None:
    """Return the largest gap as a part of its example's scale; None where nothing is promised."""
    return None if explanation.gap is None else float((explanation.gap.abs() / explanation.scale).max())
