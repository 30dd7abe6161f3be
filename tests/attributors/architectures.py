"""Calibrated architectures that people use, for the laws of DeepLift and LRP."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.testing.zoo import CASES, Case, calibrated
from pnpxai.traits import Traits


def _drawn(*shape: int) -> Callable[[int, torch.Generator], Tensor]:
    return lambda size, generator: torch.randn(size, *shape, generator=generator, dtype=torch.float64)


class Recurrent(nn.Module):
    """A recurrent network of two layers and directions, and a head on the mean over time."""

    def __init__(self, build: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cells = build(5, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0].mean(1))


def _vgg() -> nn.Module:
    from torchvision.models import vgg11_bn

    return _louder(vgg11_bn(num_classes=4), 30)


def _vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=4)


def _bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=4,
        max_position_embeddings=16, initializer_range=0.3,
    )  # fmt: skip
    return _louder(Logits(BertForSequenceClassification(config)), 30)


def _louder(model: nn.Module, gain: float) -> nn.Module:
    """Let the head say more of the input than of its bias."""
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        head.weight *= gain
    return model


class Logits(nn.Module):
    """A transformers model that returns its logits alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor) -> Tensor:
        return self.inner(ids).logits


@cache
def case(name: str) -> Case:
    """Return an architecture by name, built once."""
    if name in CASES:
        return CASES[name]()
    image, series, text = Traits.image(), Traits.series(), Traits.text()
    builders: dict[str, tuple[Any, Any, Traits, str | None]] = {
        "vgg": (_vgg, _drawn(3, 32, 32), image, None),
        "torchvision_vit": (_vit, _drawn(3, 16, 16), image, None),
        "lstm": (lambda: Recurrent(nn.LSTM), _drawn(6, 5), series, None),
        "gru": (lambda: Recurrent(nn.GRU), _drawn(6, 5), series, None),
        "bert": (
            _bert,
            lambda size, generator: torch.randint(20, (size, 6), generator=generator),
            text,
            "inner.bert.embeddings",
        ),
    }
    build, draw, traits, layer = builders[name]
    return calibrated(name, build, draw, traits, examples=2, layer=layer)


NAMES = ("resnet18", "vgg", "torchvision_vit", "lstm", "gru", "bert", "skip_cnn", "vit", "series")
